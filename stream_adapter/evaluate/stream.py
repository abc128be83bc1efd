"""The stream protocol: predict first, learn second (prequential), over the joint vocabulary.

Some classes, the canaries, are scored and never taught: they stand for everything that nobody labels. All draws are
made before any method runs, each from a generator of its own, so that all methods see the same stream.
"""

import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.draws import draw_classes, draw_look_alikes, generator, named_classes
from stream_adapter.evaluate.features import UNKNOWN, Features
from stream_adapter.evaluate.methods import Batch, Lessons, Method
from stream_adapter.evaluate.methods.base import Advance, Make
from stream_adapter.evaluate.results import Figures, Outcome, Sample, Trace, by_domain
from stream_adapter.evaluate.scores import Answers, joined, judge
from stream_adapter.evaluate.selecting import Asking

Select = Literal["random", "least-confident", "most-confident", "next"]
Order = Literal["shuffled", "by-domain", "recorded"]


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What kind of stream is made of the features. Shares are in [0, 1].

    `evaluate stream --help` says what each is; with `canary_labels` the first events of each canary are learned and
    not scored, and `canaries` are a share or names.
    """

    protocol: ClassVar[str] = "stream"
    tables: ClassVar[tuple[tuple[str, ...], ...]] = (("labelled", "canary"),)

    label_rate: float = 0.3
    canaries: float | tuple[str, ...] = 0.3
    canary_rate: float = 1.0
    canary_labels: int = 0
    canaries_after: float = 0.0
    look_alike: bool = False
    events: int = 2_500
    delay: int = 0
    label_noise: float = 0.0
    select: Select = "random"
    order: Order = "shuffled"
    batch: int = 64

    def __post_init__(self) -> None:
        for name in ("label_rate", "canary_rate", "canaries_after", "label_noise"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise EvaluationError(f"{name.replace('_', '-')} must be between 0 and 1, found {value:g}")
        for name, least in (("canary_labels", 0), ("events", 1), ("delay", 0), ("batch", 1)):
            if getattr(self, name) < least:
                raise EvaluationError(f"{name.replace('_', '-')} must be at least {least}, found {getattr(self, name)}")
        if self.canary_labels and not self.canaries:
            raise EvaluationError(f"canary-labels is {self.canary_labels}, but there are no canaries; set canaries")
        if self.select == "next" and (self.delay or self.label_noise):
            raise EvaluationError(
                "labels that are asked for are right and come at once; leave out delay and label-noise"
            )
        if self.order == "recorded" and self.canaries_after > 0.0:
            raise EvaluationError("canaries-after would take events out of the file's order; use another order")

    def size(self, features: Features) -> int:
        """About how many events one run predicts."""
        return min(self.events, len(features))

    def run(self, features: Features, make: Make, seed: int, advance: Advance) -> Outcome:
        """Run one method, made for these canaries, over the stream of one seed."""
        plan = plan_stream(features, self, seed)
        names = tuple(features.vocabulary.class_names[index] for index in np.flatnonzero(plan.canary))
        method = make(() if self.canary_labels else names)
        answers = run_stream(method, features, plan, self, advance)
        scored = plan.truth != UNKNOWN
        is_canary = scored & plan.canary[plan.truth]
        samples = [
            Sample(group, domain, Figures.of_stream(answers[rows]))
            for group, members in (("labelled", scored & ~is_canary), ("canary", is_canary))
            for domain, rows in by_domain(members, features.domains[plan.rows])
        ]
        trace = Trace(answers, is_canary)
        return Outcome(samples, trace, method.class_kinds(), names)


@dataclass(frozen=True, eq=False, slots=True)
class StreamPlan:
    """A stream of n events: everything that was drawn for one seed.

    Attributes:
        rows: int64 (n,), which row of the features each event is.
        truth: int64 (n,), the classes that answers are scored by; −1 where the vocabulary lacks the class, and for
            events of canaries whose labels are learned.
        taught: int64 (n,), the class that the event's label names, right or wrong; −1 where it gets none.
        canary: bool (C,), the classes that are never taught, but by their first labels where the settings say so.
    """

    rows: NDArray[np.int64]
    truth: NDArray[np.int64]
    taught: NDArray[np.int64]
    canary: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rows)


def plan_stream(features: Features, settings: StreamSettings, seed: int) -> StreamPlan:
    """Make all draws of a stream."""
    canary = _canaries(features, settings, seed)
    rows = _order(features, settings, _kept(features, canary, settings.canary_rate, seed), seed)
    truth = features.labels[rows]
    is_canary = (truth != UNKNOWN) & canary[truth]
    late = _held_back(is_canary, settings.canaries_after, seed)
    rows, truth, is_canary = rows[late], truth[late], is_canary[late]
    chosen = _chosen(features, rows, settings, seed) & ~is_canary & (truth != UNKNOWN)
    taught = _with_noise(np.where(chosen, truth, UNKNOWN), canary, features, settings.label_noise, seed)
    for label in np.flatnonzero(canary).tolist():
        first = np.flatnonzero(truth == label)[: settings.canary_labels]
        taught[first], truth[first] = label, UNKNOWN
    return StreamPlan(rows, truth, taught, canary)


def run_stream(
    method: Method, features: Features, plan: StreamPlan, settings: StreamSettings, advance: Advance
) -> Answers:
    """Run one method over a stream: each batch is predicted, then the labels that are due by then are learned."""
    answers = []
    asking = Asking(settings.label_rate) if settings.select == "next" else None
    for batch, lessons, truth in batches(features, plan, settings):
        probabilities = method.predict(batch.vectors)
        answers.append(judge(probabilities, truth))
        if asking is not None:
            asked = asking.ask(batch, probabilities)
            truths = plan.truth[asked]
            known = asked[(truths != UNKNOWN) & ~plan.canary[truths]]
            plan.taught[known] = plan.truth[known]
            lessons = _lessons(features, plan, np.concatenate([lessons.ids, known]))
        method.update(batch, lessons)
        advance(len(truth))
    return joined(answers)


def batches(
    features: Features, plan: StreamPlan, settings: StreamSettings
) -> Iterator[tuple[Batch, Lessons, NDArray[np.int64]]]:
    """For each batch its events, the labels that are due once it was predicted, and the true classes (B,)."""
    labelled = np.flatnonzero(plan.taught != UNKNOWN)  # positions in the stream, ascending
    learned = 0
    for start in range(0, len(plan), settings.batch):
        end = min(start + settings.batch, len(plan))
        due = int(np.searchsorted(labelled, end - settings.delay))
        lessons = labelled[learned:due]
        learned = due
        positions = np.arange(start, end)
        yield (
            Batch(features.vectors[plan.rows[positions]], positions),
            _lessons(features, plan, lessons),
            plan.truth[positions],
        )


def _lessons(features: Features, plan: StreamPlan, positions: NDArray[np.int64]) -> Lessons:
    return Lessons(features.vectors[plan.rows[positions]], plan.taught[positions], positions)


def _canaries(features: Features, settings: StreamSettings, seed: int) -> NDArray[np.bool_]:
    if isinstance(settings.canaries, tuple):
        classes = named_classes(features, settings.canaries)
    elif settings.canaries == 0.0:
        classes = np.zeros(0, np.int64)
    elif settings.look_alike:
        classes = draw_look_alikes(features, settings.canaries, seed)
    else:
        classes = draw_classes(features, settings.canaries, seed, "canaries")
    canary = np.zeros(len(features.vocabulary.class_names), np.bool_)
    canary[classes] = True
    if canary[features.occurring].all():
        raise EvaluationError("all classes that occur are canaries; none is left to teach")
    return canary


def _kept(features: Features, canary: NDArray[np.bool_], rate: float, seed: int) -> NDArray[np.int64]:
    """Rows, ascending, without the events of canaries that the rate leaves out; at least one of each class stays."""
    random = generator(seed, "canary rate")
    left_out = []
    for label in np.flatnonzero(canary).tolist():
        rows = np.flatnonzero(features.labels == label)
        stay = max(round(rate * len(rows)), min(len(rows), 1))
        left_out.append(random.permutation(rows)[stay:])
    return np.setdiff1d(np.arange(len(features)), np.concatenate([np.zeros(0, np.int64), *left_out]))


def _order(features: Features, settings: StreamSettings, rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    random = generator(seed, "order")
    if settings.order == "shuffled":
        return random.permutation(rows)[: settings.events]
    if settings.order == "recorded":
        return rows[: settings.events]
    names = features.domain_names
    each = max(settings.events // len(names), 1)
    return np.concatenate([random.permutation(rows[features.domains[rows] == name])[:each] for name in names])


def _held_back(is_canary: NDArray[np.bool_], share: float, seed: int) -> NDArray[np.int64]:
    """Positions in the order in which events come: no canary before `share` of them; later canaries fall anywhere."""
    positions = np.arange(len(is_canary))
    if share == 0.0 or not is_canary.any():
        return positions
    others = positions[~is_canary]
    head = int(min(share * len(positions), len(others)))
    gap = generator(seed, "canaries after").random(int(is_canary.sum()))  # where in the rest each canary falls
    place = np.concatenate([np.arange(head, len(others)), head + gap * max(len(others) - head, 1)])
    rest = np.concatenate([others[head:], positions[is_canary]])
    return np.concatenate([others[:head], rest[np.argsort(place, kind="stable")]])


def _chosen(features: Features, rows: NDArray[np.int64], settings: StreamSettings, seed: int) -> NDArray[np.bool_]:
    """Bool (n,): the events that somebody looks at. Whoever looks does not know the class beforehand."""
    if settings.select == "next":  # once it was predicted
        return np.zeros(len(rows), np.bool_)
    if settings.select == "random":
        return generator(seed, "labels").random(len(rows)) < settings.label_rate
    texts = features.vocabulary.text_vectors
    # In float64: many probabilities are within a float32 step of 1.
    logits = features.vocabulary.logit_scale * features.vectors[rows].astype(np.float64) @ texts.T.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    doubt = np.log(np.exp(logits).sum(axis=1))  # (n,), −ln of the top probability
    if settings.select == "least-confident":
        doubt = -doubt
    return _lowest_so_far(doubt, settings.label_rate)


def _lowest_so_far(values: NDArray[np.float64], rate: float) -> NDArray[np.bool_]:
    """Bool (n,): where a value is at most the `rate`-quantile (lower) of the values up to and including itself."""
    seen: list[float] = []
    chosen = np.zeros(len(values), np.bool_)
    for position, value in enumerate(values.tolist()):
        bisect.insort(seen, value)
        chosen[position] = rate > 0.0 and value <= seen[int(rate * (len(seen) - 1))]
    return chosen


def _with_noise(
    taught: NDArray[np.int64], canary: NDArray[np.bool_], features: Features, rate: float, seed: int
) -> NDArray[np.int64]:
    """Replace a share of the labels by another class that is taught, all with the same probability."""
    classes = features.occurring[~canary[features.occurring]]
    if rate == 0.0 or len(classes) < 2:
        return taught
    random = generator(seed, "label noise")
    wrong = (random.random(len(taught)) < rate) & (taught != UNKNOWN)
    # A shift by 1 … S−1 places among the S taught classes never hits the true one.
    shift = random.integers(1, len(classes), len(taught))
    moved = classes[(np.searchsorted(classes, np.where(wrong, taught, classes[0])) + shift) % len(classes)]
    return np.where(wrong, moved, taught)
