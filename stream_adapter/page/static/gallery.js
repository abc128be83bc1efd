// The anchors by class, searching them, and forgetting some.

import { ask, Refused, token } from "./api.js";
import { byId, clock, count, el, picture } from "./text.js";

export class Gallery {
  constructor(forgotten) {
    this.forgotten = forgotten;
    this.chosen = new Set();
    this.shown = [];
    this.changes = false;
    this.asked = 0;
    this.loaded = -Infinity;
    this.near = false;
    const watch = new IntersectionObserver((entries) => {
      this.near = entries.at(-1).isIntersecting;
    }, { rootMargin: "300px" });
    watch.observe(byId("h-anchors").closest("section"));
    this.digest = null;
    byId("gallery-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.load();
    });
    byId("gallery-class").addEventListener("change", () => this.anchors());
    byId("gallery-suspicious").addEventListener("change", () => this.anchors());
    byId("gallery-search").addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.anchors(), 300);
    });
    byId("choose-all").addEventListener("click", () => this.choose(this.shown.map((one) => one.id), true));
    byId("forget-all").addEventListener("click", () => this.forget(this.filter));
    byId("forget-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.forget();
    });
    byId("forget-token").addEventListener("change", () => token.set(byId("forget-token").value));
  }

  allow(changes) {
    this.changes = changes;
    byId("forget-form").hidden = !changes;
    byId("forget-token").value = token.get();
    byId("gallery-mode").textContent = changes
      ? "Forgetting needs the token, takes effect on all workers within about a second, and cannot be undone here."
      : "This page is read-only.";
  }

  /** The anchors may have changed: look again now and then, where they are in sight and nobody is at work on them. */
  heard(digest) {
    const busy = this.chosen.size || byId("gallery-suspicious").checked || byId("h-anchors").closest("section").contains(document.activeElement);
    if (!this.near || digest === this.digest || busy || performance.now() - this.loaded < 10000) return;
    this.digest = digest;
    this.load();
  }

  /** Classes with their counts, then the anchors of the chosen one. */
  async load() {
    this.loaded = performance.now();
    try {
      const { classes, anchors } = await ask("api/classes");
      const chosen = byId("gallery-class").value;
      const options = classes.map((one) => el("option", { value: one.name, selected: one.name === chosen }, `${one.name} · ${classWords(one)}`));
      byId("gallery-class").replaceChildren(el("option", { value: "" }, `all classes · ${count(anchors)} anchors`), ...options);
      await this.anchors();
    } catch (error) {
      this.say(error, "The anchors cannot be shown");
    }
  }

  async anchors() {
    const number = ++this.asked;
    const query = new URLSearchParams({ limit: 36, search: byId("gallery-search").value.trim() });
    if (byId("gallery-class").value) query.set("label", byId("gallery-class").value);
    const suspicious = byId("gallery-suspicious").checked;
    if (suspicious) query.set("suspicious", 1);
    try {
      const { anchors, annotators, compared, found } = await ask(`api/anchors?${query}`);
      if (number !== this.asked) return; // a newer question is on its way
      this.shown = anchors;
      this.chosen.clear();
      byId("gallery").replaceChildren(...anchors.map((one) => this.tile(one)));
      const filtered = query.get("search") || query.get("label") || suspicious;
      if (!anchors.length) {
        byId("gallery").append(el("li", { class: "none" }, filtered ? "No anchor is like that." : "No anchors yet: no label was learned. Send events with a ce_label; each leaves an anchor here."));
      }
      const which = suspicious ? "worst" : "newest";
      const by = annotators.map((one) => `${one.annotator ?? "nobody named"} taught ${count(one.suspicious)} of them, of ${count(one.anchors)}${deeds(one)}`);
      if (suspicious && !compared) by.push("Too many to hold them against each other here: harm alone counts");
      byId("gallery-said").textContent = `${found > anchors.length ? `The ${which} ${count(anchors.length)} of ${count(found)} anchors.` : `${count(found)} ${found === 1 ? "anchor" : "anchors"}.`}${by.length ? ` ${by.join("; ")}.` : ""}`;
      this.filter = { label: query.get("label"), search: query.get("search"), found };
      byId("forget-all").hidden = suspicious || !found || !(query.get("search") || query.get("label"));
      byId("forget-all").textContent = `Forget all ${count(found)} found`;
      this.count();
    } catch (error) {
      this.say(error, "The anchors cannot be shown");
    }
  }

  tile(one) {
    const lines = [
      picture(one.picture, "not kept"),
      el("b", {}, one.label),
      el("span", { class: "quiet" }, "event ", el("code", {}, one.event.id), one.annotator ? ` by ${one.annotator}` : ""),
      one.contradicted > 0.5 ? el("span", { class: "bad" }, `others say ${one.others}, ${Math.round(100 * one.contradicted)} %`) : null,
      one.harmed ? el("span", { class: "bad" }, deeds(one).slice(2)) : null,
      clock(one.time) ? el("span", { class: "quiet" }, clock(one.time)) : null,
    ];
    if (!this.changes) return el("li", { "data-anchor": one.id }, el("div", { class: "tile" }, ...lines));
    const box = el("input", { type: "checkbox", id: `choose-${one.id}`, onchange: () => this.choose([one.id], box.checked) });
    lines.push(el("span", { class: "choose" }, box, el("label", { for: box.id }, "choose", el("span", { class: "hidden" }, ` the anchor ${one.label} of event ${one.event.id}`))));
    return el("li", { "data-anchor": one.id }, el("div", { class: "tile" }, ...lines));
  }

  choose(ids, chosen) {
    for (const id of ids) {
      if (chosen) this.chosen.add(id);
      else this.chosen.delete(id);
      const box = byId(`choose-${id}`);
      if (box) box.checked = chosen;
    }
    this.count();
  }

  count() {
    const number = this.chosen.size;
    byId("forget").disabled = !number;
    byId("forget").textContent = number ? `Forget ${count(number)} ${number === 1 ? "anchor" : "anchors"}` : "Forget none";
  }

  /** Forget what is chosen, or all that a filter leaves. */
  async forget(filter = null) {
    const ids = [...this.chosen];
    const number = filter ? filter.found : ids.length;
    if (!number) return;
    token.set(byId("forget-token").value);
    if (!token.get()) {
      byId("gallery-said").textContent = "Enter the token first: page.token in the worker's configuration.";
      byId("forget-token").focus();
      return;
    }
    const labels = [...new Set(this.shown.filter((one) => this.chosen.has(one.id)).map((one) => one.label))];
    if (filter) labels.splice(0, labels.length, ...[filter.label, filter.search].filter(Boolean));
    byId("sure-text").textContent = `${count(number)} ${number === 1 ? "anchor" : "anchors"} of ${labels.slice(0, 5).join(", ")}${labels.length > 5 ? " and others" : ""}: deleted from the changelog, on all workers.`;
    const dialog = byId("sure");
    dialog.returnValue = "no";
    dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    if (dialog.returnValue !== "yes") return;
    try {
      const { forgotten } = await ask("api/anchors/forget", { body: filter ?? { ids } });
      this.forgotten(forgotten);
      await this.load();
      byId("gallery-said").textContent = `Forgot ${count(forgotten.length)} ${forgotten.length === 1 ? "anchor" : "anchors"}. All workers drop them within about a second.`;
    } catch (error) {
      this.say(error, "Nothing was forgotten");
    }
    byId("gallery-class").focus();
  }

  say(error, what) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401) token.set("");
    byId("gallery-said").textContent = `${what}: ${error.message}.`;
  }
}

/** What anchors did to later labelled events. */
function deeds(one) {
  return one.harmed || one.helped ? `, harmed ${count(one.harmed)} later answers and helped ${count(one.helped)}` : "";
}

function classWords(one) {
  const held = one.damping < 1 ? `, held back to ${Math.round(100 * one.damping)} %` : "";
  const kind = one.canary ? `canary, ${one.kind}` : one.kind;
  return `${one.anchors ? `${count(one.anchors)} ${one.anchors === 1 ? "anchor" : "anchors"}` : kind}${one.anchors && one.canary ? ", canary" : ""}${held}`;
}
