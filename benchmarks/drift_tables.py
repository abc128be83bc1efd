"""What all parts of the drift study share: its constants, and tables of delays and of rivals."""

from collections.abc import Iterable

import numpy as np
from drift_rivals import Rival
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

console = Console(width=132)
ALPHA = 0.01
LENGTH = 20_000
"""Events in a stationary stream."""
WITHIN = 3_000
"""Labels within which harm is to be found."""
NEVER = 10**9


def summary(first: Iterable[int], change: Iterable[int], within: int) -> dict[str, float]:
    """Share found, median and 95 % point of the delay; an alarm before the change is not one that found it."""
    pairs = zip(first, change, strict=True)
    late = [alarm - moment if moment <= alarm < NEVER else NEVER for alarm, moment in pairs]
    return {
        "found": float(np.mean(np.array(late) < within)),
        "median": float(np.quantile(late, 0.5, method="higher")),
        "p95": float(np.quantile(late, 0.95, method="higher")),
    }


def delay(value: float) -> str:
    """A delay for a table."""
    return "–" if value >= NEVER else f"{value:,.0f}"


def compare(
    title: str,
    rivals: dict[str, tuple[Rival, int]],
    still: list[NDArray[np.float64]],
    moving: list[NDArray[np.float64]],
    change: list[int],
    within: int,
    progress: Progress,
) -> None:
    """A table of rivals, each on as many of the streams as it can be run on in reasonable time."""
    table = Table("detector", "streams", "false alarms", f"found in {within:,}", "median", "95 %", title=title)
    task = progress.add_task(title, total=sum(min(number, len(still)) for _, number in rivals.values()))
    for name, (rival, wanted) in rivals.items():
        number = min(wanted, len(still), len(moving))
        false, first = 0, []
        for calm, values, moment in zip(still[:number], moving[:number], change, strict=False):
            false += next(iter(rival(calm)), None) is not None
            first.append(next((row for row in rival(values) if row >= moment), NEVER))
            progress.advance(task)
        result = summary(first, change[:number], within)
        row = (f"{result['found']:.0%}", delay(result["median"]), delay(result["p95"]))
        table.add_row(name, str(number), f"{false} ({false / number:.0%})", *row)
    console.print(table)
