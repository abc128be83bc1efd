import json

import numpy as np
import pytest
from rich.console import Console

from stream_adapter.evaluate.copies import as_json, as_tables, copies_rows, section
from stream_adapter.evaluate.results import CopiesTrace, Outcome, Run

NAMES = ("cat", "[bold]<dog>", "horse")
TRUTH = np.array([0, 0, 1, 1, 1, 1])
SEEN = TRUTH == 0


def hits(text: str) -> np.ndarray:
    return np.array([letter == "x" for letter in text])


def run(method: str, seed: int, before: str, after: str, deleted: str | None = None) -> Run:
    found = {"before": hits(before), "after": hits(after)} | ({"deleted": hits(deleted)} if deleted else {})
    return Run(method, seed, 0.0, Outcome([], copies=CopiesTrace(TRUTH, SEEN, hits("xxxx.."), found)))


RUNS = [
    run("a", 0, "xxxxx.", "xxx...", "xxxxxx"),
    run("a", 1, "xxxx..", ".xxxxx", "xxxx.."),
    run("b", 0, "......", "xxxxxx"),
]


def test_means_and_the_worst_class_of_the_worst_draw_by_hand() -> None:
    rows = {(row.method, row.group): row for row in copies_rows(RUNS, deleted=False)}
    row = rows["a", "all"]
    assert row.events == 12
    assert row.zero_shot == pytest.approx(4 / 6)
    after = row.phases["after"]
    assert after is not None
    assert after.accuracy == pytest.approx((3 / 6 + 5 / 6) / 2)
    assert after.change == pytest.approx(0.0)
    # Seed 0: cat 0, dog −1/4; seed 1: cat −1/2, dog +1/2.
    assert (after.worst.label, after.worst.seed, after.worst.events) == (0, 1, 2)
    assert after.worst.change == pytest.approx(-0.5)
    seen, others = rows["a", "seen"].phases["after"], rows["a", "not seen"].phases["after"]
    assert seen is not None
    assert others is not None
    assert seen.accuracy == pytest.approx(3 / 4)
    assert (others.worst.label, others.worst.seed, others.worst.change) == (1, 0, -0.25)


def test_what_cannot_forget_is_null_and_said() -> None:
    rows = copies_rows(RUNS, deleted=True)
    found = json.loads(json.dumps(as_json(rows, NAMES), allow_nan=False))
    shown = {(row["method"], row["group"]): row for row in found}
    assert shown["a", "all"]["deleted"]["accuracy"] == pytest.approx((1 + 4 / 6) / 2)
    assert shown["b", "all"]["deleted"] is None
    assert shown["a", "not seen"]["after"]["worst_class"] == {
        "class": "[bold]<dog>",
        "seed": 0,
        "events": 4,
        "accuracy": 0.25,
        "zero_shot": 0.5,
        "change": -0.25,
    }
    console = Console(record=True, width=200)
    for table in as_tables(rows, NAMES):
        table.show(console)
    text = console.export_text()
    assert text.count("cannot forget") == 3
    assert "[bold]<dog> -25 of 4" in text
    page = section(rows, NAMES)
    assert "[bold]&lt;dog&gt; -25 of 4" in page
    assert page.count("cannot forget") == 3


def test_without_deletion_nothing_is_said_of_it() -> None:
    rows = copies_rows(RUNS, deleted=False)
    assert all("deleted" not in row for row in as_json(rows, NAMES))
    assert "deleted" not in section(rows, NAMES)


def test_a_group_without_pictures_has_no_table() -> None:
    trace = CopiesTrace(TRUTH, np.ones(6, bool), hits("xxxxxx"), {"before": hits("xxxxxx"), "after": hits("xxxxxx")})
    rows = copies_rows([Run("a", 0, 0.0, Outcome([], copies=trace))], deleted=False)
    assert [row.group for row in rows] == ["all", "seen"]
    assert len(list(as_tables(rows, NAMES))) == 2
