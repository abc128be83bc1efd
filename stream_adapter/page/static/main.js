// The page: asks the worker once a second what is new, and shows it.

import { ask, Poll, token } from "./api.js";
import { amounts, Chart, shares } from "./charts.js";
import { addAlarms, showDrift } from "./drift.js";
import { Gallery } from "./gallery.js";
import { Labelling } from "./labelling.js";
import { Strip } from "./pictures.js";
import { byId, clock, count, el, milliseconds, percent, rate } from "./text.js";

const STATES = {
  ready: ["ready", "good", ""],
  restoring: ["restoring", "warn", "The worker reads its anchors back and warms up; it answers when that is done."],
  no_answer: ["no answer", "bad", "No broker answers, or a topic is gone. The worker waits, loses nothing, and goes on by itself."],
  not_assigned: ["no partitions", "warn", "No input partition is assigned to this worker. It waits for its share, or the group has more workers than partitions."],
  draining: ["draining", "warn", "The worker finishes what is under way, commits it and stops."],
  stuck: ["stuck", "bad", "The loop makes no progress; see the worker's log. Liveness fails, so it will be restarted where somebody watches it."],
};
const NO_LABELS = "No labels yet: send events with a ce_label, and each is scored here before it is learned.";
const accuracyLines = (group) => [
  { name: "adapted", column: `adapted_${group}`, style: "adapted" },
  { name: "zero-shot", column: `zero_shot_${group}`, style: "plain" },
];
const accuracy = (group, title, sub, empty) => new Chart(byId(`chart-${group}`), {
  title, sub, lines: accuracyLines(group), format: percent, axis: (value) => `${Math.round(100 * value)} %`, range: shares, empty,
});
const charts = [
  accuracy("labelled", "Labelled classes", "they have anchors", NO_LABELS),
  accuracy("canary", "Canaries: classes that are never taught", "they stand for everything that nobody labels", "No canary was scored yet. Name some classes in adapter.canaries, and label some of their events: they are scored and never learned."),
  accuracy("unlabelled", "Classes without anchors", "at their first labels", "No label of a class without anchors yet."),
  new Chart(byId("chart-rate"), { title: "Throughput", sub: "events a second with a durable prediction, and labels", lines: [
    { name: "events/s", column: "events_per_s", style: "adapted" }, { name: "labels/s", column: "labels_per_s", style: "plain" }],
    format: rate, range: amounts, empty: "No events yet." }),
  new Chart(byId("chart-lag"), { title: "Lag", sub: "records of the input that are not yet read", lines: [
    { name: "records", column: "lag", style: "adapted" }], format: count, range: amounts, empty: "No partition is assigned yet." }),
  new Chart(byId("chart-latency"), { title: "Latency", sub: "from closing a batch to its durable predictions, mean", lines: [
    { name: "milliseconds", column: "latency_ms", style: "adapted" }], format: (value) => milliseconds(value).join(" "), axis: rate, range: amounts, empty: "No batch yet." }),
];
const strip = new Strip();
const labelling = new Labelling();
const gallery = new Gallery((ids) => strip.drop(ids));
let seen = { started: 0, picture: 0, alarm: 0, history: null };

function span() {
  return document.querySelector("input[name=span]:checked").value;
}

async function once() {
  const after = seen.history?.time_ms.at(-1) ?? 0;
  const query = new URLSearchParams({ span: span(), after, picture: seen.picture, alarm: seen.alarm, limit: 18 });
  const live = await ask(`api/live?${query}`);
  if (live.history.span !== span()) return; // another span was chosen meanwhile
  if (live.started_ms !== seen.started) {
    const first = seen.started === 0;
    seen = { started: live.started_ms, picture: 0, alarm: 0, history: null };
    strip.clear();
    byId("alarms").replaceChildren();
    if (!first) return void setTimeout(() => poll.now()); // another process: all of it anew
  }
  show(live);
}

function show(live) {
  document.body.classList.remove("stale");
  byId("token-form").hidden = true;
  byId("retry").hidden = true;
  byId("connection").textContent = `at ${clock(live.time_ms)}`;
  showState(live);
  showTiles(live);
  showVersions(live);
  seen.history = joined(seen.history, live.history);
  for (const chart of charts) chart.show(seen.history);
  showDrift(live.drift);
  addAlarms(live.drift.alarms);
  seen.alarm = Math.max(seen.alarm, ...live.drift.alarms.map((one) => one.number));
  if (live.pictures.length || !seen.picture) strip.add(live.pictures);
  seen.picture = Math.max(seen.picture, ...live.pictures.map((one) => one.number));
  byId("pictures-note").textContent = live.access.pictures
    ? "A sample, as the encoder saw them. Choose one to see which anchors moved its answer."
    : "A sample. Pictures are not shown here: page.pictures is off. Choose an event to see which anchors moved its answer.";
  if (live.state !== seen.state || live.access.changes !== gallery.changes) {
    gallery.allow(live.access.changes);
    labelling.allow(live.access);
    seen.state = live.state;
  }
  if (live.state === "restoring") return;
  gallery.heard(live.anchors.digest);
  labelling.heard();
}

/** The points that are known, and after them the new ones; the first new one is the last known one, grown. */
function joined(known, fresh) {
  if (!known || known.span !== fresh.span || !fresh.time_ms.length) return known?.span === fresh.span ? known : fresh;
  const from = fresh.time_ms[0];
  const keep = known.time_ms.findIndex((time) => time >= from);
  const all = { ...fresh };
  for (const [name, column] of Object.entries(fresh)) {
    if (Array.isArray(column)) all[name] = [...(keep < 0 ? known[name] : known[name].slice(0, keep)), ...column].slice(-600);
  }
  return all;
}

function showState(live) {
  const [name, tone, words] = STATES[live.state] ?? [live.state, "", ""];
  byId("state").textContent = name;
  byId("state").className = `pill ${tone}`;
  const restored = live.state === "restoring" && live.anchors.restored ? ` ${count(live.anchors.restored)} anchors so far.` : "";
  byId("notice").textContent = words + restored;
  byId("notice").hidden = !words;
  document.title = `${name} · stream_adapter`;
}

function tile(name, value, unit, more) {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value, unit ? el("span", { class: "unit" }, ` ${unit}`) : null), el("dd", { class: "more" }, more));
}

function showTiles(live) {
  const { throughput, anchors, classes, drift } = live;
  const [latency, unit] = milliseconds(throughput.latency_ms);
  const labels = Object.values(throughput.labels).reduce((sum, one) => sum + one, 0);
  const letters = throughput.dead_letters;
  byId("tiles").replaceChildren(
    tile("Throughput", rate(throughput.events_per_s), "events/s", `${count(throughput.predictions)} predictions in all`),
    tile("Lag", count(throughput.lag), "records", `${count(throughput.partitions)} ${throughput.partitions === 1 ? "partition" : "partitions"}`),
    tile("Latency", latency, unit, "batch to durable predictions"),
    tile("Labels", count(labels), "", `${rate(throughput.labels_per_s)} a second`),
    tile("Anchors", count(anchors.number), "", anchors.pending ? `${count(anchors.pending)} changes not in force yet` : "all in force"),
    tile("Classes", count(classes.labelled + classes.present + classes.dormant), "", `${count(classes.labelled)} labelled, ${count(classes.present)} present, ${count(classes.dormant)} dormant`),
    tile("Held back", drift.guarded_classes ? count(drift.guarded_classes) : "none", drift.guarded_classes ? "classes" : "", drift.guard === "act" ? "the guard acts on proven harm" : "the guard only raises alarms"),
    tile("Dead letters", count(letters), "", letters ? "stream-adapter dead-letters list" : "every event could be used"),
  );
}

function showVersions(live) {
  const pairs = { worker: live.versions.worker, encoder: live.versions.encoder, vocabulary: live.versions.vocabulary, "anchors digest": live.anchors.digest, "running since": clock(live.started_ms) };
  byId("versions").replaceChildren(...Object.entries(pairs).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, el("code", {}, value || "–")))));
}

const poll = new Poll(once, {
  failed: (error, wait) => {
    document.body.classList.add("stale");
    const again = `trying again in ${Math.round(wait / 1000)} s`;
    byId("state").className = "pill bad";
    byId("retry").hidden = false;
    if (error.status === 401) {
      byId("state").textContent = "token needed";
      byId("connection").textContent = "";
      byId("token-error").textContent = token.get() ? "That is not the token." : "";
      byId("token-form").hidden = false;
      return;
    }
    byId("state").textContent = "disconnected";
    document.title = "disconnected · stream_adapter";
    byId("connection").textContent = `${error.message}; ${again}`;
  },
});

byId("retry").addEventListener("click", () => poll.now());
byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token.set(byId("token").value);
  poll.now();
});
byId("spans").addEventListener("change", () => {
  seen.history = null;
  poll.now();
});
poll.now();
