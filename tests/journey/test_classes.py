"""Classes that come, go and change their names while a stream runs."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from stream_adapter.drift.settings import DriftSettings
from stream_adapter.encode.base import Vectors
from stream_adapter.errors import EncoderError, UnknownLabel
from stream_adapter.events.class_record import ClassRecord
from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.memory import IMAGES
from tests.fakes import CANARY, CLASSES, D, picture, unit, vectors_of
from tests.journey.class_logs import ZEBRA, Logs, Worker, alone


def test_a_class_is_predicted_as_soon_as_it_is_there() -> None:
    logs, worker = alone()
    (before,) = worker.feed(picture("dog", 77))
    logs.say(ClassRecord("zebra", vector=ZEBRA))
    worker.take("classes")
    (after,) = worker.feed(picture("dog", 77))
    assert after["zero_shot_label"] == after["top"][0]["label"] == "zebra"
    assert before["versions"]["vocabulary"] != after["versions"]["vocabulary"]
    assert before["versions"]["adapter"] != after["versions"]["adapter"] or worker.processor.adapter.n_anchors == 0
    worker.feed(picture("dog", 78, "zebra"))
    assert [anchor.label for anchor in worker.processor.adapter.anchors] == ["zebra"]


def test_whoever_follows_the_classes_hears_once_of_each_change() -> None:
    logs, worker = alone()
    heard: list[tuple[str, ...]] = []
    worker.processor.parts.classes.followers.append(lambda now: heard.append(now.names))
    logs.say(ClassRecord("zebra", vector=ZEBRA))
    worker.take("classes")
    logs.say(ClassRecord("zebra", removed=True))
    worker.take("classes")
    assert heard == [(*CLASSES, "zebra"), CLASSES]


def test_a_name_that_is_no_class_is_refused_until_it_is_one() -> None:
    logs, worker = alone()
    refused = worker.processor.prepare([Record(IMAGES, 0, 0, **picture("dog", 1, "zebra"))]).refused
    assert isinstance(refused[0][1], UnknownLabel) and "classes add" in str(refused[0][1])
    logs.say(ClassRecord("zebra", vector=ZEBRA), ClassRecord("Zebra2", alias_of="zebra"))
    worker.take("classes")
    for name in ("zebra", "Zebra2"):
        assert not worker.processor.prepare([Record(IMAGES, 0, 0, **picture("dog", 1, name))]).refused


def test_a_renamed_class_keeps_its_anchors_which_get_its_name_and_late_labels_mean_it() -> None:
    logs, worker = alone(drift=DriftSettings(groups={"pets": ("cat", "dog")}))
    worker.feed(*(picture("cat", n, "cat") for n in range(2)))
    worker.settle()
    worker.feed(*(picture("cat", n, "cat") for n in range(2, 4)))  # these are on their way while the name changes
    logs.say(ClassRecord("feline", text_of="cat"), ClassRecord("cat", alias_of="feline"))
    worker.settle()
    assert set(worker.state["anchors"].values()) == {"feline"} and len(worker.state["anchors"]) == 4
    newest = {record.key: dict(record.headers)["label"] for record in logs.of("anchors") if record.value}
    assert set(newest.values()) == {b"feline"}, "for whoever reads the topic"
    worker.feed(picture("cat", 9, "cat"))  # late: by somebody who has not heard of it
    assert set(worker.state["anchors"].values()) == {"feline"} and len(worker.state["anchors"]) == 5
    assert (
        worker.processor._metrics.registry.get_sample_value("stream_adapter_scored_total", {"group": "labelled"}) == 3
    ), "and is a test, as the second batch was"
    logs.say(ClassRecord("cat", vector=ZEBRA))  # the name is given to another class
    worker.settle()
    assert set(worker.state["anchors"].values()) == {"feline"}, "whose it was not"


def test_merged_classes_are_one() -> None:
    logs, worker = alone()
    worker.feed(*(picture(name, n, name) for n, name in enumerate(("cat", "cat", "dog"))))
    logs.say(ClassRecord("dog", alias_of="cat"))
    worker.settle()
    assert worker.state["names"] == ("cat", "horse", "house")
    assert list(worker.state["anchors"].values()) == ["cat"] * 3
    (prediction,) = worker.feed(picture("dog", 50))
    assert {one["label"] for one in prediction["anchors"]} == {"cat"}


def test_groups_are_watched_under_the_names_that_their_classes_have_by_now() -> None:
    groups = {"buildings": ("house",), "animals": ("cat", "horse")}
    logs, worker = alone(drift=DriftSettings(groups=groups))

    def labels(group: str) -> float | None:
        logs.clock.now_s += 2.0
        worker.settle()
        shown = worker.processor._metrics.registry.get_sample_value
        return shown("stream_adapter_drift_observed", {"kind": "harm", "group": group})

    worker.feed(picture("house", 1, "house"))
    assert labels("buildings") == 1
    logs.say(ClassRecord("home", text_of="house", canary=True), ClassRecord("house", alias_of="home"))
    worker.settle()
    worker.feed(picture("house", 2, "home"))
    assert labels("buildings") == 2, "another name"
    logs.say(ClassRecord("horse", alias_of="home"))  # which two groups name now
    worker.settle()
    worker.feed(picture("horse", 3, "horse"))
    assert labels("buildings") == 3 and labels("animals") is None


def test_what_was_learned_of_a_removed_class_is_forgotten_at_once_and_deleted_soon() -> None:
    logs, worker = alone()
    worker.feed(*(picture("cat", n, "cat") for n in range(3)))
    worker.settle()
    written = len(logs.of("anchors"))
    logs.say(ClassRecord("cat", removed=True))
    worker.settle()
    assert worker.state["anchors"] == {} and len(worker.state["set aside"]) == 3
    assert len(logs.of("anchors")) == written, "it may be back in a moment, and nothing has another name"
    logs.clock.now_s += 11.0
    worker.settle()
    assert sum(record.value is None for record in logs.of("anchors")) == 3
    logs.say(ClassRecord("cat", text_of="cat"))
    worker.settle()
    assert worker.state["anchors"] == worker.state["set aside"] == {}
    assert worker.state["names"] == ("cat", "dog", "horse", "house")


def test_a_class_that_is_back_in_time_has_its_anchors() -> None:
    logs, worker = alone()
    worker.feed(*(picture("cat", n, "cat") for n in range(3)))
    logs.say(ClassRecord("cat", removed=True))
    worker.settle()
    logs.write([OutRecord("classes", b"cat", None)])  # as configured
    worker.settle()
    logs.clock.now_s += 11.0
    worker.settle()
    assert list(worker.state["anchors"].values()) == ["cat"] * 3


def test_a_canary_is_not_learned_and_gives_its_anchors_back_when_it_is_none() -> None:
    logs, worker = alone()
    worker.feed(*(picture("cat", n, "cat") for n in range(3)))
    worker.settle()
    logs.say(ClassRecord("cat", canary=True), ClassRecord(CANARY, canary=False))
    worker.settle()
    assert worker.state["canaries"] == {"cat"} and worker.state["anchors"] == {}
    worker.feed(picture("cat", 9, "cat"), picture("house", 10, "house"))
    shown = worker.processor._metrics.registry.get_sample_value
    assert shown("stream_adapter_scored_total", {"group": "canary"}) == 1
    logs.say(ClassRecord("cat", canary=False))
    worker.settle()
    assert sorted(worker.state["anchors"].values()) == ["cat", "cat", "cat", "house"]


def test_an_anchor_that_comes_before_its_class_waits_for_it() -> None:
    logs, worker = alone()
    other = Worker(logs, "other")
    logs.say(ClassRecord("zebra", vector=ZEBRA))
    worker.take("classes")
    worker.feed(picture("dog", 78, "zebra"))
    other.take("anchors")
    assert other.state["anchors"] == {} and list(other.state["set aside"].values()) == ["zebra"]
    other.take("classes")
    worker.settle()
    assert other.state == worker.state and list(other.state["anchors"].values()) == ["zebra"]


def test_a_newer_label_of_no_class_takes_an_older_one_away() -> None:
    _, worker = alone(unknown_labels="add", encode=lambda asked: np.stack([ZEBRA] * len(asked)))
    worker.feed(picture("cat", 1, "cat", time_ms=1_000))
    worker.feed(picture("cat", 1, "kitten", time_ms=2_000))
    assert worker.state["anchors"] == {} and list(worker.state["set aside"].values()) == ["kitten"]
    worker.settle()
    assert list(worker.state["anchors"].values()) == ["kitten"]


def test_a_label_becomes_a_class_where_that_is_wanted() -> None:
    asked: list[list[str]] = []

    def encode(names: Sequence[tuple[str, Sequence[str] | None]]) -> Vectors:
        asked.append([name for name, _ in names])
        return np.stack([ZEBRA] * len(names))

    logs, worker = alone(unknown_labels="add", encode=encode)
    other = Worker(logs, "other")
    worker.feed(*(picture("dog", n, "zebra") for n in range(3)), picture("dog", 9, "bad\x00name"))
    worker.feed(picture("dog", 4, "zebra"))
    worker.settle()
    other.settle()
    assert asked == [["zebra"]]
    assert worker.state == other.state
    assert list(worker.state["anchors"].values()) == ["zebra"] * 4
    assert worker.state["set aside"] == {}, "what can be no name waits for no class"
    logs.say(ClassRecord("zebra", removed=True))
    worker.settle()
    worker.feed(picture("dog", 12, "zebra"))
    worker.settle()
    assert "zebra" not in worker.state["names"], "what a person took out no label brings back"
    assert len(worker.state["set aside"]) == 4, "nor does it wait until it is back"
    assert asked == [["zebra"]]


def test_words_are_encoded_in_the_background_and_no_batch_waits() -> None:
    logs, worker = alone(encode=lambda asked: np.stack([ZEBRA] * len(asked)))
    pending: list[tuple[Future[Any], Callable[[], Any]]] = []

    class Background:
        def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
            pending.append((Future(), lambda: function(*arguments)))
            return pending[-1][0]

    worker.processor.parts.classes.background = Background()  # type: ignore[assignment]
    logs.say(ClassRecord("zebra", prompts=("a striped {}",)), ClassRecord("cat", prompts=("a {}",)))
    worker.settle()
    assert worker.state["names"] == CLASSES, "cat keeps the text that it has"
    ((future, work),) = pending
    future.set_result(work())
    worker.feed(picture("dog", 5))
    assert worker.state["names"] == (*CLASSES, "zebra")
    np.testing.assert_array_equal(worker.processor.adapter.classes.texts[0], ZEBRA)


def test_a_label_waits_for_a_class_that_waits_for_its_vector_and_for_no_class_that_was_taken_out() -> None:
    class Busy:
        def submit(self, *_: Any) -> Future[Any]:
            return Future()

    logs, worker = alone(unknown_labels="add", encode=lambda asked: np.stack([ZEBRA] * len(asked)))
    worker.processor.parts.classes.background = Busy()  # type: ignore[assignment]
    logs.say(ClassRecord("cat", removed=True), ClassRecord("zebra", prompts=("a striped {}",)))
    worker.take("classes")
    worker.feed(picture("dog", 1, "zebra"), picture("cat", 2, "cat"))
    assert list(worker.state["set aside"].values()) == ["zebra"]


def test_who_said_what_of_a_class_is_logged_while_it_runs_and_not_when_it_starts() -> None:
    logs, worker = alone()
    logs.say(ClassRecord("zebra", vector=ZEBRA, source="/me"))
    with capture_logs() as said:
        worker.processor.apply_classes(logs.of("classes"), restoring=True)
        assert not said
        worker.take("classes")
    assert [(entry["event"], entry["name"], entry["by"]) for entry in said] == [("class", "zebra", "/me")]


def test_what_is_no_class_event_is_counted_and_said_once_and_stops_nobody() -> None:
    """One number of 400 digits once ended every worker, at each start."""
    _, worker = alone()
    at = Partition("classes", 0)
    values = [b'{"name": "zebra", "vector": [%s]}' % (b"9" * 400), b'{"order": 7}', b"\xff", b"[" * 9_000]
    garbage = [Record(at, number, 0, b"zebra", value, ()) for number, value in enumerate(values)]
    other = Record(at, 9, 0, b"zebra", b'{"name": "zebra", "vector": [1.0, 0.0]}', ())
    with capture_logs() as said:
        for restoring in (True, False):
            worker.processor.apply_classes([*garbage, Record(at, 8, 0, b"\xff", None, ())], restoring=restoring)
        worker.processor.apply_classes([other])
    assert worker.state["names"] == CLASSES
    sample = worker.processor._metrics.registry.get_sample_value
    counted = [sample("stream_adapter_records_set_aside_total", {"reason": r}) for r in ("garbage", "other_length")]
    assert counted == [10, 1]
    assert [line["event"] for line in said].count("set aside a record that is not this worker's") == 1


def test_words_that_nobody_can_encode_are_said_once() -> None:
    def encode(_: Any) -> Vectors:
        raise EncoderError("no text tower")

    for cannot in (None, encode):
        logs, worker = alone(encode=cannot)
        with capture_logs() as said:
            logs.say(ClassRecord("zebra", prompts=("a {}",)))
            for _ in range(3):
                worker.settle()
        assert [entry["log_level"] for entry in said].count("error") == 1
        assert worker.state["names"] == CLASSES
        _, beginner = alone(encode=cannot)
        beginner.processor.apply_classes(logs.of("classes"), restoring=True)  # and waits for none of it
        assert beginner.state["names"] == CLASSES


@pytest.mark.parametrize(
    "said",
    [
        [ClassRecord("a", alias_of="b"), ClassRecord("b", alias_of="a")],
        [ClassRecord("cat", alias_of="cat")],
        [ClassRecord("a", alias_of="nothing")],
        [ClassRecord(name, removed=True) for name in CLASSES],
    ],
)
def test_nonsense_stops_nobody(said: list[ClassRecord]) -> None:
    logs, worker = alone()
    logs.say(*said)
    logs.write([OutRecord("classes", b"cat", b"no JSON"), OutRecord("classes", None, b"{}")])
    logs.say(ClassRecord("far", vector=unit(np.ones(D + 1))))
    worker.settle()
    assert set(worker.state["names"]) <= set(CLASSES) and len(worker.state["names"]) >= 3
    worker.feed(picture("dog", 5))


NAMES = (*CLASSES, "zebra", "é")


@st.composite
def steps(draw: st.DrawFn) -> list[Any]:
    name = st.sampled_from(NAMES)
    a_class = st.builds(
        lambda n, seed, canary: ClassRecord(n, vector=vectors_of(("dog", seed))[0], canary=canary),
        name, st.integers(0, 5), st.sampled_from([None, True, False]),
    )  # fmt: skip
    gone = st.builds(lambda n: ClassRecord(n, removed=True), name)
    alias = st.builds(lambda n, other: ClassRecord(n, alias_of=other), name, name)
    label = st.tuples(st.sampled_from(CLASSES), st.integers(0, 30), name)
    follower = st.sampled_from(["classes", "anchors"])
    return draw(st.lists(st.one_of(a_class, gone, alias, label, label, label, follower), max_size=14))


DOG = vectors_of(("dog", 0))[0]
INTO_A_CANARY = [
    ("cat", 0, "dog"),
    ClassRecord("horse", vector=DOG, canary=True),
    ClassRecord("dog", alias_of="horse"),
]


@settings(max_examples=15, deadline=None)
@given(steps())
@example(INTO_A_CANARY)
@example([*INTO_A_CANARY, "anchors", "classes", ClassRecord("dog", vector=DOG)])
@example([*INTO_A_CANARY, "classes", "anchors", ClassRecord("horse", removed=True)])
def test_all_workers_come_to_the_same_whenever_they_join(steps: list[Any]) -> None:
    logs = Logs()
    leader, follower = Worker(logs, "leader", owner=True), Worker(logs, "follower")
    for step in steps:
        if isinstance(step, str):
            follower.take(step)
        elif isinstance(step, ClassRecord):
            logs.say(step)
            leader.settle()  # a command waits until nothing has an old name
            logs.clock.now_s += 11.0
            leader.settle()
            leader.settle()
        else:
            leader.feed(picture(*step))
    leader.settle()
    follower.settle()
    assert follower.state == leader.state
    logs.compact()
    late = Worker(logs, "late")
    late.settle()
    assert late.state == leader.state
