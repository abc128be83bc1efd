// Elements and numbers. Everything that comes from outside is set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; a string child is text. */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same in SVG. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const groups = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** A count, 12,345; “–” where there is none. */
export const count = (value) => (value === null || value === undefined ? "–" : groups.format(value));

/** A rate, with as many digits as it deserves. */
export function rate(value) {
  if (value === null || value === undefined) return "–";
  return value >= 100 ? groups.format(value) : value.toFixed(value >= 10 ? 0 : 1);
}

/** A share in per cent, one decimal. */
export const percent = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)} %`);

/** A difference of shares, in points, with its sign. */
export function points(value) {
  if (value === null || value === undefined) return "–";
  const shown = (100 * value).toFixed(1);
  return `${value > 0 && shown !== "0.0" ? "+" : ""}${shown.replace("-", "−")} points`;
}

/** Milliseconds, or seconds where there are many. */
export function milliseconds(value) {
  if (value === null || value === undefined) return ["–", ""];
  return value < 1000 ? [rate(value), "ms"] : [(value / 1000).toFixed(1), "s"];
}

/** The hour of an ISO time or of milliseconds, in the reader's zone; the day with it where it is another one. */
export function clock(time, seconds = true) {
  const date = new Date(time);
  if (date.getTime() < 86400000) return ""; // 1970: the event had no time
  const hour = date.toLocaleTimeString("en-GB", seconds ? {} : { hour: "2-digit", minute: "2-digit" });
  return date.toDateString() === new Date().toDateString() ? hour : `${date.getDate()} ${date.toLocaleString("en", { month: "short" })} ${hour}`;
}

/** A picture, or what stands in its place. */
export function picture(address, label) {
  return address === null || address === undefined
    ? el("span", { class: "picture" }, label)
    : el("img", { class: "picture", src: address, alt: "", width: 96, height: 96 });
}

export const byId = (id) => document.getElementById(id);
