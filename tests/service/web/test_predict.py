"""Predictions over HTTP, in front of a real processor; fakes embed."""

import base64
import json
import re
from typing import Any

import jsonschema
import pytest

from stream_adapter.config import PageConfig, PredictConfig
from stream_adapter.events import EMBEDDING
from stream_adapter.page.access import Access
from stream_adapter.service.web.predict import OPENAPI
from tests.fakes import CLASSES, picture
from tests.service.web.served import TOKEN, Served

DOCUMENT = json.loads(OPENAPI.read_text())


def schema(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}


def b64(name: str, number: int) -> str:
    return base64.b64encode(f"{name} {number}".encode()).decode()


def without(prediction: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in prediction.items() if name not in names}


def test_the_answer_is_the_stream_s_and_teaches_nothing(served: Served) -> None:
    served.stream(*(picture(CLASSES[number % 2], number, CLASSES[number % 2]) for number in range(8)))
    before = served.processor.adapter.version
    status, answer, _ = served.request("POST", "/predict", b"cat 20")
    assert status == 200
    jsonschema.validate(answer, schema("Prediction"))
    assert served.processor.adapter.version == before
    (said,) = served.stream(picture("cat", 20))
    assert without(said, "event", "label", "timings_ms") == answer
    assert served.metrics.http_predictions.labels(outcome="answered")._value.get() == 1


def test_a_batch_has_an_answer_or_a_reason_for_each(served: Served) -> None:
    vector = served.encoder.encode([served.encoder.prepare(b"cat 1", "")])[0]
    given = {"vector": vector.tolist(), "fingerprint": served.encoder.fingerprint}
    status, answer, _ = served.batch(
        {"picture": b64("cat", 1)}, {"picture": base64.b64encode(b"broken").decode()}, given
    )
    assert status == 200
    one, broken, two = answer["predictions"]
    assert broken == {"error": "these 6 bytes are no picture"}
    assert one["top"] == two["top"]
    (content,) = DOCUMENT["paths"]["/predict"]["post"]["responses"]["200"]["content"].values()
    jsonschema.validate(answer, {**content["schema"], "components": DOCUMENT["components"]})


def test_a_batch_need_not_say_that_it_is_json(served: Served) -> None:
    body = json.dumps({"instances": [{"picture": b64("cat", 1)}]}).encode()
    status, answer, _ = served.request("POST", "/predict", body, content_type="application/x-www-form-urlencoded")
    assert status == 200
    assert answer["predictions"][0]["top"][0]["label"] == "cat"
    assert served.request("POST", "/predict", b'{"instances": [')[0] == 400


def test_a_picture_may_be_a_data_url(served: Served) -> None:
    for text in (f"data:image/jpeg;base64,{b64('cat', 1)}", b64("cat", 1).rstrip("=")):
        assert served.batch({"picture": text})[1]["predictions"][0]["top"][0]["label"] == "cat"


def test_a_picture_that_shows_a_fault_of_ours_takes_no_other_ones_answer(served: Served) -> None:
    fatal = base64.b64encode(b"fatal").decode()
    status, answer, _ = served.batch({"picture": fatal}, {"picture": b64("cat", 1)})
    assert status == 200
    failed, cat = answer["predictions"]
    assert failed == {"error": "unexpected ZeroDivisionError: in a decoder"}
    assert cat["top"][0]["label"] == "cat"
    assert served.request("POST", "/predict", b"fatal")[0] == 422


def test_a_vector_comes_as_bytes_too_and_must_be_the_encoder_s(served: Served) -> None:
    vector = served.encoder.encode([served.encoder.prepare(b"dog 1", "")])[0].astype("<f4").tobytes()
    ask = f"/predict?fingerprint={served.encoder.fingerprint}"
    assert served.request("POST", ask, vector, content_type=EMBEDDING)[0] == 200
    status, answer, _ = served.request("POST", "/predict", vector, content_type=EMBEDDING)
    assert (status, "needs `?fingerprint=`" in answer["error"]) == (400, True)
    status, answer, _ = served.request("POST", "/predict?fingerprint=other", vector, content_type=EMBEDDING)
    assert status == 422
    assert "vectors of two encoders cannot be compared" in answer["error"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 400, "not JSON"),
        (b"[" * 5_000, 400, "not JSON"),
        (b"[]", 400, "`instances` must be a list of 1 to 16"),
        (json.dumps({"instances": [{}] * 17}).encode(), 400, "1 to 16"),
        (b'{"instances": [{"picture": "?"}]}', 400, r"instances\[0\]` cannot be read"),
        (b'{"instances": [{"vector": [1e999], "fingerprint": 1}]}', 400, "not JSON"),
        (b'{"instances": [{"vector": [[1], 2], "fingerprint": "f"}]}', 400, "cannot be read"),
        (
            b'{"instances": [{"vector": [[0.6], [0.8]], "fingerprint": "f"}]}',
            400,
            r"list of numbers, found \[0\.6\] at 0",
        ),
        (b'{"instances": [{"vector": ["0.6", "0.8"], "fingerprint": "f"}]}', 400, "list of numbers, found '0.6' at 0"),
        (b'{"instances": [{"vector": [true], "fingerprint": "f"}]}', 400, "list of numbers, found True at 0"),
        (b'{"instances": [{"vector": [1], "picture": "", "fingerprint": "f"}]}', 400, "needs a `picture` in base64, a"),
        (b'{"instances": [{"reference": "s3://a/b", "picture": 1}]}', 400, "needs a `picture` in base64, a"),
        (b'{"instances": [{"reference": "nonsense"}]}', 400, "cannot be read"),
        (b'{"instances": [1, null]}', 400, "needs a `picture` in base64, a"),
        (b'{"instances": {"0": {}}}', 400, "must be a list of 1 to 16"),
        (b"", 400, "not JSON"),
        (b" " * 20_001, 413, "more than 20,000 bytes"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(served: Served, body: bytes, status: int, said: str) -> None:
    found, answer, _ = served.request("POST", "/predict", body, content_type="application/json")
    assert found == status
    jsonschema.validate(answer, schema("Error"))
    assert re.search(said, answer["error"])
    assert served.metrics.http_predictions.labels(outcome="refused")._value.get() == 1


def test_numbers_that_are_none_are_said_of_the_instance(served: Served) -> None:
    given = {"vector": [1e300] + [0.0] * (served.encoder.d - 1), "fingerprint": served.encoder.fingerprint}
    status, answer, _ = served.batch(given, {"picture": b64("cat", 1)})
    assert status == 200
    assert "not finite" in answer["predictions"][0]["error"]
    assert answer["predictions"][1]["top"]


@pytest.mark.parametrize("token", ["ein-Schlüssel-für-Türen", "0123456789abcdef\n", " 0123456789abcdef "])
def test_a_token_works_as_it_is_written(token: str) -> None:
    served = Served(token=token)
    try:
        served.open()
        known = f"Bearer {token.strip()}".encode().decode("latin-1")
        assert served.request("POST", "/predict", b"cat 1", authorization=known)[0] == 200
    finally:
        served.stop()


def test_classes_and_anchors_are_shown(served: Served) -> None:
    served.stream(picture("cat", 1, "cat"), picture("dog", 2, "dog"))
    status, answer, _ = served.request("GET", "/classes")
    assert status == 200
    jsonschema.validate(answer, schema("Classes"))
    assert {one["name"]: one["anchors"] for one in answer["classes"] if one["anchors"]} == {"cat": 1, "dog": 1}
    assert answer["encoder"] == served.encoder.fingerprint
    status, answer, _ = served.request("GET", "/anchors?label=cat")
    jsonschema.validate(answer, schema("Anchors"))
    assert [one["label"] for one in answer["anchors"]] == ["cat"]
    assert served.request("GET", "/anchors?limit=many")[0] == 400


def test_the_description_is_there_and_names_every_route(served: Served) -> None:
    _, answer, _ = served.request("GET", "/openapi.json")
    assert set(answer["paths"]) == {"/predict", "/classes", "/anchors", "/healthz"}
    for path, methods in answer["paths"].items():
        for method in methods:
            assert served.request(method.upper(), path, b"cat 1")[0] == 200


def test_where_there_is_a_token_it_must_be_known() -> None:
    served = Served(token=TOKEN)
    try:
        served.open()
        for method, path in (("POST", "/predict"), ("GET", "/classes"), ("GET", "/anchors")):
            assert served.request(method, path, b"cat 1")[0] == 401
            assert served.request(method, path, b"cat 1", authorization=f"Bearer {TOKEN}x")[0] == 401
            assert served.request(method, path, b"cat 1", authorization=f"Bearer {TOKEN}")[0] == 200
            assert served.request(method, path, b"cat 1", host="rebound.example")[0] == 421
        assert served.request("GET", "/openapi.json")[0] == 200
    finally:
        served.stop()


@pytest.mark.parametrize(
    ("host", "config", "enabled", "private"),
    [
        ("127.0.0.1", {}, True, False),
        ("127.0.0.1", {"token": TOKEN}, True, True),
        ("127.0.0.1", {"mode": "off"}, False, False),
        ("0.0.0.0", {}, False, False),
        ("0.0.0.0", {"token": TOKEN}, True, True),
    ],
)
def test_off_loopback_there_is_no_answer_without_a_token(
    host: str, config: dict[str, Any], enabled: bool, private: bool
) -> None:
    access = Access.of_predictions(PredictConfig.model_validate(config), PageConfig(), host)
    assert (access.enabled, access.private, access.changes) == (enabled, private, False)
