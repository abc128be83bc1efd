"""Kill workers again and again in the middle of a stream, and count what was lost or doubled: `make kill-test`."""

import random
import time
from collections.abc import Callable
from pathlib import Path

from stream_adapter.demo.broker import LocalKafka
from tests.campaigns.campaign import EXPELLED_S, Campaign, Report

_COME_TO_WORK_S = 10.0


class KillCampaign(Campaign):
    """Whatever ends or stops a worker, or its broker, at random moments; counted in the report."""

    def kill_one(self) -> None:
        """SIGKILL at a random moment to a random worker that has come to work; where none does for long, to any."""
        until = time.monotonic() + _COME_TO_WORK_S
        while not self._working() and time.monotonic() < until:
            self._pass(0.2)
        self._pass(self._rng.expovariate(1 / 1.5))
        self.workers.kill(self._rng.choice(self._working() or self.workers.started))
        self.report.kills += 1

    def _working(self) -> list[int]:
        return [one for one in self.workers.started if (self.workers.metric(one, "assigned_partitions") or 0) > 0]

    def restart_broker(self) -> None:
        """SIGKILL to the broker at a random moment, and its return."""
        self._pass(self._rng.uniform(2.0, 6.0))
        self._broker_killed()
        self.report.broker_restarts += 1

    def zombie(self) -> None:
        """A worker stands still until its partitions and its transaction belong to others, then goes on."""
        self._pass(self._rng.uniform(1.0, 3.0))
        self._stand_still(self._any(), EXPELLED_S)
        self.report.zombies += 1

    def rescale(self) -> None:
        """A worker is stopped in order, and comes back: the others take its partitions over, and give them back."""
        self._pass(self._rng.uniform(1.0, 3.0))
        self._stop_in_order(3.0)
        self.report.rescales += 1


def run_campaign(
    kafka: LocalKafka,
    folder: Path,
    *,
    kills: int = 0,
    broker_restarts: int = 0,
    zombies: int = 0,
    rescales: int = 0,
    workers: int = 3,
    rate: float = 60.0,
    budget: int = 300,
    seed: int = 0,
    late: bool = False,
    progressed: Callable[[], None] = lambda: None,
) -> Report:
    """Disturb a stream so many times; see `Report`."""
    campaign = KillCampaign(kafka, folder, workers=workers, rate=rate, budget=budget, seed=seed, late=late)
    disturbances = [campaign.kill_one] * kills + [campaign.restart_broker] * broker_restarts
    disturbances += [campaign.zombie] * zombies + [campaign.rescale] * rescales
    random.Random(seed).shuffle(disturbances)

    def disturb(_: Campaign) -> None:
        for one in disturbances:
            one()
            progressed()

    return campaign.run(disturb)
