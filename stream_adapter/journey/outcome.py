"""What a finished batch leaves."""

from collections.abc import Callable, Collection, Mapping, Set
from dataclasses import dataclass, field, replace

from stream_adapter.errors import UnwritablePrediction
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import Commit, OutputTooLarge, OutRecord, Partition, Record
from stream_adapter.transport.dead_letters import dead_letter


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished batch leaves: what to commit, and what to count once it is durable.

    Attributes:
        commit: outputs and positions.
        refused: the partition of every dead letter, and the stage that refused the event.
        durable: to be called once it is.
        events: the event of each prediction, by the `id` of the output.
    """

    commit: Commit
    refused: tuple[tuple[Partition, str], ...] = ()
    durable: tuple[Callable[[], None], ...] = ()
    events: Mapping[int, Record] = field(default_factory=dict)

    def with_letter(self, error: OutputTooLarge) -> "Outcome":
        """The same with a dead letter for the event whose prediction is too large, where it is one of this batch."""
        event = self.events.get(id(error.output))
        if event is None:
            return self
        letter = dead_letter(event, UnwritablePrediction(str(error)))
        refused = (*self.refused, (event.partition, UnwritablePrediction.stage))
        return replace(self, commit=Commit([*self.commit.outputs, letter], self.commit.positions), refused=refused)

    def without(
        self, partitions: Set[Partition], too_large: Collection[OutRecord] = ()
    ) -> tuple["Outcome", list[OutRecord]]:
        """The same without what comes from these partitions' events and without these; and all that it leaves out."""
        large = set(map(id, too_large))
        dropped = [one for one in self.commit.outputs if one.source in partitions or id(one) in large]
        left_out = set(map(id, dropped))
        kept = [one for one in self.commit.outputs if id(one) not in left_out]
        positions = {at: to for at, to in self.commit.positions.items() if at not in partitions}
        refused = tuple((at, stage) for at, stage in self.refused if at not in partitions)
        return replace(self, commit=Commit(kept, positions), refused=refused), dropped

    def report(self, metrics: Metrics) -> None:
        """Count what became durable, and call back who waits for it."""
        metrics.predictions.inc(sum(output.channel == "predictions" for output in self.commit.outputs))
        for _, stage in self.refused:
            metrics.dead_letters.labels(stage=stage).inc()
        for call_back in self.durable:
            call_back()
