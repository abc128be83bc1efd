import base64
import io
import json
import threading

import numpy as np
import pytest
from PIL import Image

from stream_adapter.page.pictures import STRIP, Pictures, thumbnail
from tests.page.seen import event, seen


def test_a_thumbnail_is_small_and_looks_like_the_picture() -> None:
    picture = np.zeros((3, 224, 224), np.uint8)
    picture[0, :, :112] = 255  # the left half is red
    jpeg = thumbnail(picture)
    assert jpeg is not None
    shown = np.asarray(Image.open(io.BytesIO(jpeg)))
    assert shown.shape == (96, 96, 3)
    assert shown[:, 20].mean(axis=0) == pytest.approx([254, 0, 0], abs=6)
    assert shown[:, 75].mean(axis=0) == pytest.approx([0, 0, 0], abs=6)
    assert len(jpeg) < 4_000


def test_a_vector_has_no_picture() -> None:
    assert thumbnail(np.ones(16, np.float32)) is None


def test_the_strip_and_the_thumbnails_are_bounded() -> None:
    pictures = Pictures(10, with_pictures=True)
    for number in range(100):
        pictures.add(seen(str(number), side=8))
    shown = pictures.since(0, 1_000)
    assert [one["number"] for one in shown] == list(range(100 - STRIP + 1, 101))
    assert sum(one["picture"] is not None for one in shown) == 10
    assert len(pictures.of(event(str(number)).anchor_id for number in range(100))) == 100


def test_only_what_is_new_is_told() -> None:
    pictures = Pictures(10, with_pictures=True)
    for number in range(5):
        pictures.add(seen(str(number), side=8))
    assert [one["event"]["id"] for one in pictures.since(3, 10)] == ["3", "4"]
    assert [one["event"]["id"] for one in pictures.since(0, 2)] == ["3", "4"]
    assert json.dumps(pictures.since(0, 10))


def test_no_picture_is_made_where_none_may_be_shown() -> None:
    pictures = Pictures(10, with_pictures=False)
    pictures.add(seen())
    (shown,) = pictures.since(0, 10)
    assert shown["picture"] is None
    assert shown["explanation"]
    assert pictures.of([shown["anchor_id"]]) == {shown["anchor_id"]: None}


def test_what_is_forgotten_is_not_shown_and_does_not_come_back() -> None:
    pictures = Pictures(10, with_pictures=True)
    for number in range(3):
        pictures.add(seen(str(number), side=8))
    gone = event("1").anchor_id
    pictures.forget([gone])
    assert [one["event"]["id"] for one in pictures.since(0, 10)] == ["0", "2"]
    pictures.add(seen("1", side=8))  # was on its way
    assert pictures.of([gone]) == {gone: None}


def test_an_address_is_a_jpeg() -> None:
    pictures = Pictures(10, with_pictures=True)
    pictures.add(seen())
    address = pictures.since(0, 1)[0]["picture"]
    head, _, encoded = address.partition(",")
    assert head == "data:image/jpeg;base64"
    assert base64.b64decode(encoded).startswith(b"\xff\xd8\xff")


def test_it_is_read_while_it_is_written() -> None:
    pictures = Pictures(20, with_pictures=True)
    failed: list[BaseException] = []
    ended = threading.Event()

    def read() -> None:
        try:
            while not ended.is_set():
                pictures.since(0, 10)
                pictures.forget([event("3").anchor_id])
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(300):
        pictures.add(seen(str(number), side=8))
    ended.set()
    thread.join()
    assert not failed
