"""Three brokers of which one or two are gone for a while: leaders change, writes wait, and every event counts once."""

from pathlib import Path

import pytest

from tests.campaigns.campaign import Campaign
from tests.campaigns.kills import KillCampaign
from tests.campaigns.three_brokers import ThreeBrokers


@pytest.mark.slow
@pytest.mark.timeout(900)  # on a machine with other things to do; alone it takes two or three minutes
def test_no_event_is_lost_or_doubled_while_brokers_of_three_come_and_go(tmp_path: Path) -> None:
    with ThreeBrokers() as three:
        campaign = KillCampaign(three, tmp_path, workers=2, rate=40.0, budget=300, seed=0)  # type: ignore[arg-type]
        images = campaign._config.kafka.topics.images
        led = {tuple(three.leaders(images))}

        def disturb(_: Campaign) -> None:
            campaign.restart_broker()
            led.add(tuple(three.leaders(images)))
            campaign.kill_one()
            three.at_once = 2  # less than what must have every record
            campaign.restart_broker()
            three.at_once = 1
            campaign.restart_broker()
            led.add(tuple(three.leaders(images)))

        report = campaign.run(disturb)
    assert three.killed == 4 and len(led) > 1, "leaders must have changed"
    assert report.events > 100
    assert (report.lost, report.doubled) == (0, 0), report
    assert report.digests_equal, report
