"""Simulates workers under a HorizontalPodAutoscaler as KEDA sets one up from our ScaledObject, in steps of 15 s.

The autoscaler's part follows the documented algorithm (autoscaling/v2): for each metric ceil(total / target) unless
within 10 % of it, the largest of them, the stabilisation windows, then the policies' limits.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

STEP_S = 15
TOLERANCE = 0.1
RATE_WINDOW_S = 300  # the query's rate([5m])


@dataclass
class Workers:
    """What the group does: reads, falls behind, catches up.

    Attributes:
        events_a_second: what one worker can do.
        start_s: from a pod's creation until it shares the work: image, model, restore, rebalance.
        handover_s: seconds for which the partitions of a removed worker lie idle (its session in the group).
        number: pods.
    """

    events_a_second: float
    start_s: float
    handover_s: float
    number: int
    lag: float = 0.0
    busy: float = 0.0
    _started: list[float] = field(default_factory=list)
    _idle: list[tuple[float, float]] = field(default_factory=list)
    _done: list[float] = field(default_factory=list)

    def scale(self, wanted: int, now_s: float) -> None:
        self._started += [now_s + self.start_s] * (wanted - self.number)
        if wanted < self.number:
            self._started = self._started[: len(self._started) - (self.number - wanted)]
            self._idle.append((now_s + self.handover_s, (self.number - wanted) / self.number))
        self.number = wanted

    def step(self, arrived: float, now_s: float) -> None:
        """Take in what arrived within a step."""
        at_work = self.number - sum(ready_s > now_s for ready_s in self._started)
        self._idle = [(until_s, share) for until_s, share in self._idle if until_s > now_s]
        held_back = arrived * min(1.0, sum(share for _, share in self._idle))
        done = min(self.lag + arrived - held_back, at_work * self.events_a_second * STEP_S)
        self.lag += arrived - done
        self._done = [*self._done, done][-(RATE_WINDOW_S // STEP_S) :]
        self.busy = sum(self._done) / self.events_a_second / (len(self._done) * STEP_S)


@dataclass
class Autoscaler:
    """One ScaledObject's decisions.

    Attributes:
        scaled_object: as rendered.
        metrics: the names of the triggers that it may look at.
    """

    scaled_object: dict[str, Any]
    metrics: tuple[str, ...] = ("busy", "lag")
    _wanted: list[tuple[float, int]] = field(default_factory=list)
    _changes: list[tuple[float, int]] = field(default_factory=list)

    def decide(self, workers: Workers, now_s: float) -> int:
        spec = self.scaled_object["spec"]
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        up, down = behavior["scaleUp"], behavior["scaleDown"]
        wanted = max(
            self._wanted_by(trigger, workers) for trigger in spec["triggers"] if trigger["name"] in self.metrics
        )
        wanted = min(max(wanted, spec["minReplicaCount"]), spec["maxReplicaCount"])
        window_s = max(up["stabilizationWindowSeconds"], down["stabilizationWindowSeconds"])
        self._wanted = [(at_s, value) for at_s, value in self._wanted if at_s > now_s - window_s] + [(now_s, wanted)]
        lowest = min(value for at_s, value in self._wanted if at_s > now_s - up["stabilizationWindowSeconds"])
        highest = max(value for at_s, value in self._wanted if at_s > now_s - down["stabilizationWindowSeconds"])
        number = workers.number
        if lowest > number:
            limits = [self._before(policy, number, now_s) + _room(policy, number) for policy in up["policies"]]
            return min(lowest, max(limits) if up["selectPolicy"] == "Max" else min(limits))
        if highest < number:
            limits = [self._before(policy, number, now_s) - _room(policy, number) for policy in down["policies"]]
            return max(highest, min(limits) if down["selectPolicy"] == "Max" else max(limits))
        return number

    def changed(self, by: int, now_s: float) -> None:
        self._changes.append((now_s, by))

    def _wanted_by(self, trigger: dict[str, Any], workers: Workers) -> int:
        metadata = trigger["metadata"]
        total, target = {
            "prometheus": lambda: (workers.busy, float(metadata["threshold"])),
            "kafka": lambda: (workers.lag, float(metadata["lagThreshold"])),
        }[trigger["type"]]()
        if abs(total / (target * workers.number) - 1) <= TOLERANCE:
            return workers.number
        return math.ceil(total / target)

    def _before(self, policy: dict[str, Any], number: int, now_s: float) -> int:
        """How many there were at the beginning of the policy's period."""
        return number - sum(by for at_s, by in self._changes if at_s > now_s - policy["periodSeconds"])


def _room(policy: dict[str, Any], number: int) -> int:
    return policy["value"] if policy["type"] == "Pods" else math.ceil(number * policy["value"] / 100)


def simulate(
    autoscaler: Autoscaler, workers: Workers, events_a_second: Callable[[float], float], hours: float
) -> list[int]:
    """The number of workers after every step."""
    numbers = []
    for step in range(int(hours * 3600 / STEP_S)):
        now_s = float(step * STEP_S)
        workers.step(events_a_second(now_s) * STEP_S, now_s)
        wanted, before = autoscaler.decide(workers, now_s), workers.number
        if wanted != before:
            workers.scale(wanted, now_s)
            autoscaler.changed(wanted - before, now_s)
        numbers.append(workers.number)
    return numbers


def reversals(numbers: list[int]) -> int:
    """How often the direction changed."""
    steps = [after - before for before, after in itertools.pairwise(numbers) if after != before]
    return sum((first > 0) != (second > 0) for first, second in itertools.pairwise(steps))
