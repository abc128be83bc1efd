"""The parts of a journey that remember something: what a snapshot keeps, beside what follows from the anchors."""

from dataclasses import dataclass, field

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.errors import SnapshotError
from stream_adapter.journey.classes import ClassesInForce
from stream_adapter.journey.labels import Labels
from stream_adapter.journey.scoring import Scoring
from stream_adapter.journey.sharing import Sharing
from stream_adapter.journey.state import JourneyState
from stream_adapter.journey.watching import Watching


@dataclass(frozen=True, slots=True)
class Parts:
    """They belong to the thread that owns the adapter.

    Attributes:
        adapter: vectors to probabilities.
        scoring: labels as tests.
        watching: the drift monitor looks on.
        labels: labels as lessons.
        sharing: what workers tell each other beside their anchors.
        classes: what the classes are.
        positions: how far the changelog was followed, by its partitions.
    """

    adapter: Adapter
    scoring: Scoring
    watching: Watching
    labels: Labels
    sharing: Sharing
    classes: ClassesInForce
    positions: dict[int, int] = field(default_factory=dict)

    def state(self) -> JourneyState:
        """What is known beside the anchors, for a snapshot; nothing in it changes any more."""
        replica = self.labels.replica
        return JourneyState(
            labels=self.labels.state(),
            learner=self.adapter.learner_state(),
            records=self.sharing.state(),
            accuracy=self.scoring.state(),
            drift=self.watching.state(),
            classes=self.classes.now,
            set_aside=replica.set_aside.arrays(replica.unconfirmed, self.adapter.dimension),
        )

    def restore(self, state: JourneyState) -> None:
        """Take over what `state` gave, but for the learner's arrays: those the adapter takes with its anchors.

        Raises:
            SnapshotError: it is of another form; nothing has changed.
        """
        set_aside = self.labels.replica.set_aside
        before = set_aside.anchors
        try:
            set_aside.restore(state.set_aside)
            self.scoring.restore(state.accuracy)
        except ValueError as error:
            set_aside.anchors = before
            raise SnapshotError(f"what the worker knew beside its anchors cannot be used: {error}") from error
        self.watching.restore(state.drift)
        self.sharing.restore(state.records)
        self.labels.restore(state.labels)
