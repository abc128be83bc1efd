"""The table of docs/reliability.md has every fault of the campaign, and is the one of `table.py`."""

from pathlib import Path
from typing import Any

import pytest

from tests.faults.kinds import FaultCampaign
from tests.faults.table import BEGIN, END, PAGE, ROWS, TESTED, table


def test_every_fault_has_a_row() -> None:
    campaign: Any = object.__new__(FaultCampaign)
    assert list(ROWS) == list(campaign.faults)


@pytest.mark.parametrize("test", [test for _, test in TESTED.values()])
def test_what_is_not_done_at_random_has_a_test(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"def {name}(" in (Path(__file__).parents[1] / file).read_text()


def test_the_page_has_the_table() -> None:
    assert PAGE.read_text().partition(BEGIN)[2].partition(END)[0] == table()
