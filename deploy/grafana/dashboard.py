"""The Grafana dashboard as code: `make dashboard` writes `dashboards/stream-adapter.json`.

Rows follow the journey of a batch. Every query works on a worker's own metrics, without the recording rules, so that
the dashboard can be used before anybody has loaded them; only the figure and the annotation of alerts need them.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from grafana_foundation_sdk.builders.common import ReduceDataOptions, VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
    TextBoxVariable,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

OUTPUT = Path(__file__).parent / "dashboards" / "stream-adapter.json"
DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
DOCS = "https://example.com/stream_adapter/docs"  # to be set in the dashboard to where these docs are read
WHERE = 'job=~"$job", instance=~"$instance"'

Query = tuple[str, str]  # PromQL, legend; §name[…] stands for the chosen workers' series

# Title, what it is for, unit, queries.
Panel = tuple[str, str, str, list[Query]]


def quantiles(metric: str, by: str = "", more: str = "") -> list[Query]:
    """Median and 99th percentile of a histogram."""
    grouped = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return [
        (
            f"histogram_quantile({q}, sum by ({grouped}) (rate(§{metric}_bucket{more}[$__rate_interval])))",
            f"{name}{legend}",
        )
        for q, name in ((0.5, "median"), (0.99, "99 %"))
    ]


def accuracy(group: str) -> list[Query]:
    """Adapted and zero-shot accuracy of a group, all workers together, over the newest labels."""
    return [
        (f'avg by (model) (§accuracy_ratio{{group="{group}"}})', "{{model}}"),
    ]


def gain(group: str) -> str:
    """Adapted minus zero-shot accuracy of a group."""
    adapted, zero_shot = (f'avg(§accuracy_ratio{{group="{group}", model="{m}"}})' for m in ("adapted", "zero_shot"))
    return f"{adapted} - {zero_shot}"


STATS: list[tuple[str, str, str, str, list[tuple[float | None, str]]]] = [
    ("Workers ready", "Restored, warm, and with partitions.", "short", "sum(§ready)", [(None, "red"), (1, "green")]),
    (
        "Alerts",
        "Firing now, pages and tickets; see the runbook.",
        "short",
        'count(ALERTS{alertname=~"StreamAdapter.*", alertstate="firing"}) or vector(0)',
        [(None, "green"), (1, "red")],
    ),
    (
        "Events",
        "Predictions and dead letters that became durable.",
        "reqps",
        "sum(rate(§predictions_total[$__rate_interval])) + sum(rate(§dead_letters_total[$__rate_interval]))",
        [(None, "blue")],
    ),
    (
        "Newest event waits",
        "Lag over pace: what a picture sent now waits for its prediction.",
        "s",
        "sum(§consumer_lag) / (sum(rate(§predictions_total[$__rate_interval]))"
        " + sum(rate(§dead_letters_total[$__rate_interval])))",
        [(None, "green"), (60, "orange"), (900, "red")],
    ),
    (
        "Labels are worth",
        "Adapted minus zero-shot accuracy on classes with anchors.",
        "percentunit",
        gain("labelled"),
        [(None, "red"), (-0.01, "orange"), (0, "green")],
    ),
    (
        "The promise",
        "The same on canaries: it must not fall below the tolerance.",
        "percentunit",
        gain("canary"),
        [(None, "red"), (-0.01, "green")],
    ),
]

ROWS: dict[str, list[Panel]] = {
    "Stream": [
        ("Events", "What became of the events, a second.", "reqps", [
            ("sum(rate(§predictions_total[$__rate_interval]))", "predicted"),
            ("sum by (stage) (rate(§dead_letters_total[$__rate_interval]))", "refused: {{stage}}"),
            ("sum by (stage) (rate(§unexpected_errors_total[$__rate_interval]))", "by a bug: {{stage}}"),
            ("sum(rate(§tombstones_total[$__rate_interval]))", "tombstones, skipped"),
            ("sum(rate(§event_times_ahead_total[$__rate_interval]))", "with a time that is ahead")]),
        ("Lag", "Records that are not yet read, by partition.", "short", [
            ("sum by (topic, partition) (§consumer_lag)", "{{topic}}/{{partition}}")]),
        ("Latency of a batch", "From its close to its durable predictions.", "s", quantiles("batch_latency_seconds")),
        ("Where the time goes", "Seconds a second that workers spend in a stage.", "percentunit", [
            ("sum by (stage) (rate(§stage_seconds_sum[$__rate_interval]))", "{{stage}}")]),
        ("Batches", "Events in a batch; small ones wait, full ones are busy.", "short", quantiles("batch_events")),
        ("Commits and rebalances", "Transactions undone, and changes of partitions, a minute.", "short", [
            ("60 * sum(rate(§aborted_commits_total[$__rate_interval]))", "aborted commits"),
            ("60 * sum(rate(§rebalances_total[$__rate_interval]))", "rebalances")]),
    ],
    "Encoder": [
        ("Time for one picture", "Encoding alone, by worker.", "s", [
            ('sum by (instance) (rate(§stage_seconds_sum{stage="encode"}[$__rate_interval]))'
             ' / sum by (instance) (rate(§stage_items_total{stage="encode"}[$__rate_interval]))', "{{instance}}")]),
        ("Encoding a batch", "", "s", quantiles("stage_seconds", more='{stage="encode"}')),
        ("Waiting for pictures", "How long a batch waits for the decoding pool.", "s",
         quantiles("stage_seconds", more='{stage="decode"}')),
        ("In progress", "Items that are in a stage now.", "short", [
            ("sum by (stage) (§stage_in_progress)", "{{stage}}")]),
        ("Processors", "Cores in use, by worker.", "short", [
            ("sum by (instance) (rate(process_cpu_seconds_total{WHERE}[$__rate_interval]))", "{{instance}}")]),
        ("Memory", "Resident, by worker.", "bytes", [("process_resident_memory_bytes{WHERE}", "{{instance}}")]),
    ],
    "Adapter": [
        ("Accuracy on labelled classes", "Before each label is learned, over the newest 1,000.", "percentunit",
         accuracy("labelled")),
        ("Accuracy on canaries", "Classes that are scored and never learned.", "percentunit", accuracy("canary")),
        ("Labels", "By what became of them, a second.", "reqps", [
            ("sum by (outcome) (rate(§labels_total[$__rate_interval]))", "{{outcome}}")]),
        ("Label delay", "From an event to its first label, of labels that came alone.", "s", [
            ("sum(rate(§label_delay_seconds_sum[$__rate_interval])) / "
             "sum(rate(§label_delay_seconds_count[$__rate_interval]))", "mean")]),
        ("Waiting for labels", "Events that are kept for labels, and labels whose event is not known.", "short", [
            ("sum(§waiting_events)", "events"), ("sum(§waiting_labels)", "labels")]),
        ("Classes", "What they are taken for.", "short", [("max by (kind) (§classes)", "{{kind}}")]),
        ("Gate", "Nearness to the nearest anchor; 0 far from every one.", "percentunit", [
            ("sum(rate(§gate_sum[$__rate_interval])) / sum(rate(§gate_count[$__rate_interval]))", "mean")]),
        ("Waiting", "Changes of the anchors that predictions do not know yet.", "short", [
            ("§learner_pending_changes", "{{instance}}")]),
        ("Index", "Recall against exact search; absent for exact search.", "percentunit", [
            ("§index_recall_ratio", "{{instance}}")]),
        ("Shadow", "Accuracy of the method in the shadow, on labelled classes; absent without one.", "percentunit",
         [('§shadow_accuracy_ratio{group="labelled"}', "{{instance}}")]),
    ],
    "Drift": [
        ("Harm on unseen classes", "Adapted minus zero-shot, with its confidence sequence; none where labels are few.",
         "percentunit", [
             ('§drift_value{kind="harm", group="overall"}', "{{instance}}"),
             ('§drift_bound{kind="harm", group="overall"}', "{{instance}} {{bound}}")]),
        ("Evidence", "Labels behind the answer, and whether they suffice (1).", "short", [
            ('§drift_observed{kind="harm", group="overall"}', "labels {{instance}}"),
            ('§drift_enough{kind="harm", group="overall"}', "enough {{instance}}")]),
        ("Alarms", "What the monitors found and the guard did, within an hour.", "short", [
            ("sum by (kind) (increase(§drift_alarms_total[1h]))", "{{kind}}")]),
        ("Guard", "Classes held back, and the smallest share of the update let through.", "short", [
            ("§guarded_classes", "classes {{instance}}"), ("§guard_damping", "damping {{instance}}")]),
        ("Novelty", "1 where neither the vocabulary nor an anchor explains a picture.", "percentunit",
         quantiles("novelty")),
        ("Called unknown", "Share of pictures held to be of no class; of known classes it should stay below the rate.",
         "percentunit", [
             ('sum by (of) (rate(§unknown_verdicts_total{verdict="unknown"}[5m])) '
              '/ sum by (of) (rate(§unknown_verdicts_total[5m]))', "of {{of}}")]),
        ("Zero-shot accuracy", "On seen and unseen classes, since its last change.", "percentunit", [
            ('avg by (group) (§drift_value{kind="accuracy"})', "{{group}}")]),
    ],
    "State": [
        ("Ready", "1 when restored, warm and assigned.", "short", [("§ready", "{{instance}}")]),
        ("Progress", "Seconds since the loop last got on.", "s", [("§progress_age_seconds", "{{instance}}")]),
        ("Anchors", "In the store, beside their budget.", "short", [
            ("§anchors", "{{instance}}"), ("max(§anchors_budget)", "budget")]),
        ("Different sets of anchors", "1 is right; more for moments while labels come in.", "short",
         [('count(count_values("digest", §anchors_digest))', "sets")]),
        ("Anchors removed", "By reason, a minute.", "short", [
            ("60 * sum by (reason) (rate(§anchors_removed_total[$__rate_interval]))", "{{reason}}")]),
        ("Snapshots", "Age of the newest one, and their interval.", "s", [
            ("§snapshot_age_seconds", "{{instance}}"), ("max(§snapshot_interval_seconds)", "interval")]),
        ("Size of a snapshot", "", "bytes", [("§snapshot_bytes", "{{instance}}")]),
        ("What runs", "Builds side by side.", "short", [
            ("count by (version, encoder, vocabulary) (§build_info)", "{{version}} {{encoder}} {{vocabulary}}")]),
    ],
    "Surroundings": [
        ("Pictures by reference", "What fetching them came to, a second.", "reqps", [
            ("sum by (scheme, outcome) (rate(§references_total[$__rate_interval]))", "{{scheme}}: {{outcome}}")]),
        ("Fetching a picture", "", "s", quantiles("reference_seconds")),
        ("No answer", "Seconds without a broker's answer.", "s", [("§transport_silent_seconds", "{{instance}}")]),
        ("Left out and set aside", "Outputs too large, and others' records among the anchors, a minute.", "short", [
            ("60 * sum by (channel) (rate(§outputs_too_large_total[$__rate_interval]))", "too large: {{channel}}"),
            ("60 * sum by (reason) (rate(§records_set_aside_total[$__rate_interval]))", "set aside: {{reason}}")]),
    ],
    "Answers over HTTP": [
        ("Requests", "By what became of them, a second.", "reqps", [
            ("sum by (outcome) (rate(§http_predictions_total[$__rate_interval]))", "{{outcome}}")]),
        ("Latency", "From a request to its answer.", "s", quantiles("http_prediction_seconds")),
        ("Time spent on answers", "Seconds a second; at a worker held below `predict.share`.", "percentunit", [
            ("sum by (instance) (rate(§http_compute_seconds_total[$__rate_interval]))", "{{instance}}")]),
    ],
}  # fmt: skip


def chosen(query: str) -> str:
    """The query with the worker's metric names in full, of the chosen workers."""
    parts = query.replace("{WHERE}", f"{{{WHERE}}}").split("§")
    made = parts[0]
    for part in parts[1:]:
        name = part[: next((i for i, c in enumerate(part) if not (c.isalnum() or c == "_")), len(part))]
        rest = part[len(name) :]
        labels = f"{{{WHERE}, {rest[1:]}" if rest.startswith("{") else f"{{{WHERE}}}{rest}"
        made += f"stream_adapter_{name}{labels}"
    return made


def timeseries(number: int, panel: Panel) -> Timeseries:
    """A panel over time."""
    title, description, unit, queries = panel
    legend = VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM).show_legend(True)
    made = Timeseries().id(number).title(title).description(description).unit(unit).datasource(DATASOURCE)
    made = made.height(8).span(8).line_width(1).fill_opacity(5).legend(legend)
    for letter, (query, name) in zip("ABCDEF", queries, strict=False):
        made = made.with_target(Dataquery().ref_id(letter).expr(chosen(query)).legend_format(name).range())
    return made


def stats() -> Iterator[Stat]:
    """The figures at the top."""
    for number, (title, description, unit, query, steps) in enumerate(STATS, start=1):
        thresholds = ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps([Threshold(v, c) for v, c in steps])
        target = Dataquery().ref_id("A").expr(chosen(query)).instant()
        made = Stat().id(number).title(title).description(description).unit(unit).datasource(DATASOURCE)
        made = made.reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        yield made.height(4).span(4).decimals(decimals(unit)).thresholds(thresholds).with_target(target)


def decimals(unit: str) -> int:
    """Whole workers, tenths of anything else."""
    return 0 if unit == "short" else 1


def dashboard() -> Dashboard:
    """The whole of it."""
    made = (
        Dashboard("stream_adapter")
        .uid("stream-adapter")
        .description("Workers that keep a frozen CLIP learning from a stream of labelled images.")
        .tags(["stream-adapter"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            DashboardLink("Runbook")
            .type(DashboardLinkType.LINK)
            .url("${docs}/runbook.md")
            .target_blank(True)
            .tooltip("What every alert means, and what to do")
        )
        .with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(variable("job", "label_values(stream_adapter_build_info, job)"))
        .with_variable(variable("instance", 'label_values(stream_adapter_build_info{job=~"$job"}, instance)'))
        .with_variable(
            TextBoxVariable("docs")
            .label("Docs")
            .default_value(DOCS)
            .current(VariableOption(selected=True, text=DOCS, value=DOCS))
        )
        .annotation(annotation("Alerts", 'ALERTS{alertname=~"StreamAdapter.*", alertstate="firing"}', "red"))
        .annotation(annotation("Drift found", chosen("increase(§drift_alarms_total[$__rate_interval]) > 0"), "orange"))
    )
    for stat in stats():
        made = made.with_panel(stat)
    number = len(STATS)
    for title, panels in ROWS.items():
        number += 1
        made = made.with_row(Row(title).id(number))
        for panel in panels:
            number += 1
            made = made.with_panel(timeseries(number, panel))
    return made


def variable(name: str, query: str) -> QueryVariable:
    """A choice among the values of a label, all by default."""
    made = QueryVariable(name).label(name.capitalize()).datasource(DATASOURCE).query(query)
    made = made.multi(True).include_all(True).all_value(".*").sort(VariableSort.ALPHABETICAL_ASC)
    made = made.current(VariableOption(selected=True, text="All", value="$__all"))
    return made.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)


def annotation(name: str, query: str, colour: str) -> AnnotationQuery:
    """Marks in all panels."""
    return AnnotationQuery().name(name).datasource(DATASOURCE).enable(True).expr(query).icon_color(colour)


def as_json() -> str:
    """The dashboard as Grafana imports it."""
    return json.dumps(dashboard().build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    OUTPUT.write_text(as_json())
