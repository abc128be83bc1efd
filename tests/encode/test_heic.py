"""HEIC pictures, which an optional package reads."""

import io
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from stream_adapter.encode import images
from stream_adapter.errors import UndecodableImage
from tests.encode.test_images import decoder
from tests.picture_files import soft_shapes

HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00heicmif1"


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    images._heic_readable.cache_clear()
    yield
    images._heic_readable.cache_clear()


def test_without_the_package_the_reason_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UndecodableImage, match=r"need the package pillow-heif.*install stream-adapter\[heic\]"):
        decoder()(HEIC, "image/heic")


@pytest.fixture
def heic() -> bytes:
    package = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    package.from_pillow(soft_shapes(300, 401)).save(buffer, quality=95)
    return buffer.getvalue()


def test_with_the_package_it_is_decoded(heic: bytes) -> None:
    expected = decoder()(_png(soft_shapes(300, 401)))
    assert np.abs(decoder()(heic, "image/jpeg").astype(int) - expected).mean() < 2


def test_the_limits_hold(heic: bytes) -> None:
    with pytest.raises(UndecodableImage, match=r"HEIC picture declares 401 × 300 = 120,300 pixels.*max_pixels"):
        decoder(max_pixels=120_299)(heic)
    for end in (12, 100, len(heic) // 2, len(heic) - 50):
        with pytest.raises(UndecodableImage):
            decoder()(heic[:end])


def _png(image: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")  # type: ignore[attr-defined]
    return buffer.getvalue()
