"""Every alert fires at its trouble, alone, and stays quiet at what only looks like it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.fleet import Fleet, scraped
from tests.monitoring.normal_hour import normal_hour
from tests.monitoring.rules import RULE_FILES, alerts, all_rules, exported, metrics_in, promtool
from tests.monitoring.troubles import ALSO_FIRES, ALSO_QUIET, FIRES, STAYS_QUIET, Case

WANTED = set().union(*(metrics_in(rule["expr"]) for rule in all_rules()))


def simulated(name: str, case: Case, expected: list[str]) -> dict[str, Any]:
    """A test of promtool: which alerts fire at any time of the case."""
    fleet = Fleet(2)
    fleet.anchors = case.anchors
    seconds = case.minutes * 60.0
    return {
        "name": name,
        "interval": f"{case.interval_s:.0f}s",
        "input_series": scraped(fleet, case.trouble, seconds=seconds, step_s=case.interval_s, wanted=WANTED),
        "promql_expr_test": [ever_fired(seconds, expected)],
    }


def ever_fired(seconds: float, expected: list[str]) -> dict[str, Any]:
    return {
        "expr": 'max by (alertname) (max_over_time(ALERTS{alertstate="firing"}[2d]))',
        "eval_time": f"{seconds:.0f}s",
        "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in expected],
    }


def run(tests: list[dict[str, Any]], folder: Path) -> None:
    """Let promtool run them, two at a time; rules are evaluated as often as their series are scraped."""
    documents = [
        {
            "rule_files": [str(path) for path in RULE_FILES],
            "evaluation_interval": interval,
            "tests": [test for test in tests if test["interval"] == interval][part::2],
        }
        for interval in {test["interval"] for test in tests}
        for part in range(2)
    ]

    def judged(number: int) -> str:
        path = folder / f"{number}.yaml"
        path.write_text(yaml.dump(documents[number], Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), width=10**9))
        done = promtool("test", "rules", path)
        return "" if done.returncode == 0 else (done.stdout + done.stderr)[:3_000]

    with ThreadPoolExecutor(2) as pool:
        failures = "".join(pool.map(judged, range(len(documents))))
    assert not failures, failures


def test_the_rules_are_well_formed() -> None:
    done = promtool("check", "rules", *RULE_FILES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_stays_quiet() -> None:
    assert set(FIRES) == set(STAYS_QUIET) == set(alerts())


def test_the_rules_ask_for_metrics_that_a_worker_exports() -> None:
    assert WANTED
    assert exported() >= WANTED


@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_how_urgent_it_is_what_it_is_and_where_to_read_on(name: str) -> None:
    rule = alerts()[name]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"


def test_every_alert_fires_at_its_trouble_and_no_other_does(tmp_path: Path) -> None:
    cases = [*FIRES.items(), *ALSO_FIRES]
    run([simulated(f"{alert} fires", case, [alert]) for alert, case in cases], tmp_path)


def test_every_alert_stays_quiet_at_what_only_looks_like_it(tmp_path: Path) -> None:
    cases = [*STAYS_QUIET.items(), *ALSO_QUIET]
    run([simulated(f"{alert} stays quiet", case, []) for alert, case in cases], tmp_path)


def test_no_alert_fires_in_a_normal_hour(tmp_path: Path) -> None:
    fleet = Fleet(noise=True, seed=5)
    series = scraped(fleet, normal_hour, seconds=3600.0, step_s=15.0, wanted=WANTED)
    test = {
        "name": "a normal hour",
        "interval": "15s",
        "input_series": series,
        "promql_expr_test": [ever_fired(3600.0, [])],
    }
    run([test], tmp_path)
