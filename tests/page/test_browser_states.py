"""States of the page that a short stream does not come to, in a real browser."""

from typing import Any

import numpy as np

from stream_adapter.drift.alarm import DriftAlarm, DriftStatus
from stream_adapter.drift.confidence_sequence import Interval
from tests.page.served import TOKEN, served
from tests.page.tab import Tab

HOSTILE = "<script>window.hacked=1</script>"


def test_elsewhere_it_asks_for_the_token_first(chromium: Any) -> None:
    tab = Tab(chromium)
    with served("0.0.0.0", mode="read_only", token=TOKEN) as one:
        page = tab.open(f"http://127.0.0.1:{one.server.port}/")
        page.fill("#token", "not the token of the tests")
        page.keyboard.press("Enter")
        page.wait_for_function("() => document.querySelector('#token-error').textContent === 'That is not the token.'")
        page.fill("#token", TOKEN)
        page.keyboard.press("Enter")
        page.wait_for_function("() => document.querySelector('#state').textContent === 'restoring'")
        assert not page.locator("#token-form").is_visible()
        assert "No labels yet" in page.inner_text("#chart-labelled")
        assert "No picture yet" in page.inner_text("#strip")
        assert "This page is read-only." in page.inner_text("#gallery-mode")
    tab.context.close()


def test_drift_is_told_in_words(chromium: Any) -> None:
    tab = Tab(chromium)
    with served(token=TOKEN) as one:
        statuses = [
            DriftStatus("harm", "overall", 1_200, True, -0.08, Interval(-0.12, -0.04, 0.99)),
            DriftStatus("harm", HOSTILE, 900, True, 0.02, Interval(-0.005, 0.05, 0.99)),
            DriftStatus("novelty", "overall", 700, True, 0.013),
            DriftStatus("accuracy", "unseen", 12, False),
        ]
        one.metrics.set_drift(statuses, np.array([1.0, 0.25], np.float32))
        evidence = {"before": 1.0, "after": 0.0, "difference": -0.3}
        lowered = DriftAlarm("guard", HOSTILE, "Guard", 40, 40, evidence=evidence, event_ids=("7",), action="lowered")
        one.page.on_alarm(lowered)
        one.page.on_alarm(DriftAlarm("new_class", "yak", "ClassNamer", 2_500, evidence={"share": 0.02}))
        page = tab.open(f"http://127.0.0.1:{one.server.port}/")
        page.wait_for_function("() => document.querySelectorAll('.question').length === 4")
        asked = [" ".join(row.inner_text().split()) for row in page.locator(".question").all()]
        assert asked == [
            "Does the adapter harm unseen classes? −8.0 points On 1,200 labels. The truth lies between −12.0 points "
            "and −4.0 points. That is harm.",
            f"… and in particular {HOSTILE} +2.0 points On 900 labels. The truth lies between "
            "−0.5 points and +5.0 points. No harm beyond 1.0 points.",
            "Zero-shot accuracy since its last change · unseen classes 12 of 50 labels: not enough yet",
            "Share of pictures that nothing explains 1.3 % On 700 events.",
        ]
        assert "holds the update back for one class. At least 25.0 % of the update" in page.inner_text("#guard")
        newest, older = (" ".join(item.inner_text().split()) for item in page.locator("#alarms li").all())
        assert "“yak” turned up, about 2.0 % of the traffic, and nobody has labelled it." in newest
        assert (
            f"The guard lowered the share of the update for {HOSTILE} from 100.0 % to 0.0 %: on 40 labels the update "
            "is −30.0 points against zero-shot."
        ) in older
        assert tab.said == []
    tab.context.close()
