import json
import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from stream_adapter.drift.alarm import DriftAlarm
from stream_adapter.drift.confidence_sequence import Interval
from stream_adapter.events.image import anchor_id_of
from stream_adapter.page.page import Facts
from stream_adapter.page.requests import View
from stream_adapter.page.routes import CUSTOM_HEADER
from tests.fakes import headers, picture
from tests.page.seen import prediction
from tests.page.served import TOKEN, Served, served

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "page.schema.json").read_text())
STATIC = Path(__file__).parents[2] / "stream_adapter" / "page" / "static"
LIVE = "/api/live?span=15m"
ALLOWED = {"authorization": f"Bearer {TOKEN}", "x_stream_adapter": "page"}
EVERYTHING = ["/", "/page/main.js", "/page/page.css", LIVE, "/api/classes", "/api/anchors", "/api/thumbnails?ids="]


def id_of(number: int) -> str:
    return anchor_id_of("/test", str(number))


def until(answer: Any, seconds: float = 5.0) -> Any:
    """What `answer` gives once it gives something."""
    deadline = time.monotonic() + seconds
    while not (found := answer()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def shared() -> Iterator[Served]:
    """For questions that change nothing."""
    with served(token=TOKEN) as one:
        yield one


def teach(one: Served) -> None:
    one.feed(*(picture("cat", number, "cat") for number in range(3)), *(picture("dog", 9, "dog"), picture("horse", 10)))


def test_the_live_answer_is_as_its_schema_says() -> None:
    with served() as one:
        teach(one)
        one.page.on_alarm(
            DriftAlarm("guard", "cat", "Guard", 40, 40, interval=Interval(-0.2, -0.1, 0.99), action="lowered",
                       evidence={"before": 1.0, "after": 0.0, "difference": -0.2}, event_ids=("1",))
        )  # fmt: skip
        until(lambda: one.get(LIVE)["pictures"] and one.get(LIVE)["throughput"]["predictions"])
        live = one.get(LIVE)
        jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(live)
        assert live["state"] == "restoring"
        for condition in one.health.CONDITIONS:
            one.health.set(condition, True)
        assert one.get(LIVE)["state"] == "ready"
        one.health.set("partitions_assigned", False)
        assert one.get(LIVE)["state"] == "not_assigned"
        one.health.drain()
        assert one.get(LIVE)["state"] == "draining"
        number = live["drift"]["alarms"][0]["number"]
        newest = live["pictures"][-1]["number"]
        later = one.get(f"{LIVE}&alarm={number}&picture={newest}&after={live['history']['time_ms'][-1]}")
        assert (later["drift"]["alarms"], len(later["history"]["time_ms"]) <= 2) == ([], True)


def test_an_e_value_beyond_what_json_can_hold_is_still_shown() -> None:
    with served() as one:
        one.page.on_alarm(DriftAlarm("harm", "overall", "HarmDetector", 40, 40, e_value=float("inf")))
        assert one.get(LIVE)["drift"]["alarms"][0]["e_value"] == 1e300


def test_classes_and_anchors_are_those_of_the_adapter() -> None:
    with served() as one:
        teach(one)
        classes = one.get("/api/classes")
        assert classes["anchors"] == 4
        assert [(line["name"], line["anchors"], line["canary"]) for line in classes["classes"]] == [
            ("cat", 3, False),
            ("dog", 1, False),
            ("horse", 0, False),
            ("house", 0, True),
        ]
        assert classes["digest"] == one.processor.adapter.anchors_digest
        found = one.get("/api/anchors?label=cat")
        assert found["found"] == 3
        assert {anchor["id"] for anchor in found["anchors"]} == {id_of(number) for number in range(3)}
        assert one.get(f"/api/anchors?search={id_of(9)[:8]}")["anchors"][0]["event"] == {"source": "/test", "id": "9"}
        assert one.get("/api/anchors?label=nothing")["anchors"] == []
        assert len(one.get("/api/anchors?limit=2")["anchors"]) == 2


def test_forgetting_deletes_here_and_tells_the_changelog() -> None:
    with served(token=TOKEN) as one:
        teach(one)
        status, answer = one.forget([id_of(1), id_of(9), id_of(77)])
        assert (status, sorted(answer["forgotten"])) == (200, sorted([id_of(1), id_of(9)]))
        written = [output for done in one.outcomes for output in done.commit.outputs if output.channel == "anchors"]
        assert {output.key for output in written if output.value is None} == {id_of(1).encode(), id_of(9).encode()}
        assert one.get("/api/anchors")["found"] == 2
        one.feed(picture("cat", 1, "cat"))
        assert one.get("/api/anchors")["found"] == 2, "an event that is delivered again does not teach again"


def test_all_that_a_filter_leaves_is_forgotten_where_it_is_as_much_as_was_seen() -> None:
    with served(token=TOKEN) as one:
        teach(one)
        for found, expected in ((2, 409), (3, 200)):
            body = json.dumps({"label": "cat", "search": "", "found": found}).encode()
            status, answer = one.request("POST", "/api/anchors/forget", body, **ALLOWED)[:2]
            assert status == expected
        assert sorted(answer["forgotten"]) == sorted(id_of(number) for number in range(3))
        assert one.get("/api/anchors")["found"] == 1
        for wrong in ({"found": 1}, {"label": ["cat"], "found": 1}):
            assert one.request("POST", "/api/anchors/forget", json.dumps(wrong).encode(), **ALLOWED)[0] == 400


def test_doubtful_labels_are_shown_by_who_gave_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def moved(number: int, by: int, label: str | None, adapted: str = "dog") -> dict[str, Any]:
        behind = [{"id": id_of(one), "label": adapted, "cosine": 0.9} for one in (by, number)]
        zero_shot = {"dog": "cat", "cat": "dog"}[adapted]
        return prediction(f"{number}", top=[{"label": adapted}], zero_shot_label=zero_shot, label=label, anchors=behind)

    with served(token=TOKEN) as one:
        one.feed(*(picture(name, number, name) for number, name in enumerate(["cat", "dog"] * 8)))
        one.feed(picture("cat", 90, "dog"))
        found = one.get("/api/anchors?suspicious=1")
        (shown,) = found["anchors"]
        assert (shown["id"], shown["label"], shown["others"]) == (id_of(90), "dog", "cat")
        assert 0.5 < shown["contradicted"] <= 1.0
        nothing = {"annotator": None, "anchors": 17, "suspicious": 1, "harmed": 0, "helped": 0}
        assert (found["annotators"], found["compared"]) == ([nothing], True)
        assert one.get("/api/anchors?suspicious=1&label=cat")["found"] == 0

        # Of two later events one brought its label, the other is event 0, whose anchor says what its label was.
        late, canary = moved(0, 3, None), moved(71, 90, "cat")
        one.page.on_batch((), (), [canary, late, moved(72, 5, "dog"), moved(73, 5, None), moved(1, 2, None, "cat")])
        found = one.get("/api/anchors?suspicious=1")
        seen = [(one["id"], one["harmed"], one["helped"]) for one in found["anchors"]]
        assert seen[0] == (id_of(90), 1, 0), "of as much harm, the one that others contradict"
        assert set(seen[1:]) == {(id_of(2), 1, 0), (id_of(3), 1, 0)}, "no anchor is judged by its own event"
        assert found["annotators"] == [nothing | {"suspicious": 3, "harmed": 3, "helped": 1}]
        one.forget([id_of(0)])
        until(lambda: one.get("/api/anchors?suspicious=1")["annotators"][0]["harmed"] == 2)

        # Event 73, of a canary, got its label apart from it: no anchor says so.
        take = partial(View.of, one.processor.parts, late_labels={id_of(73): "cat"})
        one.page.open(Facts("encoder"), lambda vectors: take(vectors=vectors))
        until(lambda: one.get("/api/anchors?suspicious=1")["annotators"][0]["harmed"] == 3)

        monkeypatch.setattr("stream_adapter.page.requests.MOST_VECTORS", 3)
        until(lambda: not one.get("/api/anchors?suspicious=1")["compared"])
        found = one.get("/api/anchors?suspicious=1")
        assert {shown["id"] for shown in found["anchors"]} == {id_of(90), id_of(2)}, "harm is told of any number"


def test_nobody_forgets_without_the_token() -> None:
    with served(token=TOKEN) as one:
        teach(one)
        for token in (None, "", TOKEN + "x", TOKEN[:-1]):
            status, answer = one.forget([id_of(1)], token=token)
            assert (status, answer) == (401, {"error": "the token is missing or wrong"})
        assert one.get("/api/anchors")["found"] == 4


def test_nobody_forgets_where_the_page_is_read_only() -> None:
    with served(mode="read_only", token=TOKEN) as one:
        teach(one)
        assert one.forget([id_of(1)])[0] == 403
        assert one.get("/api/anchors")["found"] == 4


def test_a_page_of_another_origin_cannot_forget(shared: Served) -> None:
    body = json.dumps({"ids": [id_of(1)]}).encode()
    assert shared.request("POST", "/api/anchors/forget", body, authorization=f"Bearer {TOKEN}")[0] == 403
    assert shared.forget([id_of(1)], sec_fetch_site="cross-site")[0] == 403
    assert shared.request("GET", "/api/anchors/forget")[0] == 405
    assert shared.request("OPTIONS", "/api/anchors/forget", origin="https://evil.example")[0] == 405
    assert "access-control-allow-origin" not in shared.request("GET", LIVE, origin="https://evil.example")[2]
    assert CUSTOM_HEADER == "x-stream-adapter"


@pytest.mark.parametrize("path", EVERYTHING)
def test_another_name_for_this_machine_is_refused(shared: Served, path: str) -> None:
    assert shared.request("GET", path, host="rebound.example:8080")[0] == 421
    assert shared.request("GET", path, host=f"localhost:{shared.server.port}")[0] == 200


def test_every_answer_carries_the_security_headers(shared: Served) -> None:
    for path in (*EVERYTHING, "/api/live?span=wrong"):
        sent = shared.request("GET", path)[2]
        policy = sent["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert sent["x-content-type-options"] == "nosniff"
        assert sent["x-frame-options"] == "DENY"
        assert sent["cache-control"] == "no-store"
        assert "server" not in sent


def test_the_token_keeps_the_network_out() -> None:
    with served("0.0.0.0", mode="full", token=TOKEN) as one:
        assert one.request("GET", "/")[0] == 200, "the empty page asks for the token"
        for path in EVERYTHING[3:]:
            assert one.request("GET", path)[0] == 401
            assert one.request("GET", path, authorization=f"Bearer {TOKEN}")[0] == 200
        live = one.get(LIVE, authorization=f"Bearer {TOKEN}")
        assert live["access"] == {"changes": True, "pictures": False, "labels": False}


@pytest.mark.parametrize(
    "path",
    [
        "/api/live?span=1y",
        "/api/live?after=-1",
        "/api/live?picture=1e9",
        f"/api/live?alarm={'9' * 40}",
        f"/api/anchors?search={'x' * 201}",
    ],
)
def test_senseless_questions_are_refused(shared: Served, path: str) -> None:
    assert shared.request("GET", path)[0] == 400


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"ids": []}', b'{"ids": "abc"}', b'{"ids": ["../../etc"]}', b'{"ids": [1]}', b"\xff\xfe",
     json.dumps({"ids": ["0" * 32] * 501}).encode(), b"[" * 50_000, b'{"ids": ["' + b"A" * 32 + b'"]}'],
)  # fmt: skip
def test_senseless_wishes_are_refused(shared: Served, body: bytes) -> None:
    assert shared.request("POST", "/api/anchors/forget", body, **ALLOWED)[0] == 400


def test_a_body_that_is_too_long_is_refused(shared: Served) -> None:
    assert shared.request("POST", "/api/anchors/forget", b" " * 100_000, **ALLOWED)[0] == 413


def test_no_path_leads_to_a_file_that_is_not_the_pages(shared: Served) -> None:
    for path in ("/page/../page.py", "/page/%2e%2e/page.py", "/page//etc/passwd", "/page/", "/page/page.py"):
        assert shared.request("GET", path)[0] == 404


def test_hostile_ids_travel_as_text() -> None:
    hostile = "</script><script>alert(1)</script>"
    with served() as one:
        one.feed({**picture("cat", 1), "headers": headers(hostile, "cat")})
        (shown,) = until(lambda: one.get(LIVE)["pictures"])
        assert shown["event"]["id"] == hostile
        assert one.get("/api/anchors")["anchors"][0]["event"]["id"] == hostile
        answer = one.request("GET", LIVE)[2]
        assert (answer.get_content_type(), answer["x-content-type-options"]) == ("application/json", "nosniff")


def test_the_page_is_small_and_its_own() -> None:
    total = sum(path.stat().st_size for path in STATIC.iterdir())
    assert total < 100_000
    for path in STATIC.iterdir():
        text = path.read_text()
        links = re.findall(r"""["'(](?:https?:)?//[^"'\s)]+""", text)
        assert set(links) <= {'"http://www.w3.org/2000/svg'}, path.name
        assert "innerHTML" not in text
        assert "style=" not in text
        assert "onclick=" not in text
