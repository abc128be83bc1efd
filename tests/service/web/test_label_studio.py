"""A recorded exchange with Label Studio: what it sends, and what becomes of it."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stream_adapter.errors import Unreachable
from tests.service.web.served import TOKEN
from tests.service.web.studio import CONFIG, PASSWORD, Studio


@pytest.fixture
def studio() -> Iterator[Studio]:
    studio = Studio()
    yield studio
    studio.stop()


def task(number: int, name: str, **data: Any) -> dict[str, Any]:
    """As Label Studio 1.2x sends one."""
    image = "data:image/jpeg;base64," + base64.b64encode(f"{name} {number}".encode()).decode()
    ids = {"ce_source": "/camera", "ce_id": f"event {number}"}
    return {"id": number, "data": {"image": image, **ids, **data}, "meta": {}, "annotations": [], "predictions": []}


def annotation(id: int, choice: str | None, **more: Any) -> dict[str, Any]:
    value = [{"id": "x", "type": "choices", "value": {"choices": [choice]}, "from_name": "animal", "to_name": "shot"}]
    return {
        "id": id,
        "completed_by": {"id": 1, "email": "ann@example.org"},
        "result": value if choice else [],
        "was_cancelled": False,
        "updated_at": "2026-03-01T10:00:00.000000Z",
        **more,
    }


def test_a_project_connects_and_its_tasks_get_predictions_with_scores(studio: Studio) -> None:
    assert studio.request("GET", "/label-studio/health", authorization=PASSWORD)[1]["status"] == "UP"
    setup = {"project": "7.1700000000", "schema": CONFIG, "hostname": "http://studio:8080", "access_token": "t"}
    assert studio.say("setup", setup)[0] == 200
    strange = {"id": 2, "data": {"text": "no picture"}}
    tasks = [task(1, "cat"), strange, task(3, "dog", image="ftp://x/y"), task(4, "dog")]
    asked = {"tasks": tasks * 5, "project": "7.17", "label_config": CONFIG, "params": {}}
    status, answer = studio.say("predict", asked)
    assert status == 200
    assert len(answer["results"]) == 20
    first, without, unknown, last = answer["results"][:4]
    assert without["result"] == unknown["result"] == []
    for result, name in ((first, "cat"), (last, "dog")):
        (said,) = result["result"]
        assert said["value"] == {"choices": [name]}
        assert (said["from_name"], said["to_name"], said["type"]) == ("animal", "shot", "choices")
        assert 0.0 < said["score"] == result["score"] <= 1.0
        assert result["model_version"]


def test_annotations_become_labels_corrections_and_withdrawals(studio: Studio) -> None:
    one = task(1, "cat")
    sent = {"project": {"id": 7}, "task": one}
    studio.say("webhook", sent | {"action": "ANNOTATION_CREATED", "annotation": annotation(11, "dog")})
    studio.say("webhook", sent | {"action": "ANNOTATION_UPDATED", "annotation": annotation(11, "cat", completed_by=3)})
    studio.say("webhook", sent | {"action": "ANNOTATION_UPDATED", "annotation": annotation(11, None)})
    studio.say("webhook", sent | {"action": "ANNOTATION_UPDATED", "annotation": annotation(11, "cat")})
    gone = {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 11}, {"id": 99}], "project": {"id": 7}}
    assert studio.say("webhook", gone) == (200, {"labels": 1, "passed_over": 1})
    assert [(one.get("label"), one.get("annotator")) for one in studio.written] == [
        ("dog", "ann@example.org"),
        ("cat", "3"),
        (None, "ann@example.org"),
        ("cat", "ann@example.org"),
        (None, None),
    ]
    assert {(one["channel"], one["source"], one["id"]) for one in studio.written} == {("labels", "/camera", "event 1")}
    assert studio.written[0]["time"].startswith("2026-03-01T10:00:00")


def test_the_picture_is_where_the_labelling_configuration_says(studio: Studio) -> None:
    one = task(1, "cat")
    one["data"]["photo"] = one["data"].pop("image")
    config = CONFIG.replace("$image", "$photo")
    (said,) = studio.say("predict", {"tasks": [one], "label_config": config})[1]["results"]
    assert said["result"][0]["value"] == {"choices": ["cat"]}


def test_only_what_the_project_offers_is_said(studio: Studio) -> None:
    asked = {"tasks": [task(1, "cat")], "label_config": CONFIG.replace('"cat"', '"kitten"')}
    (said,) = studio.say("predict", asked)[1]["results"]
    assert said["result"][0]["value"] == {"choices": ["dog"]}
    asked["label_config"] = CONFIG.replace('"cat"', '"kitten"').replace('"dog"', '"puppy"')
    (said,) = studio.say("predict", asked)[1]["results"]
    assert (said["result"], said["score"]) == ([], 0.0)


def test_a_choice_is_what_its_escaped_value_says(studio: Studio) -> None:
    asked = {"tasks": [task(1, "cat")], "label_config": CONFIG.replace('"cat"', '"&#99;at" hint="a &gt; b > c"')}
    (said,) = studio.say("predict", asked)[1]["results"]
    assert said["result"][0]["value"] == {"choices": ["cat"]}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "config", ["<Image " * 140_000, f"<Image {'a' * 900_000}>", f"<Image {'a ' * 450_000}>", "<Image a='" * 90_000]
)
def test_a_hostile_configuration_is_read_once(studio: Studio, config: str) -> None:
    """What looked for tags again from each of its characters took minutes, in which nothing else was answered."""
    status, answer = studio.say("predict", {"tasks": [], "label_config": config})
    assert status == 400 and answer["error"].startswith("`label_config` is no XML: ")


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (CONFIG * 2, "is no XML: junk after document element: line 4"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><View>&b;</View>', "declares a document type"),
        (f"<View>{' ' * 1_000_000}</View>", "has 1,000,013 characters, more than 1,000,000"),
    ],
)
def test_a_configuration_that_label_studio_would_not_send_is_refused(studio: Studio, config: str, reason: str) -> None:
    status, answer = studio.say("predict", {"tasks": [], "label_config": config})
    assert status == 400 and reason in answer["error"]


def say(studio: Studio, action: str, annotation: dict[str, Any]) -> Any:
    return studio.say("webhook", {"action": action, "task": task(1, "cat"), "annotation": annotation})[1]


def delete(studio: Studio, *numbers: int) -> tuple[int, Any]:
    return studio.say("webhook", {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": one} for one in numbers]})


def test_what_comes_twice_or_after_its_deletion_changes_nothing(studio: Studio) -> None:
    for _ in range(2):
        say(studio, "ANNOTATION_CREATED", annotation(11, "dog"))
    assert delete(studio, 11) == (200, {"labels": 1, "passed_over": 0})
    assert delete(studio, 11) == (200, {"labels": 0, "passed_over": 1})
    first, again, gone = studio.written
    assert first == again  # one event by its ids, so that it teaches once
    assert gone.get("label") is None
    assert say(studio, "ANNOTATION_UPDATED", annotation(11, "cat")) == {"labels": 0, "passed_over": 1}
    delete(studio, 12)
    assert say(studio, "ANNOTATION_CREATED", annotation(12, "cat")) == {"labels": 0, "passed_over": 1}
    assert len(studio.written) == 3


def test_a_deletion_counts_also_where_label_studio_s_clock_is_ahead(studio: Studio) -> None:
    say(studio, "ANNOTATION_CREATED", annotation(11, "dog", updated_at="2999-01-01T00:00:00Z"))
    delete(studio, 11)
    said, gone = studio.written
    assert gone["time"] > said["time"]


def test_predictions_that_are_taken_over_at_once_become_labels(studio: Studio) -> None:
    tasks = [task(number, "cat") for number in (1, 2)]
    taken = [annotation(20 + number, "cat", task=number) for number in (2, 1, 7)]
    told = {"action": "ANNOTATIONS_CREATED", "task": tasks, "annotation": taken}
    assert studio.say("webhook", told)[1] == {"labels": 2, "passed_over": 1}
    assert [(one["id"], one.get("label")) for one in studio.written] == [("event 2", "cat"), ("event 1", "cat")]
    assert delete(studio, 21, 22) == (200, {"labels": 2, "passed_over": 0})


def test_whoever_skips_a_task_takes_nobody_else_s_label_back(studio: Studio) -> None:
    say(studio, "ANNOTATION_CREATED", annotation(11, "dog"))
    assert say(studio, "ANNOTATION_CREATED", annotation(12, None, was_cancelled=True))["labels"] == 0
    assert delete(studio, 12) == (200, {"labels": 0, "passed_over": 1})
    assert [one.get("label") for one in studio.written] == ["dog"]
    say(studio, "ANNOTATION_UPDATED", annotation(11, None))
    say(studio, "ANNOTATION_CREATED", annotation(13, "cat"))
    assert delete(studio, 11) == (200, {"labels": 0, "passed_over": 1})
    assert [one.get("label") for one in studio.written] == ["dog", None, "cat"]


def test_a_deletion_that_could_not_be_written_can_be_told_again(studio: Studio) -> None:
    say(studio, "ANNOTATION_CREATED", annotation(11, "dog"))
    studio.trouble = Unreachable("no Kafka broker answered")
    assert delete(studio, 11) == (503, {"error": "no Kafka broker answered"})
    studio.trouble = None
    assert delete(studio, 11) == (200, {"labels": 1, "passed_over": 0})


def test_what_a_real_one_sent(studio: Studio) -> None:
    """Recorded by `make label-studio-test`: what Label Studio sends is more than the tests above know of."""
    asked = json.loads(Path(__file__).with_name("label_studio.json").read_text())
    given = {"Basic": PASSWORD, "Bearer": f"Bearer {TOKEN}", "": ""}
    answers = []
    for one in asked:
        body = None if one["document"] is None else json.dumps(one["document"]).encode()
        status, said, _ = studio.request(one["method"], one["path"], body, authorization=given[one["scheme"]])
        assert status == (200 if one["scheme"] else 401), (one, said)
        answers.append((one["path"].rpartition("/")[2], said))
    (predictions,) = [said["results"] for path, said in answers if path == "predict"]
    assert [one["result"][0]["value"]["choices"] for one in predictions] == [["cat"], ["dog"], ["cat"], ["dog"]]
    assert [(one["id"], one.get("label"), one.get("annotator")) for one in studio.written] == [
        ("event 0", "dog", "1"),
        ("event 0", "cat", "1"),
        ("event 1", "cat", "1"),
        ("event 1", None, None),
        ("event 2", "cat", "1"),
        ("event 3", "dog", "1"),
    ]


@pytest.mark.parametrize(
    "document",
    [
        {"action": "ANNOTATION_CREATED", "task": {"data": {"image": "x"}}, "annotation": annotation(1, "cat")},
        {"action": "ANNOTATION_CREATED", "task": None, "annotation": [1]},
        {"action": "ANNOTATIONS_DELETED", "annotations": [1, {"id": None}]},
        {"action": "ANNOTATIONS_DELETED", "annotations": 7},
        {"action": "ANNOTATION_CREATED", "task": task(1, "cat"), "annotation": annotation(1, None, result=7)},
        {"action": "TASKS_CREATED", "tasks": []},
        {"action": "TASKS_DELETED", "tasks": [{"id": 1}]},
        {"action": "ANNOTATIONS_CREATED", "task": {"id": 1}, "annotation": [1, {"task": [1]}, annotation(1, "cat")]},
        {"action": "ANNOTATION_CREATED", "task": [task(1, "cat")], "annotation": annotation(1, "cat")},
    ],
)
def test_what_belongs_to_no_event_teaches_nothing(studio: Studio, document: dict[str, Any]) -> None:
    status, answer = studio.say("webhook", document)
    assert (status, answer["labels"], studio.written) == (200, 0, [])


def test_nothing_of_it_is_open_without_the_token_and_nonsense_is_refused(studio: Studio) -> None:
    for path in ("setup", "predict", "webhook"):
        for wrong in ("", "Bearer wrong", "Basic !", "Basic " + base64.b64encode(b"a:b").decode()):
            assert studio.say(path, {}, wrong)[0] == 401
    assert studio.say("webhook", {}, f"Bearer {TOKEN}")[0] == 200
    assert studio.say("predict", [])[0] == studio.say("predict", {"tasks": 1})[0] == 400
