"""Do the drift monitors keep their promises? False alarms, power and delay in simulation, beside what others offer.

    python benchmarks/drift_study.py --streams 1000

Streams are seeded, so every run gives the same figures. The last line is JSON: for harm on unseen classes,
`false_alarms` among `streams` stationary streams of 20,000 labels whose harm is exactly the tolerated one (the hardest
case, 3 % of pairs lost and 2 % won); and for harm of 5 points (7 % lost, 2 % won) that begins at a random moment, the
share found within 3,000 labels and the delay in labels. The other tables need real vectors (PACS, WHU-RS19) and are
left out where the shared data folder is absent. Those of other libraries run on as many of the streams as their speed
allows.
"""

import json
from typing import Annotated

import typer
from drift_domain import domain_study
from drift_guard import cost_per_event, guard_study
from drift_harm import harm_rivals, harm_study
from drift_new_class import new_class_study
from drift_streams import load_features
from drift_tables import console
from rich.progress import Progress


def main(streams: Annotated[int, typer.Option(min=4, help="Streams in the main simulation.")] = 100) -> None:
    """Run the study."""
    pacs, aerial = load_features("pacs_clip_vitb16"), load_features("whurs19_clip_vitb32", "aerial")
    with Progress(console=console) as progress:
        line = harm_study(streams, progress)
        if pacs is None:
            console.print("The shared data folder is absent: no tables on real vectors.")
        else:
            new_class_study({"PACS": pacs} | ({"WHU-RS19": aerial} if aerial else {}), streams, progress)
            domain_study(pacs, streams, progress)
            guard_study(pacs, streams, progress)
            cost = cost_per_event(pacs)
            console.print(f"Cost of all monitors together: {cost:.1f} µs of processor time per event\n")
        harm_rivals(streams, progress)
    print(json.dumps(line))


if __name__ == "__main__":
    typer.run(main)
