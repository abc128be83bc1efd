"""Records followed many at once come to the same as one by one, however they are cut."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.ownership import EVERYTHING
from stream_adapter.adapter.anchors.weights import Directions
from stream_adapter.adapter.learner import LearnerContext
from stream_adapter.adapter.mixture.directions import bytes_of
from stream_adapter.config import AdapterConfig, AnchorsConfig
from stream_adapter.events import AnchorRecord, anchor_tombstone
from stream_adapter.journey.foreign import Foreign, LeftAlone
from stream_adapter.journey.replica import Replica
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.changelog import changes_of
from tests.fakes import CLASSES, TEXT_VECTORS, D
from tests.journey.test_replica import VECTORS, record

WRITTEN = st.one_of(
    st.builds(
        lambda name, label, vector, time, fingerprint: replace(
            record(name, label, vector=vector, time=time), fingerprint=fingerprint
        ).to_record("another"),
        st.sampled_from("abcdefgh"),
        st.sampled_from([*CLASSES, CLASSES[0], "no class"]),
        st.integers(0, len(VECTORS) - 1),
        st.integers(0, 3),
        st.sampled_from(["fake-encoder"] * 5 + ["other"]),
    ),
    st.builds(anchor_tombstone, st.sampled_from("abcdefgh"), st.just("another")),
    st.just(OutRecord("anchors", b"a", b"odd", ())),
)


def directions_of(seed: int) -> bytes:
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(D, 4)))
    return bytes_of(Directions(matrix.astype(np.float32), 0.3, seed + 1))


class Reader:
    """Follows as a worker does that starts; it answers where it is asked."""

    def __init__(self) -> None:
        config = AdapterConfig(canaries=[CLASSES[-1]], anchors=AnchorsConfig(index="exact", neighbours=2))
        self.adapter = Adapter(TEXT_VECTORS, CLASSES, 10.0, config, context=LearnerContext(clock=lambda: 0.0))
        self.replica = Replica(self.adapter, fingerprint="fake-encoder", writer="me", metrics=Metrics())
        self.foreign = Foreign(fingerprint="fake-encoder", dimension=D, left_alone=LeftAlone(Metrics()))

    def follow(self, records: list[OutRecord], start: int) -> None:
        read = [
            Record(Partition("anchors", 0), start + place, 0, one.key, one.value, one.headers)
            for place, one in enumerate(records)
        ]
        self.replica.follow(self.foreign.sift(changes_of(read, "me")))

    def answers(self) -> np.ndarray:
        return self.adapter.predict(VECTORS).adapted


def of_another(name: str, label: str, time: int) -> OutRecord:
    return replace(record(name, label, time=time), fingerprint="fake-encoder").to_record("another")


@example(
    written=[of_another("a", CLASSES[0], 1), of_another("a", CLASSES[-1], 0)], cuts=[], directions=None, asked=False
).via("an older label of a canary: what is newer is written again")
@settings(max_examples=60, deadline=None)
@given(
    written=st.lists(WRITTEN, max_size=16),
    cuts=st.lists(st.integers(0, 16), max_size=3),
    directions=st.one_of(st.none(), st.integers(0, 16)),
    asked=st.booleans(),
)
def test_blocks_come_to_the_same_as_records_one_by_one(
    written: list[OutRecord], cuts: list[int], directions: int | None, asked: bool
) -> None:
    if directions is not None:
        cuts = [*cuts, min(directions, len(written))]
    bounds = sorted({0, len(written), *(cut for cut in cuts if cut < len(written))})
    single, blocks = Reader(), Reader()
    for start, end in pairwise(bounds):
        if start == directions:
            for one in (single, blocks):
                one.adapter.follow((), {"directions": directions_of(3)})
        blocks.follow(written[start:end], start)
        for place in range(start, end):
            single.follow(written[place : place + 1], place)
            single.answers()  # so that weights and sums are kept level change by change
        if asked:
            blocks.answers()
    assert blocks.adapter.anchors_digest == single.adapter.anchors_digest
    aside = [
        {key: (one.label, one.stamp) for key, one in of.replica.set_aside.anchors.items()} for of in (single, blocks)
    ]
    assert aside[0] == aside[1]
    assert {one.key for one in blocks.replica.reassert(EVERYTHING)} == {
        one.key for one in single.replica.reassert(EVERYTHING)
    }
    for one in (single, blocks):
        one.adapter.learn(())  # all is in force
    np.testing.assert_allclose(blocks.answers(), single.answers(), atol=1e-5)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("newer", [CLASSES[0], CLASSES[-1], "no class"])
@pytest.mark.parametrize("older", [CLASSES[0], CLASSES[-1], "no class"])
def test_what_an_older_record_replaced_is_written_again_whatever_class_it_has(
    newer: str, older: str, at_once: bool
) -> None:
    reader, written = Reader(), [of_another("a", newer, 1), of_another("a", older, 0)]
    for start, records in [(0, written)] if at_once else [(0, written[:1]), (1, written[1:])]:
        reader.follow(records, start)
    again = reader.replica.reassert(EVERYTHING)
    assert [AnchorRecord.from_record(one.key, one.value, one.headers).label for one in again] == [newer]
    assert reader.replica.reassert(EVERYTHING) == []
