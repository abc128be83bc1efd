"""Faults at random into a group of workers for so many minutes, and a verdict on every event."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stream_adapter.demo.broker import LocalKafka
from tests.campaigns.campaign import Campaign
from tests.campaigns.workers import allocator_of_the_image
from tests.faults.kinds import FaultCampaign

FLAT = 0.02
MOST_LINES = 60.0  # a worker and minute


@dataclass
class FaultReport:
    """How the campaign ended; the line of JSON.

    Attributes:
        faults: how many were injected; `kinds` says which.
        events: records of the images topic that are no tombstones.
        lost, doubled: events without, or with more than, one outcome and one effect.
        hangs: workers whose loop stood still for longer than `service.stuck_after_s`, and waits that ended in nothing.
        uncaught: tracebacks in the workers' logs, and errors that nobody foresaw.
        digests_equal, answers_equal: whether all workers and a fresh one have the same anchors and answers.
        rss_growth, fd_growth: of the worker that grew most, from when its stores were full, as a share; None where no
            worker lived for long enough.
        ended: how workers ended by themselves, with how often.
        lines_a_minute: of a worker's log.
        jemalloc: whether workers allocated with it, as they do in the image; else with what the machine has.
    """

    faults: int = 0
    events: int = 0
    lost: int = 0
    doubled: int = 0
    hangs: int = 0
    uncaught: int = 0
    digests_equal: bool = False
    rss_growth: float | None = None
    fd_growth: float | None = None
    answers_equal: bool = False
    dead_letters: int = 0
    lines_a_minute: float = 0.0
    seconds: float = 0.0
    jemalloc: bool = False
    kinds: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether everything is as it must be."""
        return not (self.lost or self.doubled or self.hangs or self.uncaught) and self.digests_equal

    @property
    def flat(self) -> bool:
        """Whether memory, descriptors and logs stayed within the bounds of a soak."""
        grown = (
            self.rss_growth is not None and self.fd_growth is not None and max(self.rss_growth, self.fd_growth) <= FLAT
        )
        return grown and self.lines_a_minute <= MOST_LINES


def run_faults(
    kafka: LocalKafka,
    folder: Path,
    *,
    seconds: float,
    workers: int = 3,
    rate: float = 40.0,
    seed: int = 0,
    only: Sequence[str] = (),
    spare_one: bool = False,
    broker_away: bool = False,
) -> FaultReport:
    """Inject faults for so long, or only take the broker away, let the workers come to rest, and judge.

    `spare_one` as for `FaultCampaign`.
    """
    campaign = FaultCampaign(kafka, folder, workers=workers, rate=rate, seed=seed, spare_one=spare_one)

    def disturb(_: Campaign) -> None:
        campaign.watch.start()
        if broker_away:
            campaign.take_broker_away(seconds)
        else:
            campaign.disturb_for(seconds, only)

    try:
        found = campaign.run(disturb)
    finally:
        campaign.close()
    watch = campaign.watch
    waits = [example for example in found.examples if example.startswith("waited")]
    uncaught = watch.uncaught(folder)
    return FaultReport(
        faults=campaign.kinds.total(),
        events=campaign.verdict_events,
        lost=found.lost,
        doubled=found.doubled,
        hangs=len(watch.stuck) + len(waits),
        uncaught=len(uncaught),
        digests_equal=found.digests_equal,
        rss_growth=watch.growth("rss"),
        fd_growth=watch.growth("descriptors"),
        answers_equal=found.answers_equal,
        dead_letters=campaign.letters,
        lines_a_minute=round(watch.lines(folder) / (found.seconds / 60) / (workers + 1), 1),
        seconds=found.seconds,
        jemalloc=bool(allocator_of_the_image()),
        kinds=dict(campaign.kinds),
        ended=watch.endings(folder, found.ended_by_themselves),
        examples=[*found.examples, *waits, *watch.stuck, *uncaught][:12],
    )


def as_line(report: FaultReport) -> str:
    """The line of JSON."""
    return json.dumps(asdict(report))
