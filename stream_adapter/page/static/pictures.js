// The strip of recent pictures, and why one was answered as it was.

import { ask } from "./api.js";
import { byId, count, el, percent, picture } from "./text.js";

const KEEP = 48;
const SHOWS = {
  all: () => true,
  moved: (one) => one.top[0].label !== one.zero_shot_label,
  labelled: (one) => one.label !== null,
  wrong: (one) => one.label !== null && one.label !== one.top[0].label,
};

export class Strip {
  constructor() {
    this.all = [];
    this.tiles = new Map();
    this.waiting = [];
    this.open = null;
    byId("picked").addEventListener("change", () => this.draw());
    byId("pause").addEventListener("click", () => this.pause(byId("pause").getAttribute("aria-pressed") !== "true"));
    byId("detail").addEventListener("keydown", (event) => event.key === "Escape" && this.close());
    byId("strip").addEventListener("keydown", (event) => event.key === "Escape" && this.close());
  }

  get paused() {
    return byId("pause").getAttribute("aria-pressed") === "true";
  }

  pause(paused) {
    byId("pause").setAttribute("aria-pressed", String(paused));
    byId("pause").textContent = paused ? "Go on" : "Pause";
    if (!paused) this.add([]);
  }

  clear() {
    this.all = [];
    this.waiting = [];
    this.close();
    this.draw();
  }

  add(pictures) {
    this.waiting.push(...pictures);
    this.waiting = this.waiting.slice(-KEEP);
    if (!this.paused) {
      this.all = [...this.waiting.reverse(), ...this.all].slice(0, KEEP);
      this.waiting = [];
    }
    this.draw();
  }

  /** Pictures of anchors that were just forgotten are not shown any longer. */
  drop(ids) {
    const gone = new Set(ids);
    this.all = this.all.filter((one) => !gone.has(one.anchor_id));
    this.waiting = this.waiting.filter((one) => !gone.has(one.anchor_id));
    if (this.open && gone.has(this.open.anchor_id)) this.close();
    this.draw();
  }

  draw() {
    const shown = this.all.filter(SHOWS[byId("picked").value]);
    const list = byId("strip");
    const wanted = new Set(shown.map((one) => one.number));
    for (const [number, tile] of this.tiles) {
      if (!wanted.has(number)) {
        tile.remove();
        this.tiles.delete(number);
      }
    }
    list.querySelector(".none")?.remove();
    let before = null;
    for (const one of shown) {
      let tile = this.tiles.get(one.number);
      if (!tile) {
        tile = this.tile(one);
        this.tiles.set(one.number, tile);
        if (before) before.after(tile);
        else list.prepend(tile);
      }
      before = tile;
    }
    if (!shown.length) list.append(el("li", { class: "none" }, this.all.length ? "None of the newest pictures is like that." : "No picture yet. Send events to the images topic; a sample of them appears here."));
  }

  tile(one) {
    const top = one.top[0];
    const moved = top.label !== one.zero_shot_label;
    const lines = [
      picture(one.picture, "no picture"),
      el("b", {}, top.label),
      el("span", {}, percent(top.adapted)),
      moved ? el("span", { class: "quiet" }, `zero-shot: ${one.zero_shot_label}`) : el("span", { class: "quiet" }, "as zero-shot"),
    ];
    if (one.unknown) lines.push(el("span", { class: "mark" }, "? no class fits"));
    if (one.label !== null) {
      const right = one.label === top.label;
      lines.push(el("span", { class: `mark ${right ? "good" : "bad"}` }, right ? "✓ label agrees" : `✗ label: ${one.label}`));
    }
    const button = el("button", { type: "button", class: "tile", "aria-expanded": "false", "aria-controls": "detail", onclick: () => this.toggle(one, button) }, ...lines);
    return el("li", {}, button);
  }

  toggle(one, button) {
    const again = this.open === one;
    this.close();
    if (again) return;
    this.open = one;
    this.button = button;
    button.setAttribute("aria-expanded", "true");
    if (!this.paused) this.pause(true);
    this.explain(one);
  }

  close() {
    this.open = null;
    this.button?.setAttribute("aria-expanded", "false");
    if (byId("detail").contains(document.activeElement)) this.button?.focus();
    byId("detail").hidden = true;
  }

  async explain(one) {
    const said = one.explanation.map((sentence) => el("p", {}, sentence));
    const head = el("tr", {}, ...["Class", "Adapted", "Zero-shot", "Taken for"].map((name, at) => el("th", { scope: "col", class: at === 1 || at === 2 ? "number" : null }, name)));
    const rows = one.top.map((score) => el("tr", {}, el("td", {}, score.label), el("td", { class: "number" }, percent(score.adapted)),
      el("td", { class: "number" }, percent(score.zero_shot)), el("td", {}, score.kind)));
    const near = el("ul", { class: "near" }, ...one.anchors.map((anchor) => this.anchor(anchor, null)));
    const detail = byId("detail");
    detail.replaceChildren(
      el("div", {}, picture(one.picture, "no picture"), el("p", { class: "quiet" }, "Event ", el("code", {}, one.event.id), " from ", el("code", {}, one.event.source))),
      el("div", {}, el("h3", { id: "detail-title" }, "Why this answer"), ...said, el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows)),
        el("h3", {}, one.anchors.length ? `The ${count(one.anchors.length)} nearest anchors` : "No anchor is near"), near,
        el("p", { class: "quiet" }, `Gate ${one.gate.toFixed(2)}: how much of the update applied here. Novelty ${one.novelty.toFixed(2)}.`),
        el("p", { class: "quiet" }, "Adapter version ", el("code", {}, one.versions.adapter)),
        el("button", { type: "button", onclick: () => this.close() }, "Close")),
    );
    detail.hidden = false;
    detail.setAttribute("role", "region");
    detail.setAttribute("aria-labelledby", "detail-title");
    if (!one.anchors.length) return;
    const thumbnails = await ask(`api/thumbnails?ids=${one.anchors.map((anchor) => anchor.id).join(",")}`).catch(() => ({}));
    if (this.open === one) near.replaceChildren(...one.anchors.map((anchor) => this.anchor(anchor, thumbnails[anchor.id] ?? null)));
  }

  anchor(anchor, address) {
    return el("li", {}, picture(address, "not kept"), el("b", {}, anchor.label), el("br"), `cosine ${anchor.cosine.toFixed(2)}`, el("br"),
      el("code", { title: anchor.id }, anchor.id.slice(0, 8)));
  }
}
