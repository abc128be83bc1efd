"""The page in a real browser, in front of a real worker on the demo's pictures."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from stream_adapter.demo.browser import open_loopback
from stream_adapter.demo.scenes import DEMO_CLASSES
from tests.page.live import TOKEN, LiveWorker, demo_config, live_worker, write_stream
from tests.page.seen import prediction
from tests.page.tab import Tab, text

EVENTS = 240
HOSTILE = "<script>window.hacked=1</script>"
HOSTILE_ID = "<img src=x onerror=window.hacked=1>{:06d}"
TEXTS = ("--ink", "--quiet", "--good", "--bad", "--warn", "--adapted")


@pytest.fixture(scope="module")
def live(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveWorker]:
    """A worker that has worked through its stream and stays. One of its classes, and all ids, are hostile."""
    folder = tmp_path_factory.mktemp("live")
    names = tuple(HOSTILE if name == "red circle" else name for name in DEMO_CLASSES)
    write_stream(folder, EVENTS, names=names, ids=HOSTILE_ID, label_share=0.5)
    config = demo_config(folder, f"page: {{token: '{TOKEN}', pictures_per_s: 200}}\n")
    with live_worker(config, rate=100.0) as live:
        open_loopback(live.url + "api/live").read()  # somebody looks: the full rate
        live.wait_for(EVENTS)
        yield live


@pytest.fixture
def tab(chromium: Any, live: LiveWorker) -> Iterator[Tab]:
    tab = Tab(chromium, viewport={"width": 1280, "height": 900})
    tab.open(live.url)
    tab.page.wait_for_selector("#strip .tile")
    yield tab
    tab.context.close()


def show_anchors(tab: Tab) -> None:
    """They are asked for when they come into sight."""
    tab.page.locator("#h-anchors").scroll_into_view_if_needed()
    tab.page.wait_for_selector("#gallery .tile")


def focused(tab: Tab) -> str:
    return str(tab.page.evaluate("document.activeElement.id || document.activeElement.className"))


def test_numbers_are_those_of_the_metrics(tab: Tab, live: LiveWorker) -> None:
    tab.page.wait_for_function("() => document.querySelector('#tiles').innerText.includes('0.0 events/s')")
    tiles = text(tab, "#tiles")
    assert f"{EVENTS} predictions in all" in tiles
    assert f"Anchors {live.value('anchors'):.0f} all in force" in tiles
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
    metrics = open_loopback(live.url + "metrics/").read().decode()
    assert f"stream_adapter_predictions_total {EVENTS}.0" in metrics
    state = tab.page.locator("#state")
    assert (state.inner_text(), state.get_attribute("class")) == ("ready", "pill good")
    assert "not enough yet" in text(tab, "#questions")
    alarms = [line for line in text(tab, "#alarms").split("Figures and events") if line.strip()]
    # How much the shown classes lose hangs on where batches end; nothing else is wrong with this stream.
    assert all("Nothing so far" in line or "has no label and may have lost" in line for line in alarms)


def test_the_strip_shows_pictures_and_says_why(tab: Tab) -> None:
    tab.page.select_option("#picked", "labelled")
    tile = tab.page.locator("#strip .tile").first
    assert tile.locator("img").evaluate("image => image.complete && image.naturalWidth") == 64
    tile.click()
    detail = tab.page.locator("#detail")
    detail.locator("h3", has_text="nearest anchors").wait_for()
    said = text(tab, "#detail")
    assert re.search(r"(Zero-shot says|Both say|agree on)", said)
    assert re.search(r"(\d+ of the 16 nearest anchors (is|are) “|No anchor is near enough|” has no anchors)", said)
    assert "Its label, which this answer did not know, is “" in said
    assert detail.locator(".near li").count() == 16
    assert re.search(r"cosine 0\.\d\d", said)
    tab.page.wait_for_function("() => document.querySelectorAll('#detail .near img').length > 0")


def test_names_and_ids_from_outside_are_text(tab: Tab) -> None:
    show_anchors(tab)
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
    drift = ["h-drift"] * tab.page.locator("#alarms summary").count()
    assert order == ["h-accuracy", "h-stream", *drift[:1], "h-pictures"]
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
    show_anchors(tab)
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
    keys = [base64.b64decode(line["key"]).decode() for line in written]  # what the traffic says is there too
    assert [line["value"] for line, key in zip(written, keys, strict=True) if key == gone][-1] is None
    assert page.evaluate("Object.keys(sessionStorage)") == ["stream_adapter.token"]
    assert not any(TOKEN.replace(" ", "%20") in url or "token" in url for url in tab.asked)


def test_who_did_harm_is_shown_beside_who_is_contradicted(tab: Tab, live: LiveWorker) -> None:
    show_anchors(tab)
    page = tab.page
    guilty = page.locator("#gallery li").first.get_attribute("data-anchor")
    behind = [{"id": guilty, "label": HOSTILE, "cosine": 0.9}]
    looking_on: Any = live.worker._processor._observer
    for label, number in (("blue disc", 300), (HOSTILE, 1)):  # what the events turned out to be
        answer = prediction(top=[{"label": HOSTILE}], zero_shot_label="blue disc", label=label, anchors=behind)
        looking_on.on_batch((), (), [answer] * number)
    page.check("#gallery-suspicious")
    page.locator(f"[data-anchor='{guilty}'] .bad", has_text="harmed 30").wait_for()
    assert page.locator("#gallery li").first.get_attribute("data-anchor") == guilty, "the worst is the first"
    said = text(tab, "#gallery-said")
    assert re.search(r"nobody named taught \d+ of them, of \d+, harmed 3\d\d later answers and helped \d+", said)
    page.uncheck("#gallery-suspicious")


def test_an_annotators_anchors_are_forgotten_together_and_doubtful_ones_shown(tab: Tab, live: LiveWorker) -> None:
    show_anchors(tab)
    page = tab.page
    page.check("#gallery-suspicious")
    page.wait_for_function("() => document.querySelectorAll('#gallery .tile .bad').length || "
                           "document.querySelector('#gallery .none')")  # fmt: skip
    assert page.locator("#forget-all").is_hidden(), "what is doubtful is looked at one by one"
    page.uncheck("#gallery-suspicious")
    name = page.locator("#gallery-class option").nth(1).get_attribute("value")
    page.select_option("#gallery-class", name)
    page.wait_for_function("() => !document.querySelector('#forget-all').hidden")
    before, said = live.value("anchors"), text(tab, "#forget-all")
    number = int(said.removeprefix("Forget all ").removesuffix(" found"))
    page.fill("#forget-token", TOKEN)
    page.click("#forget-all")
    page.locator("#sure button", has_text="Forget").click()
    page.wait_for_function(f"() => document.querySelector('#gallery-said').textContent.startsWith('Forgot {number} ')")
    assert live.value("anchors") == before - number


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
    show_anchors(tab)
    page.wait_for_timeout(300)
    # Ids and names come from outside, and stand in sentences: a word that is wider than the screen is broken.
    page.evaluate("() => document.querySelectorAll('#detail p').forEach((one) => one.append('x'.repeat(90)))")
    wider = page.evaluate(
        """(width) => [...document.querySelectorAll('main *')]
            .filter((one) => one.getBoundingClientRect().right > width + 0.5 && !one.closest('.hidden'))
            .map((one) => one.outerHTML.slice(0, 80))""",
        width,
    )
    assert wider == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    tab.context.close()


def test_it_loads_little_and_asks_nobody_else(chromium: Any, live: LiveWorker) -> None:
    tab = Tab(chromium)
    page = tab.open(live.url)
    page.wait_for_selector("#strip .tile")
    show_anchors(tab)
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
