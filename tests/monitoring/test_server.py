"""Scaled rules are the same rules, only faster."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.monitoring.rules import RULE_FILES
from tests.monitoring.server import FACTOR, scaled, shorter

UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@given(st.integers(1, 500), st.sampled_from(["s", "m", "h", "d"]))
def test_a_duration_is_divided(number: int, unit: str) -> None:
    assert shorter(f"{number}{unit}", 10) == f"{number * UNITS_MS[unit] // 10}ms"


def test_durations_may_have_several_parts() -> None:
    assert shorter("1h30m", 60) == "90000ms"


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "5m5"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        shorter(text)


def test_ranges_and_for_are_divided_and_nothing_else() -> None:
    rules = {
        "groups": [
            {
                "name": "g",
                "interval": "30s",
                "rules": [
                    {"record": "a:b:rate5m", "expr": "sum(rate(b_total[5m])) > 300 and max_over_time(c:d5m[1h:1m])"},
                    {"alert": "A", "expr": "a:b:rate5m offset 2m > 120", "for": "10m"},
                ],
            }
        ]
    }
    (group,) = scaled(rules, 60)["groups"]
    assert group["interval"] == "500ms"
    assert group["rules"][0]["expr"] == "sum(rate(b_total[5000ms])) > 300 and max_over_time(c:d5m[60000ms:1000ms])"
    assert group["rules"][1] == {"alert": "A", "expr": "a:b:rate5m offset 2000ms > 120", "for": "10000ms"}


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.name)
def test_of_the_projects_rules_durations_change_alone(path: object) -> None:
    rules = yaml.safe_load(path.read_text())  # type: ignore[attr-defined]

    def blank(text: str) -> str:
        return re.sub(r"\d+(ms|[smhd])(?=[\]:])", "…", text)

    for before, after in zip(rules["groups"], scaled(rules, FACTOR)["groups"], strict=True):
        for old, new in zip(before["rules"], after["rules"], strict=True):
            assert blank(old["expr"]) == blank(new["expr"])
            assert {**old, "expr": "", "for": ""} == {**new, "expr": "", "for": ""}
