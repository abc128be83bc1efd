"""The dashboard that is committed is the one that its code makes, and asks for what a worker exports."""

import re
import runpy
from pathlib import Path

from tests.monitoring.queries import DASHBOARD, annotations, queries
from tests.monitoring.rules import ROOT, exported, metrics_in, promtool

FOLDER = ROOT / "deploy/grafana"


def test_the_committed_file_is_what_the_code_makes() -> None:
    made = runpy.run_path(str(FOLDER / "dashboard.py"))["as_json"]()
    assert (FOLDER / "dashboards/stream-adapter.json").read_text() == made, "run `make dashboard`"


def test_it_asks_for_metrics_that_a_worker_exports() -> None:
    asked = set().union(*(metrics_in(query) for query in [*queries("5m").values(), *annotations("5m").values()]))
    assert len(asked) > 30
    assert asked <= exported()


def test_every_metric_of_a_worker_is_shown_or_left_out_on_purpose() -> None:
    shown = {
        re.sub(r"_(total|bucket|sum|count|info)$", "", name) for q in queries("5m").values() for name in metrics_in(q)
    }
    names = {re.sub(r"_(total|bucket|sum|count|info)$", "", name) for name in exported()}
    left_out = {
        *("stage_failed", "scored", "correct"),  # the dead letters and the accuracy show what they say
        *("shadow_scored", "shadow_correct"),  # likewise
        *("anchors_followed", "seen_classes", "assigned_partitions", "restored_anchors"),
        *("snapshots", "snapshot_seconds"),
        "dead_letters_flood",  # an alert
        "pictures",  # for whoever asks why: what was said to be what
    }
    assert names - shown == {f"stream_adapter_{name}" for name in left_out}


def test_every_query_is_of_the_chosen_workers_and_is_promql(tmp_path: Path) -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            if "ALERTS" not in target["expr"]:
                assert target["expr"].count("{job=~") == len(
                    re.findall(r"(?:stream_adapter|process)_\w+", target["expr"])
                )
    rules = "\n".join(
        f"      - {{record: 'q:{number}', expr: '{query}'}}" for number, query in enumerate(queries("5m").values())
    )
    path = tmp_path / "queries.yaml"
    path.write_text(f"groups:\n  - name: queries\n    rules:\n{rules}\n")
    done = promtool("check", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_other_tools_refer_to_stays() -> None:
    assert DASHBOARD["uid"] == "stream-adapter"
    assert {one["name"] for one in DASHBOARD["templating"]["list"]} == {"datasource", "job", "instance", "docs"}
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Stream", "Encoder", "Adapter", "Drift", "State", "Surroundings", "Answers over HTTP"]
    identifiers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(identifiers)) == len(identifiers)
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in DASHBOARD["panels"] if panel["type"] != "row")
