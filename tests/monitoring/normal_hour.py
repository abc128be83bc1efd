"""An hour of a healthy fleet: what happens in it wakes nobody and opens no ticket."""

from tests.monitoring.fleet import RATE, Fleet
from tests.monitoring.troubles import Trouble, alarm, at, between, each, first, put, rate, recall, together, up_again


def away(number: int, begin: float, minutes: float) -> Trouble:
    """One worker is replaced: down, then restoring, then back; the others carry its partitions meanwhile."""

    def down(fleet: Fleet) -> None:
        fleet.workers[number].up = False
        fleet.workers[number].ready = False

    def restoring(fleet: Fleet) -> None:
        up_again(fleet)

    def back(fleet: Fleet) -> None:
        fleet.workers[number].ready = True

    middle = begin + minutes / 2
    return together(between(begin, middle, down), between(middle, begin + minutes, restoring, back))


def noise_in_accuracy(fleet: Fleet) -> None:
    """Shifts of labelling differ: the labels of some minutes are harder than those of others."""
    harder = 0.04 if int(fleet.now_s / 600) % 2 else 0.0
    for worker in fleet.workers:
        worker.accuracy = {"labelled": (0.95 - harder, 0.90 - harder), "canary": (0.90 - harder, 0.90 - harder)}


normal_hour: Trouble = together(
    noise_in_accuracy,
    # A rolling restart.
    away(0, 10.0, 2.0),
    away(1, 12.5, 2.0),
    away(2, 15.0, 2.0),
    # A burst: six times the traffic, more than the fleet can do.
    each(put("pace", 3.0)),
    between(22.0, 27.0, rate(6 * RATE), rate(RATE)),
    # A producer's mishap, and otherwise a few dead letters all the time.
    between(33.0, 35.0, each(put("bad", {"decode": 0.15})), each(put("bad", {"decode": 0.001, "label": 0.001}))),
    # A worker is killed and comes back: two rebalances, two aborted transactions.
    away(1, 38.0, 1.0),
    at(38.0, lambda fleet: fleet.workers[0].metrics.aborted_commits.inc(0.5)),
    # A slow minute of the disk of Kafka.
    between(44.0, 45.0, each(lambda worker: [worker.metrics.batch_latency.observe(12.0) for _ in range(2)] and None)),
    # The labellers go to lunch.
    between(48.0, 99.0, lambda fleet: setattr(fleet, "labels", False)),
    # ADWIN sees a change where there is none; one index sample is poor; one snapshot fails.
    at(50.0, first(alarm("confidence"))),
    between(51.0, 53.0, first(recall(0.88))),
    at(55.0, first(lambda worker: worker.metrics.snapshots.labels(outcome="failed").inc(0.25))),
)
