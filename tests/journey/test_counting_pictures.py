"""What the reader counts of the pictures that it hands to be decoded."""

import pytest

from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.events import image_event_headers
from stream_adapter.events.formats import DECLARED_TYPES, FOUND_TYPES
from stream_adapter.journey.reading import Reader
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import Partition, Record
from tests.fakes import CLASSES, FakeEncoder
from tests.picture_files import picture


def counted(metrics: Metrics) -> dict[tuple[str, str], float]:
    (family,) = metrics.pictures.collect()
    totals = [sample for sample in family.samples if sample.name.endswith("_total")]
    return {(one.labels["declared"], one.labels["found"]): one.value for one in totals if one.value}


def read(data: bytes, content_type: str) -> dict[tuple[str, str], float]:
    metrics = Metrics()
    reader = Reader(FakeEncoder(), CLASSES, reject_unknown_labels=True, decoders=InlineExecutor(), metrics=metrics)
    headers = image_event_headers(source="/test", id="1", content_type=content_type)
    reader.decoded(reader.read([Record(Partition("images", 0), 0, 0, None, data, headers)]))
    return counted(metrics)


@pytest.mark.parametrize(
    ("kind", "content_type", "expected"),
    [
        ("JPEG", "image/jpeg", ("image/jpeg", "image/jpeg")),
        ("JPEG", "Image/JPG; q=1", ("image/jpeg", "image/jpeg")),
        ("PNG", "image/jpeg", ("image/jpeg", "image/png")),
        ("PNG", "image/x-png", ("image/png", "image/png")),
        ("WEBP", "image/*", ("image/*", "image/webp")),
        ("GIF", "application/octet-stream", ("application/octet-stream", "image/gif")),
        ("AVIF", "binary/octet-stream", ("binary/octet-stream", "image/avif")),
        ("TIFF", "image/anything", ("other", "image/tiff")),
        ("BMP", "image/bmp", ("image/bmp", "image/bmp")),
    ],
)
def test_pictures_are_counted_by_what_they_are_said_to_be_and_are(
    kind: str, content_type: str, expected: tuple[str, str]
) -> None:
    assert read(picture(kind), content_type) == {expected: 1.0}


def test_what_is_no_picture_is_counted_as_other() -> None:
    assert read(b"cat 1", "image/png") == {("image/png", "other"): 1.0}


def test_what_is_not_handed_to_be_decoded_is_not_counted() -> None:
    assert read(b"cat 1", "text/html") == {}
    assert read(bytes(64), "application/x-embedding") == {}


def test_every_series_is_there_from_the_start() -> None:
    (family,) = Metrics().pictures.collect()
    there = {(one.labels["declared"], one.labels["found"]) for one in family.samples}
    assert there == {(declared, found) for declared in DECLARED_TYPES for found in FOUND_TYPES}
