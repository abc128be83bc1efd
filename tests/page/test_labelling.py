"""Labels by way of the page: what it asks about, and what is sent where somebody answers."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from stream_adapter.errors import Unreachable
from stream_adapter.page.labelling import Labelling
from tests.fakes import picture
from tests.journey.late_journey import Journey
from tests.page.live import TOKEN, LiveWorker, demo_config, live_worker, write_photographs
from tests.page.seen import seen
from tests.page.served import Served, served
from tests.page.tab import Tab, text


@pytest.fixture
def journey() -> Journey:
    """Eight pictures of cats and dogs that wait for labels."""
    journey = Journey()
    journey.send(*(picture("cat" if number % 2 else "dog", number) for number in range(8)))
    journey.now_ms = int(time.time() * 1000)
    return journey


@pytest.fixture
def one(journey: Journey) -> Iterator[Served]:
    with served(token=TOKEN) as one:
        one.page.labelling = Labelling(journey.processor.questions, journey.transport.write)
        yield one


def say(one: Served, document: Any, token: str = TOKEN, **headers: str) -> tuple[int, Any]:
    wanted = {"x_stream_adapter": "page", "authorization": f"Bearer {token}", **headers}
    return one.request("POST", "/api/labels", json.dumps(document).encode(), **wanted)[:2]


def asked(one: Served, limit: int = 8) -> list[Any]:
    events = one.get(f"/api/labels?limit={limit}")["events"]
    assert isinstance(events, list)
    return events


def test_it_asks_about_events_whose_picture_is_kept_and_else_about_any(one: Served) -> None:
    assert len(asked(one)) > 2 and len(asked(one, limit=2)) == 2
    assert {event["picture"] for event in asked(one)} == {None}
    one.page.pictures.add(seen("3"))
    one.page.pictures.add(seen("77"))  # of another worker, or long gone
    (event,) = asked(one)
    assert (event["source"], event["id"]) == ("/test", "3")
    assert event["picture"].startswith("data:image/jpeg")
    assert event["top"][0]["label"] == event["zero_shot_label"] == "cat" and len(event["top"]) == 3


def test_a_label_is_learned_under_its_annotator_and_can_be_taken_back(one: Served, journey: Journey) -> None:
    event = {"source": "/test", "id": "3"}
    assert say(one, {**event, "label": " dog ", "annotator": "anna"}) == (200, {"label": "dog"})
    journey.settle()
    ((label, _, annotator),) = journey.anchors.values()
    assert (label, annotator) == ("dog", "anna")
    assert "3" not in {event["id"] for event in asked(one)}
    assert say(one, {**event, "label": None}) == (200, {"label": None})
    journey.settle()
    assert journey.anchors == {}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"source": "/test", "id": "3", "label": "unicorn"}, "unicorn"),
        ({"source": "/test", "id": "3", "label": " "}, "not empty"),
        ({"source": "/test", "label": "cat"}, "not empty"),
        ({"source": "/test", "id": 3, "label": "cat"}, "`id` must be a text"),
        ({"source": "/test", "id": "3", "label": "cat", "annotator": "a" * 2_001}, "`annotator`"),
        ({"source": "/test", "id": "3", "lable": "cat"}, "`label` is missing"),
        (["cat"], "`label` is missing"),
    ],
)
def test_what_makes_no_sense_is_refused_and_not_sent(one: Served, journey: Journey, document: Any, reason: str) -> None:
    status, answer = say(one, document)
    assert (status, reason in answer["error"]) == (400, True), answer
    journey.settle()
    assert journey.anchors == {} and journey.letters() == []


def test_only_who_may_change_the_page_labels(one: Served, journey: Journey) -> None:
    label = {"source": "/test", "id": "3", "label": "cat"}
    assert say(one, label, token="wrong")[0] == 401
    assert say(one, label, sec_fetch_site="cross-site")[0] == 403
    assert one.request("POST", "/api/labels", b"{}", authorization=f"Bearer {TOKEN}")[0] == 403
    with served() as read_only:
        read_only.page.labelling = one.page.labelling
        assert say(read_only, label)[0] == 403
        assert asked(read_only)
    journey.settle()
    assert journey.anchors == {}


def test_where_nothing_waits_for_labels_it_says_so() -> None:
    with served(token=TOKEN) as one:
        assert one.request("GET", "/api/labels")[0] == 404
        assert not one.get("/api/live?span=15m")["access"]["labels"]


def test_a_broker_that_does_not_answer_is_no_success(one: Served, journey: Journey) -> None:
    def fail(outputs: Any) -> None:
        raise Unreachable("no broker answers")

    one.page.labelling = Labelling(journey.processor.questions, fail)
    assert say(one, {"source": "/test", "id": "3", "label": "cat"}) == (503, {"error": "no broker answers"})


@pytest.fixture(scope="module")
def live(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveWorker]:
    folder = tmp_path_factory.mktemp("labelling")
    write_photographs(folder, 600)  # more keep coming while the page is looked at
    config = demo_config(folder, f"page: {{token: '{TOKEN}', pictures_per_s: 200}}\n", "groceries")
    config = config.replace("format: recorded", f"format: recorded\n  labels_file: {folder}/labels.jsonl")
    with live_worker(config, rate=50.0) as live:
        live.wait_for(120, seconds=200.0)
        yield live


@pytest.mark.parametrize("width", [1280, 390])
def test_a_key_labels_the_picture_in_front(chromium: Any, live: LiveWorker, width: int) -> None:
    tab = Tab(chromium, viewport={"width": width, "height": 844})
    page = tab.open(live.url)
    page.locator("#labelling").scroll_into_view_if_needed()
    page.locator("#to-label button").nth(1).wait_for(timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    first, choice = text(tab, "#label-picture"), page.locator("#label-choices b").nth(1).inner_text()
    assert page.evaluate("document.activeElement === document.body"), "where it is in sight keys need no click"
    page.keyboard.press("2")
    assert "Enter the token" in text(tab, "#label-said")
    page.fill("#label-token", TOKEN)
    page.fill("#label-name", "123")  # digits are a name here, and no labels
    sent = live.folder / "labels.jsonl"
    before = sent.read_text().count("\n") if sent.exists() else 0
    page.locator("#label-choices button").first.focus()
    page.keyboard.press("2")
    page.wait_for_selector("#label-said button")
    (label,) = [json.loads(line)["data"] for line in sent.read_text().splitlines()[before:]]
    assert (label["label"], label["annotator"]) == (choice, "123")
    assert label["id"] in first and text(tab, "#label-picture") != first
    assert page.evaluate("document.activeElement.closest('#label-choices') !== null"), (
        "the next key is for the next one"
    )
    second = text(tab, "#label-picture")
    page.keyboard.press("0")
    assert text(tab, "#label-picture") != second
    page.fill("#label-other", "no such class")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#label-said').textContent.includes('not sent')")
    page.fill("#label-other", "banana")
    page.keyboard.press("Enter")
    page.wait_for_selector("#label-said button")
    page.click("#label-said button")
    page.wait_for_function("() => document.querySelector('#label-said').textContent.includes('no longer banana')")
    assert [json.loads(line)["data"]["label"] for line in sent.read_text().splitlines()[before + 1 :]] == [
        "banana",
        None,
    ]
    assert [line for line in tab.said if "400" not in line] == []
    tab.context.close()
