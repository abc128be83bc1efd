"""The table of docs/reliability.md has every fault of the campaign, and is the one of `table.py`."""

from typing import Any

from tests.faults.kinds import FaultCampaign
from tests.faults.table import BEGIN, END, PAGE, ROWS, table


def test_every_fault_has_a_row() -> None:
    campaign: Any = object.__new__(FaultCampaign)
    assert list(ROWS) == list(campaign.faults)


def test_the_page_has_the_table() -> None:
    assert PAGE.read_text().partition(BEGIN)[2].partition(END)[0] == table()
