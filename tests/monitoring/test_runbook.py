"""The runbook has a section for every alert and no other, and names nothing that is not there."""

import re

import pytest

from stream_adapter.config import Config
from tests.monitoring.rules import ROOT, alerts, all_rules, exported, metrics_in
from tests.test_docs import COMMANDS, keys

RUNBOOK = (ROOT / "docs/runbook.md").read_text()
SECTIONS = {
    found[1]: found[2] for found in re.finditer(r"^## (\w+)\n(.*?)(?=^#+ |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
}


def test_alerts_and_sections_are_the_same() -> None:
    assert set(SECTIONS) == set(alerts())


def test_sections_are_where_an_alert_of_their_urgency_is_looked_for() -> None:
    pages = RUNBOOK.partition("# Pages")[2].partition("\n# ")[0]
    urgent = {name for name, rule in alerts().items() if rule["labels"]["severity"] == "page"}
    assert set(re.findall(r"^## (\w+)", pages, re.MULTILINE)) == urgent


@pytest.mark.parametrize("name", alerts())
def test_a_section_says_what_it_means_where_to_look_and_what_to_do(name: str) -> None:
    for part in ("**Means** ", "**Look**", "**Do** "):
        assert part in SECTIONS[name]


def test_it_names_metrics_rules_commands_and_keys_that_exist() -> None:
    assert metrics_in(RUNBOOK) <= exported()
    records = {rule["record"] for rule in all_rules() if "record" in rule}
    assert set(re.findall(r"namespace_job\w*:[\w:]+", RUNBOOK)) <= records
    named = set(re.findall(r"`stream-adapter ([a-z-]+(?: [a-z-]+)?)", RUNBOOK))
    assert named
    assert {f"stream-adapter {name}" for name in named} <= set(COMMANDS)
    sections = "adapter|batch|dead_letters|drift|encoder|kafka|snapshots|vocabulary"
    asked = set(re.findall(rf"`((?:{sections})\.[a-z_.]+)", RUNBOOK))
    known = set(keys(Config))
    assert asked <= known, asked - known


def test_links_inside_it_lead_to_its_sections() -> None:
    anchors = {name.lower() for name in SECTIONS}
    assert set(re.findall(r"\]\(#(\w+)\)", RUNBOOK)) <= anchors


def test_monitoring_names_every_alert_and_the_pages_as_pages() -> None:
    text = (ROOT / "docs/monitoring.md").read_text()
    assert set(re.findall(r"runbook\.md#(\w+)\)", text)) == {name.lower() for name in alerts()}
    urgent = {name for name, rule in alerts().items() if rule["labels"]["severity"] == "page"}
    assert set(re.findall(r"^\| \[(StreamAdapter\w+)\]", text, re.MULTILINE)) == urgent
