// What to label next: one event in front, a key for each class that it may be.

import { ask, Refused, token } from "./api.js";
import { byId, clock, el, percent, picture } from "./text.js";

const NAME = "stream_adapter.annotator";
const EVERY = 5000; // milliseconds from one look to the next, while the list is in sight

export class Labelling {
  constructor() {
    this.events = [];
    this.passed = new Set(); // labelled or skipped here
    this.loaded = -Infinity;
    this.near = this.sending = false;
    const section = byId("labelling");
    new IntersectionObserver((entries) => {
      this.near = entries.at(-1).isIntersecting;
    }, { rootMargin: "300px" }).observe(section);
    document.addEventListener("keydown", (event) => {
      const here = section.contains(event.target) || (event.target === document.body && this.near);
      if (!here || !this.changes || event.target.matches("input") || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
      if (event.key === "0") this.skip();
      else if (/^[1-9]$/.test(event.key)) this.front?.top[event.key - 1] && this.label(this.front, this.front.top[event.key - 1].label);
      else return;
      event.preventDefault();
    });
    byId("label-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const other = byId("label-other").value.trim();
      if (other && this.front) this.label(this.front, other);
    });
    byId("label-skip").addEventListener("click", () => this.skip());
    byId("label-name").value = localStorage.getItem(NAME) || "";
    byId("label-name").addEventListener("change", () => localStorage.setItem(NAME, byId("label-name").value.trim()));
    byId("label-token").addEventListener("change", () => token.set(byId("label-token").value));
    byId("label-who").addEventListener("submit", (event) => event.preventDefault());
  }

  allow({ labels, changes }) {
    byId("labelling").hidden = !labels;
    this.changes = changes;
    byId("label-who").hidden = !changes;
    byId("label-token").value = token.get();
    byId("label-mode").textContent = changes
      ? "Of the pictures seen lately, those whose labels would teach most. A key from 1 to 9 says what it is, 0 skips; it is learned within a second or two."
      : "Of the pictures seen lately, those whose labels would teach most. This page is read-only; send labels with stream-adapter labels send.";
  }

  /** Look again now and then, where it is in sight, without taking the picture in front away. */
  async heard() {
    if (!this.near || this.sending || performance.now() - this.loaded < EVERY) return;
    this.loaded = performance.now();
    try {
      const { events } = await ask("api/labels?limit=13");
      const fresh = events.filter((one) => !this.passed.has(one.anchor_id));
      const front = this.front;
      this.events = front ? [front, ...fresh.filter((one) => one.anchor_id !== front.anchor_id)] : fresh;
      this.draw();
      if (this.classes) return;
      const { classes } = await ask("api/classes");
      this.classes = classes.map((one) => el("option", { value: one.name }));
      byId("label-classes").replaceChildren(...this.classes);
    } catch (error) {
      this.failed(error, "What to label next cannot be shown");
    }
  }

  get front() {
    return this.events[0];
  }

  draw() {
    const [front, ...others] = this.events;
    byId("label-form").hidden = !this.changes || !front;
    const listed = this.changes ? others : this.events;
    byId("to-label").replaceChildren(...listed.map((one) => this.tile(one)));
    if (!front) byId("to-label").append(el("li", { class: "none" }, "Nothing to label: all that waits is settled, or no picture without a label has come yet."));
    if (!front || this.drawn === front) return;
    this.drawn = front;
    byId("label-other").value = "";
    byId("label-picture").replaceChildren(picture(front.picture, "no picture kept"), el("p", { class: "quiet" }, "Event ", el("code", {}, front.id), ` ${clock(front.time)}`,
      front.zero_shot_label === front.top[0].label ? null : el("span", {}, `; zero-shot says ${front.zero_shot_label}`)));
    byId("label-choices").replaceChildren(...front.top.slice(0, 9).map((one, at) =>
      el("button", { type: "button", onclick: () => this.label(front, one.label) }, el("kbd", { "aria-hidden": "true" }, at + 1), el("b", {}, one.label), el("span", { class: "quiet" }, percent(one.adapted)))));
  }

  tile(one) {
    const [first, second] = one.top;
    const lines = [picture(one.picture, "no picture kept"), el("b", {}, `${first.label}?`), el("span", { class: "quiet" }, second ? `or ${second.label}` : percent(first.adapted))];
    if (!this.changes) return el("li", {}, el("div", { class: "tile" }, ...lines));
    return el("li", {}, el("button", { type: "button", class: "tile", onclick: () => this.show([one, ...this.events.filter((other) => other !== one)]) }, ...lines));
  }

  /** Other events, with the first in front and its choices under the keys. */
  show(events) {
    const typing = document.activeElement === byId("label-other");
    this.events = events;
    this.draw();
    (typing ? byId("label-other") : byId("label-choices").firstElementChild)?.focus({ preventScroll: true });
  }

  pass(one) {
    this.passed.add(one.anchor_id);
    this.show(this.events.filter((other) => other.anchor_id !== one.anchor_id));
    if (this.events.length < 4) this.loaded = -Infinity;
  }

  skip() {
    if (this.front && !this.sending) this.pass(this.front);
  }

  async label(one, label) {
    if (this.sending) return;
    token.set(byId("label-token").value);
    if (!token.get()) {
      byId("label-said").textContent = "Enter the token first: page.token in the worker's configuration.";
      byId("label-token").focus();
      return;
    }
    this.sending = true;
    try {
      await this.send(one, label);
      this.pass(one);
      const undo = el("button", { type: "button", onclick: () => this.undo(one, label) }, "Take it back");
      byId("label-said").replaceChildren(`Event ${one.id} is ${label}. `, undo);
    } catch (error) {
      this.failed(error, "The label was not sent");
    } finally {
      this.sending = false;
    }
  }

  async undo(one, label) {
    try {
      await this.send(one, null);
      byId("label-said").textContent = `Event ${one.id} is no longer ${label}.`;
      this.passed.delete(one.anchor_id);
      this.show([one, ...this.events]);
    } catch (error) {
      this.failed(error, "The label was not taken back");
    }
  }

  send({ source, id }, label) {
    return ask("api/labels", { body: { source, id, label, annotator: byId("label-name").value.trim() } });
  }

  failed(error, what) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401) token.set("");
    byId("label-said").textContent = `${what}: ${error.message}.`;
  }
}
