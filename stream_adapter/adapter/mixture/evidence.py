"""What a window of traffic says about the classes, as sums that add up over workers, and how it travels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from stream_adapter.adapter.confidence import BINS

_FORMAT = 4
# On the wire, classes that are below this in everything are left out: a fiftieth of an event changes nothing.
_LEAST = 0.02
# Means of traffic are a byte a number; of so many bytes at most, those of the classes with most mass. A record must fit
# into a Kafka message of 1 MB.
_MOST_BYTES = 400_000


@dataclass(frozen=True, eq=False, slots=True)
class Evidence:
    """What n weighted events say about C classes.

    Attributes:
        events: how many they are, counted.
        weight: Σ w, events' worth.
        labelled: Σ w over the labelled events.
        total: float64 (d,), Σ w z.
        given: float64 (C,), what the traffic gives to each class by label shift: E in docs/method.md.
        explained: float64 (C,), how much of that labelled events explain.
        mass: float64 (C,), events' worth of belief about the unlabelled ones: N.
        mass_explained: float64 (C,), how much of that labelled events explain.
        spread: Σ_c N_c² / (N_c − 1) · (1 − |T_c / N_c|²) and Σ_c N_c, over classes of at least two: the variance.
        classes: int64 (m,), the classes that have a mean.
        sums: float64 (m, d), T: Σ w z by belief, of these.
        sure: float64 (BINS,), how sure zero-shot is of the events of labelled classes, by belief; see `confidence.py`.
        moves: float64 (2, BINS), right answers that labelled events would lose, net; see `Traffic.moves`.
        surest: float64 (C,), zero-shot's largest probability of each class in any event.
    """

    events: int
    weight: float
    labelled: float
    total: NDArray[np.float64]
    given: NDArray[np.float64]
    explained: NDArray[np.float64]
    mass: NDArray[np.float64]
    mass_explained: NDArray[np.float64]
    spread: tuple[float, float]
    classes: NDArray[np.int64]
    sums: NDArray[np.float64]
    sure: NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))
    moves: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, BINS)))
    surest: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def none(cls, n_classes: int, dimension: int) -> "Evidence":
        """Nothing seen."""
        zero = np.zeros(n_classes)
        total, sums = np.zeros(dimension), np.zeros((0, dimension))
        none = np.zeros(0, np.int64)
        return cls(0, 0.0, 0.0, total, zero, zero, zero, zero, (0.0, 0.0), none, sums, surest=zero)

    def __add__(self, other: "Evidence") -> "Evidence":
        """Two windows' evidence together."""
        classes = np.union1d(self.classes, other.classes)
        sums = np.zeros((len(classes), len(self.total)))
        for one in (self, other):
            sums[np.searchsorted(classes, one.classes)] += one.sums
        return Evidence(
            self.events + other.events,
            self.weight + other.weight,
            self.labelled + other.labelled,
            self.total + other.total,
            self.given + other.given,
            self.explained + other.explained,
            self.mass + other.mass,
            self.mass_explained + other.mass_explained,
            (self.spread[0] + other.spread[0], self.spread[1] + other.spread[1]),
            classes,
            sums,
            self.sure + other.sure,
            self.moves + other.moves,
            np.maximum(self.surest, other.surest),
        )

    @property
    def unexplained(self) -> NDArray[np.float64]:
        """Float64 (C,): what of `given` labelled events do not explain: e in docs/method.md."""
        return np.asarray(np.maximum(self.given - self.explained, 0.0))

    @property
    def mass_unexplained(self) -> NDArray[np.float64]:
        """Float64 (C,): what of `mass` labelled events do not explain: e′ in docs/method.md."""
        return np.asarray(np.maximum(self.mass - self.mass_explained, 0.0))

    def to_bytes(self, class_names: Sequence[str]) -> bytes:
        """Its wire form: safetensors, classes by name, so that another vocabulary can read it."""
        columns = np.stack([self.given, self.explained, self.mass, self.mass_explained, self.surest]).astype(np.float32)
        named = np.flatnonzero((columns[:4] >= _LEAST).any(axis=0))
        most = np.argsort(-self.mass[self.classes], kind="stable")[: _MOST_BYTES // len(self.total)]
        kept = np.sort(most)
        kept = kept[np.isin(self.classes[kept], named)]
        means = self.sums[kept] / np.maximum(self.mass[self.classes[kept]], 1e-9)[:, None]
        scale = np.maximum(np.abs(means).max(axis=1, initial=1e-9), 1e-9) / 127.0
        facts = {
            "format": _FORMAT,
            "classes": [class_names[index] for index in named.tolist()],
            "events": self.events,
            "weight": self.weight,
            "labelled": self.labelled,
            "spread": list(self.spread),
        }
        return save(
            {
                "facts": np.frombuffer(orjson.dumps(facts), np.uint8),
                "columns": np.ascontiguousarray(columns[:, named]),
                "total": self.total.astype(np.float32),
                "with_mean": np.searchsorted(named, self.classes[kept]).astype(np.int32),
                "means": np.rint(means / scale[:, None]).astype(np.int8),
                "scale": scale.astype(np.float32),
                "sure": self.sure.astype(np.float32),
                "moves": self.moves.astype(np.float32),
            }
        )

    @classmethod
    def from_bytes(cls, value: bytes, class_names: Sequence[str], dimension: int) -> "Evidence":
        """Read a wire form; classes that this vocabulary lacks are dropped, those that the record lacks have nothing.

        Raises:
            ValueError: it is no such record, or of another format or encoder; the message says which.
        """
        facts, arrays = _checked(value, dimension)
        index = {name: number for number, name in enumerate(class_names)}
        place = np.array([index.get(name, -1) for name in facts["classes"]], np.int64)
        columns = np.zeros((5, len(class_names)))
        columns[:, place[place >= 0]] = arrays["columns"][:, place >= 0]
        classes = place[arrays["with_mean"]]
        means = arrays["means"].astype(np.float64) * arrays["scale"][:, None]
        order = np.argsort(classes)
        order = order[classes[order] >= 0]
        classes, means = classes[order], means[order]
        sums = means * columns[2][classes][:, None]
        spread = (float(facts["spread"][0]), float(facts["spread"][1]))
        total = arrays["total"].astype(np.float64)
        given, explained, mass, mass_explained, surest = columns
        return cls(
            int(facts["events"]),
            float(facts["weight"]),
            float(facts["labelled"]),
            total,
            given,
            explained,
            mass,
            mass_explained,
            spread,
            classes,
            sums,
            arrays["sure"].astype(np.float64),
            arrays["moves"].astype(np.float64),
            surest,
        )


def _checked(value: bytes, dimension: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Facts and arrays of a wire form.

    Raises:
        ValueError: it is none.
    """
    try:
        arrays = load(value)
        facts = orjson.loads(arrays["facts"].tobytes())  # refuses what no writer of ours can mean: NaN, infinity
        if facts["format"] != _FORMAT:
            raise ValueError(f"it has the format {facts['format']!r}, this version reads {_FORMAT}")
        names, n = facts["classes"], len(facts["classes"])
        m = len(arrays["with_mean"])
        fits = (
            all(isinstance(name, str) for name in names)
            and len(set(names)) == n
            and arrays["columns"].shape == (5, n)
            and arrays["total"].shape == (dimension,)
            and arrays["means"].shape == (m, dimension)
            and arrays["means"].dtype == np.int8
            and arrays["scale"].shape == (m,)
            and arrays["sure"].shape == (BINS,)
            and arrays["moves"].shape == (2, BINS)
            and arrays["with_mean"].dtype == np.int32
            and len(np.unique(arrays["with_mean"])) == m
            and (not m or 0 <= arrays["with_mean"].min() <= arrays["with_mean"].max() < n)
        )
        numbers = [facts["events"], facts["weight"], facts["labelled"], *facts["spread"]]
        finite = all(np.isfinite(arrays[name]).all() for name in ("columns", "total", "scale", "sure", "moves"))
        if not fits or not finite or len(facts["spread"]) != 2 or not all(0 <= float(x) < 1e15 for x in numbers):
            raise ValueError("its parts do not fit each other")
        # Of unit vectors' means no number is above 1; whatever is larger would make answers that are none.
        amounts = (arrays["columns"], 1e15), (arrays["sure"], 1e15), (arrays["moves"][1], 1e15), (arrays["scale"], 1.0)
        fits = all(of.min(initial=0) >= 0 and of.max(initial=0) <= most for of, most in amounts)
        if not fits or any(np.abs(of).max(initial=0) > 1e15 for of in (arrays["total"], arrays["moves"][0])):
            raise ValueError("its figures are out of range")
    except (SafetensorError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"it cannot be read: {error!r}") from error
    return facts, arrays
