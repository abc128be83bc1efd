"""JPEGs whose end is missing: whole but for the end marker, or really cut."""

import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.encode import jpeg
from stream_adapter.errors import UndecodableImage
from tests.encode.test_images import decoder
from tests.picture_files import jpeg_declaring, picture

VARIANTS = {
    "baseline": picture("JPEG"),
    "progressive": picture("JPEG", progressive=True),
    "grey": picture("JPEG", mode="L"),
    "CMYK": picture("JPEG", mode="CMYK"),
    "restart markers": picture("JPEG", restart_marker_blocks=4),
    "large": picture("JPEG", 1_500, 1_400),
}


@pytest.mark.parametrize("data", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("missing", [1, 2])
def test_without_its_end_marker_it_is_whole(data: bytes, missing: int) -> None:
    np.testing.assert_array_equal(decoder()(data[:-missing]), decoder()(data))


@pytest.mark.parametrize("data", VARIANTS.values(), ids=VARIANTS)
def test_really_cut_it_is_refused_and_says_truncated(data: bytes) -> None:
    for missing in (3, 4, 10, 100, len(data) // 2):
        with pytest.raises(UndecodableImage, match="truncated"):
            decoder()(data[:-missing])


@pytest.mark.parametrize("name", ["progressive", "grey progressive"])
def test_cut_between_two_scans_it_looks_whole_to_a_decoder_and_is_refused(name: str) -> None:
    data = picture("JPEG", mode="L" if "grey" in name else "RGB", progressive=True)
    starts = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    tables = [data.rfind(b"\xff\xc4", 0, at) for at in starts]
    assert len(starts) > 4
    for at in (*starts[1:], *tables[1:]):
        with pytest.raises(UndecodableImage, match="truncated"):
            decoder()(data[:at])
    decoded = simplejpeg.decode_jpeg(data[: tables[-1]] + jpeg.END)
    assert decoded.shape == (96, 128, 3), "the decoder alone would take it"


def test_the_size_is_named() -> None:
    with pytest.raises(UndecodableImage, match="128 × 96 pixels is truncated"):
        decoder()(picture("JPEG")[:-20])
    with pytest.raises(UndecodableImage, match="is truncated"):
        decoder()(jpeg_declaring(200, 128))


@given(name=st.sampled_from(sorted(VARIANTS)), share=st.floats(0, 1))
def test_cut_anywhere_it_is_refused(name: str, share: float) -> None:
    data = VARIANTS[name]
    with pytest.raises(UndecodableImage):
        decoder()(data[: min(int(share * len(data)), len(data) - 3)])


@given(st.binary(max_size=200))
def test_any_bytes_have_an_end_or_none(noise: bytes) -> None:
    for data in (noise, b"\xff\xd8\xff" + noise, VARIANTS["progressive"][:300] + noise):
        assert isinstance(jpeg.is_whole(data), bool)
        assert jpeg.scans(data) >= 0
        assert 1 <= jpeg.orientation(jpeg.header_segments(data, 10)) <= 8
