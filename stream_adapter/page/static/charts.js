// Line charts in SVG, written by hand: a few lines over time, a cursor for pointer and arrow keys, values in the legend.

import { clock, el, svg } from "./text.js";

const HEIGHT = 176;
const PAD = { left: 44, right: 8, top: 8, bottom: 20 };

/** Ticks at round values, about `wanted` of them. */
export function ticks(low, high, wanted = 4) {
  const rough = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.999);
  const found = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-9; value += step) found.push(value || 0); // no −0
  return found;
}

export class Chart {
  /**
   * lines: [{name, column, style: "adapted" | "plain"}]; format: value → text; range: values → [low, high];
   * empty: what to say and do while there is no value.
   */
  constructor(figure, { title, sub, lines, format, axis = format, range, empty }) {
    Object.assign(this, { lines, format, axis, range, title, at: null, data: null });
    this.svg = svg("svg", { class: "chart", role: "img", tabindex: 0 });
    this.legend = el("p", { class: "legend" });
    this.empty = el("p", { class: "empty" }, empty);
    figure.append(el("figcaption", {}, title), el("p", { class: "sub" }, sub), this.empty, this.svg, this.legend);
    this.svg.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.svg.addEventListener("pointerleave", () => this.move(null));
    this.svg.addEventListener("blur", () => this.move(null));
    this.svg.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 }[event.key];
      if (step === undefined || !this.data) return;
      event.preventDefault();
      const last = this.data.time_ms.length - 1;
      this.move(Math.max(0, Math.min(last, (this.at ?? last + 1) + step)));
    });
    new ResizeObserver(() => this.draw()).observe(figure);
  }

  show(data) {
    this.data = data;
    if (this.at !== null && this.at >= data.time_ms.length) this.at = null;
    this.draw();
  }

  get width() {
    return this.svg.clientWidth || 320;
  }

  x(time) {
    const { time_ms: times, step_s: step } = this.data;
    const last = times[times.length - 1];
    const first = Math.min(times[0], last - 30 * step * 1000);
    return PAD.left + ((time - first) / (last - first)) * (this.width - PAD.left - PAD.right);
  }

  point(x) {
    if (!this.data?.time_ms.length) return;
    let best = 0;
    this.data.time_ms.forEach((time, at) => {
      if (Math.abs(this.x(time) - x) < Math.abs(this.x(this.data.time_ms[best]) - x)) best = at;
    });
    this.move(best);
  }

  move(at) {
    if (at === this.at) return;
    this.at = at;
    this.draw();
  }

  draw() {
    if (!this.data) return;
    const columns = this.lines.map((line) => this.data[line.column]);
    const values = columns.flat().filter((value) => value !== null);
    this.empty.hidden = values.length > 0;
    this.svg.toggleAttribute("hidden", !values.length);
    this.legend.hidden = !values.length;
    if (!values.length) return;
    const [low, high] = this.range(values);
    const width = this.width;
    const y = (value) => PAD.top + (1 - (value - low) / (high - low)) * (HEIGHT - PAD.top - PAD.bottom);
    const parts = [];
    for (const tick of ticks(low, high)) {
      parts.push(svg("line", { class: "grid", x1: PAD.left, x2: width - PAD.right, y1: y(tick), y2: y(tick) }));
      parts.push(svg("text", { x: PAD.left - 6, y: y(tick) + 4, "text-anchor": "end" }, this.axis(tick)));
    }
    const times = this.data.time_ms;
    const first = Math.min(times[0], times[times.length - 1] - 30 * this.data.step_s * 1000);
    for (const [time, anchor] of [[first, "start"], [(first + times[times.length - 1]) / 2, "middle"], [times[times.length - 1], "end"]]) {
      const shown = clock(time, this.data.step_s < 30);
      parts.push(svg("text", { x: this.x(time), y: HEIGHT - 4, "text-anchor": anchor }, shown));
    }
    this.lines.forEach((line, number) => {
      parts.push(svg("path", { class: `line ${line.style}`, d: this.path(columns[number], y) }));
    });
    if (this.at !== null) {
      const x = this.x(times[this.at]);
      parts.push(svg("line", { class: "cursor", x1: x, x2: x, y1: PAD.top, y2: HEIGHT - PAD.bottom }));
    }
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.replaceChildren(...parts);
    this.say(columns);
  }

  path(column, y) {
    let path = "";
    let gap = true;
    const times = this.data.time_ms;
    const step = this.data.step_s * 1000;
    column.forEach((value, at) => {
      if (value === null) {
        gap = true;
        return;
      }
      if (at && times[at] - times[at - 1] > 5 * step) gap = true;
      path += `${gap ? "M" : "L"}${this.x(times[at]).toFixed(1)} ${y(value).toFixed(1)}`;
      gap = false;
    });
    return path;
  }

  /** Newest values, or those at the cursor, in the legend and for those who do not see the lines. */
  say(columns) {
    const newest = columns.map((column) => column.findLast((value) => value !== null) ?? null);
    const shown = this.at === null ? newest : columns.map((column) => column[this.at]);
    const items = this.lines.map((line, number) =>
      el("span", {}, svg("svg", { "aria-hidden": true }, svg("line", { class: line.style, x1: 1, x2: 21, y1: 4, y2: 4 })),
        `${line.name} `, el("b", {}, this.format(shown[number]))));
    if (this.at !== null) items.push(el("span", { class: "quiet" }, `at ${clock(this.data.time_ms[this.at])}`));
    this.legend.setAttribute("aria-live", this.at !== null && document.activeElement === this.svg ? "polite" : "off");
    this.legend.replaceChildren(...items);
    const said = this.lines.map((line, number) => `${line.name} ${this.format(newest[number])}`).join(", ");
    this.svg.setAttribute("aria-label", `${this.title}: ${said} now. Arrow keys go through time.`);
  }
}

/** From just below the smallest share to 100 %, never less than ten points. */
export function shares(values) {
  const low = Math.min(...values);
  return [Math.max(0, Math.floor((Math.min(low, 0.9) - 0.02) * 20) / 20), 1];
}

/** From zero to a little above the largest value. */
export function amounts(values) {
  return [0, Math.max(1, Math.max(...values) * 1.08)];
}
