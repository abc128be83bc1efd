// The questions about drift with value, bounds and “enough”, and the alarms, in words.

import { byId, clock, count, el, percent, points, svg } from "./text.js";

const ASKS = {
  harm: ["Does the adapter harm unseen classes?", points],
  accuracy: ["Zero-shot accuracy since its last change", percent],
  confidence: ["Zero-shot confidence since its last change", percent],
  embedding: ["Have the image vectors changed?", count],
  label_mix: ["Has the mix of classes changed?", count],
  novelty: ["Share of pictures that nothing explains", percent],
  new_class: ["Classes that turned up unlabelled", count],
  guard: ["Classes whose update is held back", count],
  protection: ["Times the configured protection, by measured harm", count],
  at_risk: ["Classes without labels that may be losing events", count],
};
const GROUPS = { overall: "all", unseen: "unseen classes", seen: "labelled classes", near: "near to anchors", far: "far from anchors" };

const groupName = (group) => GROUPS[group] ?? group;

export function showDrift(drift) {
  byId("guard").replaceChildren(...guardWords(drift));
  const order = Object.keys(ASKS);
  const known = drift.questions.filter((line) => line.kind in ASKS);
  const rank = (line) => 2 * order.indexOf(line.kind) + (line.group !== "overall");
  known.sort((one, other) => rank(one) - rank(other));
  const rows = known.map((line) => question(line, drift));
  byId("questions").replaceChildren(
    ...(rows.length ? rows : [el("p", { class: "quiet" }, "No event has been seen yet. Send some to the images topic.")]),
  );
}

function guardWords(drift) {
  const mode = drift.guard === "alarm_only" ? "The guard only raises alarms (drift.mode: alarm_only)." : null;
  if (!drift.guarded_classes) return [el("b", { class: "good" }, "The guard holds nothing back. "), mode ?? ""];
  const held = drift.guarded_classes === 1 ? "one class" : `${count(drift.guarded_classes)} classes`;
  return [
    el("b", { class: "warn" }, `The guard holds the update back for ${held}. `),
    `At least ${percent(drift.lowest_damping)} of the update is let through.`,
  ];
}

function question(line, drift) {
  const [asked, format] = ASKS[line.kind];
  const needsLabels = line.kind === "harm" || line.kind === "accuracy" || line.kind === "guard" || line.kind === "protection";
  const unit = needsLabels ? "labels" : "events";
  const row = el("div", { class: "question" });
  const named = line.group in GROUPS;
  const group = line.group === "overall" ? "" : named ? ` · ${groupName(line.group)}` : line.group;
  const name = el("p", {}, named ? asked : "… and in particular ", el("span", { class: named ? "quiet" : null }, group));
  if (!line.enough) {
    const wanted = needsLabels ? ` of ${count(drift.min_labels)}` : "";
    row.append(name, el("p", { class: "value quiet" }, `${count(line.observed)}${wanted} ${unit}: not enough yet`));
    return row;
  }
  row.append(name, el("p", { class: "value" }, line.value === null ? "watched" : format(line.value)));
  if (line.low !== null && line.high !== null) row.append(interval(line, drift.tolerance));
  const verdict = line.kind === "harm" ? ` ${harmWords(line, drift.tolerance)}` : "";
  row.append(el("p", { class: "more" }, `On ${count(line.observed)} ${unit}.`, verdict));
  return row;
}

function harmWords(line, tolerance) {
  const bounds = line.low === null ? "" : `The truth lies between ${points(line.low)} and ${points(line.high)}. `;
  if (line.high !== null && line.high < -tolerance) return `${bounds}That is harm.`;
  if (line.low !== null && line.low >= -tolerance) return `${bounds}No harm beyond ${points(-tolerance).replace("−", "")}.`;
  return `${bounds}No harm is proven.`;
}

/** Value and bounds on an axis that ends at the larger of 10 points and the bounds. */
function interval(line, tolerance) {
  const reach = Math.max(0.1, Math.abs(line.low), Math.abs(line.high));
  const x = (value) => 50 + (48 * value) / reach;
  return svg("svg", { class: "interval", viewBox: "0 0 100 16", preserveAspectRatio: "none", "aria-hidden": true },
    svg("line", { class: "axis", x1: 2, x2: 98, y1: 8, y2: 8, "vector-effect": "non-scaling-stroke" }),
    svg("line", { class: "zero", x1: x(-tolerance), x2: x(-tolerance), y1: 1, y2: 15, "vector-effect": "non-scaling-stroke" }),
    svg("line", { class: "bounds", x1: x(line.low), x2: x(line.high), y1: 8, y2: 8, "vector-effect": "non-scaling-stroke" }),
    svg("rect", { class: "value", x: x(line.value ?? 0) - 0.4, width: 0.8, y: 3, height: 10 }));
}

export function addAlarms(alarms) {
  const list = byId("alarms");
  if (!alarms.length && list.childElementCount) return;
  list.querySelector(".none")?.remove();
  for (const alarm of alarms) list.prepend(alarmItem(alarm));
  while (list.childElementCount > 60) list.lastElementChild.remove();
  if (!list.childElementCount) list.append(el("li", { class: "quiet none" }, "Nothing so far. Alarms and what the guard did about them appear here."));
}

function alarmItem(alarm) {
  const figures = Object.entries(alarm.evidence).map(([name, value]) => `${name.replaceAll("_", " ")} ${Number(value.toPrecision(3))}`);
  if (alarm.e_value !== null) figures.push(`e-value ${Number(alarm.e_value.toPrecision(3))}`);
  const more = el("details", {}, el("summary", {}, "Figures and events"),
    el("p", {}, `Detector ${alarm.detector}: ${figures.join(", ") || "no further figures"}.`));
  if (alarm.event_ids.length) more.append(el("p", {}, "Events: ", ...alarm.event_ids.flatMap((id) => [el("code", {}, id), " "])));
  return el("li", {}, el("time", { datetime: alarm.time }, clock(alarm.time)), el("span", {}, alarmWords(alarm)), more);
}

export function alarmWords(alarm) {
  const { kind, group, evidence } = alarm;
  const rests = alarm.labels ? `on ${count(alarm.labels)} labels` : `after ${count(alarm.observed)} events`;
  const name = groupName(group);
  if (kind === "guard") {
    return `The guard ${alarm.action} the share of the update for ${name} from ${percent(evidence.before)} to ${percent(evidence.after)}: ` +
      `${rests} the update is ${points(evidence.difference)} against zero-shot.`;
  }
  if (kind === "protection") {
    return `Protection ${alarm.action} from ${evidence.before} to ${evidence.after} times what is configured: ${rests} of classes without labels, ` +
      `answers are ${points(evidence.difference)} against zero-shot.`;
  }
  if (kind === "at_risk" && "kept_after" in evidence) {
    return `Labels of “${group}” let it keep ${percent(evidence.kept_after)} of what zero-shot gives to it, ${percent(evidence.kept)} without.`;
  }
  if (kind === "at_risk") return `“${group}” has no label and may have lost ${count(Math.round(evidence.lost))} of the newest events: label one of these.`;
  if (kind === "harm") return `Harm on ${name}: ${points(evidence.difference)} against zero-shot, ${rests}.`;
  if (kind === "new_class") return `“${group}” turned up, about ${percent(evidence.share)} of the traffic, and nobody has labelled it.`;
  if (kind === "embedding") return `The image vectors have changed, ${rests}.`;
  if (kind === "label_mix") return `The mix of classes has changed, ${rests}.`;
  if (kind === "novelty") return `More pictures than before that nothing explains, ${rests}.`;
  return `Zero-shot ${kind} on ${name} has changed, ${rests}.`;
}
