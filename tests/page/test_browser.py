"""The page in a real browser, in front of a real worker on the demo's pictures."""

import base64
import json
import re
import shutil
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from stream_adapter.demo.scenes import DEMO_CLASSES
from stream_adapter.drift.alarm import DriftAlarm, DriftStatus
from stream_adapter.drift.confidence_sequence import Interval
from tests.page.live import TOKEN, LiveWorker, demo_config, live_worker, write_stream
from tests.page.served import served

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright (dependency group dev)")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

EVENTS = 240
HOSTILE = "<script>window.hacked=1</script>"
HOSTILE_ID = "<img src=x onerror=window.hacked=1>{:06d}"
TEXTS = ("--ink", "--quiet", "--good", "--bad", "--warn", "--adapted")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveWorker]:
    """A worker that has worked through its stream and stays. One of its classes, and all ids, are hostile."""
    folder = tmp_path_factory.mktemp("live")
    names = tuple(HOSTILE if name == "red circle" else name for name in DEMO_CLASSES)
    write_stream(folder, EVENTS, names=names, ids=HOSTILE_ID, label_share=0.5)
    config = demo_config(folder, f"page: {{token: '{TOKEN}', pictures_per_s: 200}}\n")
    with live_worker(config, rate=100.0) as live:
        urllib.request.urlopen(live.url + "api/live").read()  # somebody looks: the full rate
        live.wait_for(EVENTS)
        yield live


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Tab:
    """A page, and everything that it said and asked for."""

    def __init__(self, chromium: Any, **options: Any) -> None:
        self.context = chromium.new_context(**options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.bytes = 0
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: self.said.append(f"dialog: {dialog.message}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("response", self._count)

    def _count(self, response: Any) -> None:
        self.bytes += int(response.headers.get("content-length", 0))

    def open(self, url: str) -> Any:
        self.page.goto(url)
        return self.page


@pytest.fixture
def tab(chromium: Any, live: LiveWorker) -> Iterator[Tab]:
    tab = Tab(chromium, viewport={"width": 1280, "height": 900})
    tab.open(live.url)
    tab.page.wait_for_selector("#strip .tile")
    tab.page.locator("#h-anchors").scroll_into_view_if_needed()
    tab.page.wait_for_selector("#gallery .tile")
    yield tab
    tab.context.close()


def text(tab: Tab, selector: str) -> str:
    return " ".join(str(tab.page.locator(selector).inner_text()).split())


def focused(tab: Tab) -> str:
    return str(tab.page.evaluate("document.activeElement.id || document.activeElement.className"))


def test_numbers_are_those_of_the_metrics(tab: Tab, live: LiveWorker) -> None:
    tab.page.wait_for_function("() => document.querySelector('#tiles').innerText.includes('0.0 events/s')")
    tiles = text(tab, "#tiles")
    assert f"{EVENTS} predictions in all" in tiles
    assert f"Anchors {live.value('anchors'):.0f} all fitted" in tiles
    labels = sum(live.value("labels_total", outcome=one) for one in ("learned", "canary", "folded", "corrected"))
    assert f"Labels {labels:.0f} " in tiles
    kinds = ", ".join(f"{live.value('classes', kind=kind):.0f} {kind}" for kind in ("labelled", "present", "dormant"))
    assert kinds in tiles
    assert f"Lag {live.value('consumer_lag', topic='stream.jsonl', partition='0'):.0f} records" in tiles
    for group in ("labelled", "canary"):
        values = [live.value("accuracy_ratio", group=group, model=model) for model in ("adapted", "zero_shot")]
        assert text(tab, f"#chart-{group} .legend") == (
            f"adapted {100 * values[0]:.1f} % zero-shot {100 * values[1]:.1f} %"
        )
        assert tab.page.locator(f"#chart-{group} path.line").count() == 2
    metrics = urllib.request.urlopen(live.url + "metrics/").read().decode()
    assert f"stream_adapter_predictions_total {EVENTS}.0" in metrics
    state = tab.page.locator("#state")
    assert (state.inner_text(), state.get_attribute("class")) == ("ready", "pill good")
    assert "not enough yet" in text(tab, "#questions")
    assert "Nothing so far" in text(tab, "#alarms")


def test_the_strip_shows_pictures_and_says_why(tab: Tab) -> None:
    tab.page.select_option("#picked", "labelled")
    tile = tab.page.locator("#strip .tile").first
    assert tile.locator("img").evaluate("image => image.complete && image.naturalWidth") == 64
    tile.click()
    detail = tab.page.locator("#detail")
    detail.locator("h3", has_text="nearest anchors").wait_for()
    said = text(tab, "#detail")
    assert re.search(r"(Zero-shot says|Both say|agree on)", said)
    assert re.search(r"\d+ of the 16 nearest anchors are “", said) or "No anchor is near enough" in said
    assert "Its label, learned after this answer, is “" in said
    assert detail.locator(".near li").count() == 16
    assert re.search(r"cosine 0\.\d\d", said)
    tab.page.wait_for_function("() => document.querySelectorAll('#detail .near img').length > 0")


def test_names_and_ids_from_outside_are_text(tab: Tab) -> None:
    tab.page.select_option("#gallery-class", HOSTILE)
    tab.page.wait_for_function(
        "name => [...document.querySelectorAll('#gallery b')].every(one => one.textContent === name)", arg=HOSTILE
    )
    assert "<img src=x onerror=window.hacked=1>" in text(tab, "#gallery .tile >> nth=0")
    tab.page.locator("#strip .tile").first.click()
    assert tab.page.evaluate("window.hacked") is None
    assert tab.page.locator("main script, main img[src='x']").count() == 0
    assert tab.said == []


def test_it_works_with_the_keyboard_alone(tab: Tab) -> None:
    keyboard = tab.page.keyboard
    keyboard.press("Tab")
    assert focused(tab) == "skip"
    keyboard.press("Enter")
    assert focused(tab) == "main"
    seen = []
    for _ in range(60):
        keyboard.press("Tab")
        seen.append(tab.page.evaluate("document.activeElement.closest('section')?.getAttribute('aria-labelledby')"))
        outline = tab.page.evaluate(
            "(e => [getComputedStyle(e).outlineStyle, e.nextElementSibling && getComputedStyle(e.nextElementSibling)"
            ".outlineStyle])(document.activeElement)"
        )
        assert "solid" in outline, "the focus can be seen"
        if focused(tab) == "tile":
            break
    order = [name for at, name in enumerate(seen) if at == 0 or seen[at - 1] != name]
    assert order == ["h-accuracy", "h-stream", "h-pictures"]
    keyboard.press("Enter")
    assert tab.page.locator("#detail").is_visible()
    assert tab.page.locator("#pause").get_attribute("aria-pressed") == "true"
    keyboard.press("Escape")
    assert not tab.page.locator("#detail").is_visible()
    assert focused(tab) == "tile"
    tab.page.locator("#chart-labelled svg.chart").focus()
    keyboard.press("ArrowLeft")
    assert " at " in text(tab, "#chart-labelled .legend")


def test_everything_has_a_name(tab: Tab) -> None:
    nameless = tab.page.evaluate("""() => [...document.querySelectorAll('button, input, select, a, svg[role=img]')]
        .filter((one) => !(one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim()))
        .map((one) => one.outerHTML)""")
    assert nameless == []
    assert tab.page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map((one) => +one.tagName[1])")[0] == 1


def test_forgetting_needs_the_token_and_takes_the_anchor_away(tab: Tab, live: LiveWorker) -> None:
    before = live.value("anchors")
    page = tab.page
    tile = page.locator("#gallery li").first
    gone = tile.get_attribute("data-anchor")
    tile.locator("input").check()

    def forget(token: str, sure: str) -> None:
        page.fill("#forget-token", token)
        page.click("#forget")
        if token:
            page.locator("#sure button", has_text=sure).click()

    forget("", "Forget")
    assert "Enter the token first" in text(tab, "#gallery-said")
    forget("not the token of the tests", "Forget")
    page.wait_for_function(
        "() => document.querySelector('#gallery-said').textContent.includes('token is missing or wrong')"
    )
    forget(TOKEN, "Keep them")
    assert live.value("anchors") == before
    forget(TOKEN, "Forget")
    page.wait_for_function("() => document.querySelector('#gallery-said').textContent.startsWith('Forgot 1 anchor')")
    assert live.value("anchors") == before - 1
    assert page.locator(f"[data-anchor='{gone}']").count() == 0
    written = [json.loads(line) for line in (live.folder / "results" / "anchors.jsonl").read_text().splitlines()]
    assert base64.b64decode(written[-1]["key"]).decode() == gone
    assert written[-1]["value"] is None
    assert page.evaluate("Object.keys(sessionStorage)") == ["stream_adapter.token"]
    assert not any(TOKEN.replace(" ", "%20") in url or "token" in url for url in tab.asked)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_colour_schemes_can_be_read(chromium: Any, live: LiveWorker, scheme: str) -> None:
    tab = Tab(chromium, color_scheme=scheme, reduced_motion="reduce")
    page = tab.open(live.url)
    page.wait_for_selector("#strip .tile")
    luminance = page.evaluate("""(names) => {
        const probe = document.body.appendChild(document.createElement('span'));
        const light = (name) => {
            probe.style.color = `var(${name})`;
            const part = getComputedStyle(probe).color.match(/[0-9.]+/g).slice(0, 3).map((one) => one / 255)
                .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
            return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
        };
        return Object.fromEntries(names.map((name) => [name, light(name)]));
    }""", [*TEXTS, "--card", "--paper", "--faint"])  # fmt: skip
    assert (luminance["--paper"] > 0.5) == (scheme == "light")
    for name in TEXTS:
        for ground in ("--card", "--paper"):
            low, high = sorted((luminance[name], luminance[ground]))
            assert (high + 0.05) / (low + 0.05) >= 4.5, f"{name} on {ground}"
    assert page.evaluate("getComputedStyle(document.querySelector('main')).transitionDuration") == "0s"
    tab.context.close()


@pytest.mark.parametrize("width", [320, 400, 768])
def test_a_phone_shows_all_of_it_without_scrolling_sideways(chromium: Any, live: LiveWorker, width: int) -> None:
    tab = Tab(chromium, viewport={"width": width, "height": 720}, has_touch=True)
    page = tab.open(live.url)
    page.locator("#strip .tile").first.click()
    page.locator("#h-anchors").scroll_into_view_if_needed()
    page.wait_for_selector("#gallery .tile")
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    wider = page.evaluate(
        """(width) => [...document.querySelectorAll('main *')]
            .filter((one) => one.getBoundingClientRect().right > width + 0.5 && !one.closest('.hidden'))
            .map((one) => one.outerHTML.slice(0, 80))""",
        width,
    )
    assert wider == []
    tab.context.close()


def test_it_loads_little_and_asks_nobody_else(chromium: Any, live: LiveWorker) -> None:
    tab = Tab(chromium)
    page = tab.open(live.url)
    page.wait_for_selector("#strip .tile")
    page.locator("#h-anchors").scroll_into_view_if_needed()
    page.wait_for_selector("#gallery .tile")
    page.wait_for_timeout(1_200)  # and once more for what is new
    assert tab.said == []
    assert {url.split("/")[2] for url in tab.asked if not url.startswith("data:")} == {live.url.split("/")[2]}
    assert 20_000 < tab.bytes < 300_000
    tab.context.close()


def test_it_says_that_it_is_disconnected_and_comes_back(tab: Tab) -> None:
    tab.page.route("**/api/live*", lambda route: route.abort())
    tab.page.wait_for_function("() => document.querySelector('#state').textContent === 'disconnected'")
    assert "trying again in" in text(tab, "#connection")
    assert tab.page.locator("#strip .tile").count() > 0, "what was seen is still there"
    tab.page.unroute("**/api/live*")
    tab.page.click("#retry")
    tab.page.wait_for_function("() => document.querySelector('#state').textContent === 'ready'")


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
        one.page.heard(lowered)
        one.page.heard(DriftAlarm("new_class", "yak", "ClassNamer", 2_500, evidence={"share": 0.02}))
        page = tab.open(f"http://127.0.0.1:{one.server.port}/")
        page.wait_for_function("() => document.querySelectorAll('.question').length === 4")
        asked = [" ".join(row.inner_text().split()) for row in page.locator(".question").all()]
        assert asked == [
            "Does the adapter harm unseen classes? −8.0 points On 1,200 labels. The truth lies between −12.0 points "
            "and −4.0 points. That is harm.",
            f"Does the adapter harm unseen classes? · {HOSTILE} +2.0 points On 900 labels. The truth lies between "
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
