"""Odd pictures: those that a person sees are decoded as seen, the rest is refused, and nothing else happens.

`ODD_PICTURES=5000 pytest tests/encode/test_odd_pictures.py` tries more of them.
"""

import os
from collections import Counter

import numpy as np
import pytest
from open_clip.transform import PreprocessCfg

from stream_adapter.encode.geometry import Geometry
from stream_adapter.encode.images import ImageDecoder
from stream_adapter.errors import UndecodableImage
from tests.odd_pictures import MAKERS, OddPicture, odd_picture

NUMBER = int(os.environ.get("ODD_PICTURES", "400"))
CONFIG = PreprocessCfg(size=64, resize_mode="squash")  # nothing is cropped away
DECODE = ImageDecoder(CONFIG, max_pixels=50_000_000, max_bytes=20_000_000)


def tried(odd: OddPicture) -> str | None:
    """Decode it; what is wrong with the outcome, or None."""
    try:
        pixels = DECODE(odd.data, odd.content_type)
    except UndecodableImage as error:
        if not str(error):
            return "refused without a reason"
        return f"refused: {error}" if odd.sound else None
    if pixels.shape != (3, 64, 64) or pixels.dtype != np.uint8:
        return f"decoded to {pixels.dtype} {pixels.shape}"
    if odd.sound is False:
        return "decoded, but there is nothing to see"
    if odd.seen is not None:
        expected = Geometry.of(CONFIG).apply(np.array(odd.seen))
        difference = float(np.abs(pixels.astype(int) - expected).mean())
        if difference > odd.level:
            return f"decoded {difference:.2f} grey levels from what is seen, more than {odd.level}"
    return None


@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.timeout(max(300, NUMBER))
def test_odd_pictures_are_shown_as_seen_or_refused() -> None:
    wrong = Counter[str]()
    shown = []
    for number in range(NUMBER):
        odd = odd_picture(number)
        problem = tried(odd)  # whatever else it raises ends the test
        if problem is not None:
            wrong[odd.name] += 1
            shown.append(f"{number} {odd.name}: {problem}")
    assert not wrong, f"{dict(wrong)}\n" + "\n".join(shown[:20])


def test_the_same_number_makes_the_same_picture() -> None:
    for number in range(len(MAKERS)):
        assert odd_picture(number).data == odd_picture(number).data


def test_there_is_something_to_see_and_something_to_refuse() -> None:
    kinds = Counter(odd_picture(number).sound for number in range(len(MAKERS)))
    assert kinds[True] >= 14
    assert kinds[False] >= 8
    assert kinds[None] >= 5
