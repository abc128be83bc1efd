import io
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from stream_adapter.demo.samples import SampleSettings, sample_pictures
from stream_adapter.errors import VocabularyError

CLASSES = ("red circle", "blue star", "green triangle")


def test_pictures_of_the_classes_come_without_end_and_some_are_labelled() -> None:
    pictures = list(islice(sample_pictures(CLASSES, SampleSettings(label_share=0.5, shift_every=50)), 300))
    labels = [picture.label for picture in pictures]
    assert set(labels) == {None, *CLASSES}
    assert 100 < labels.count(None) < 200
    assert Image.open(io.BytesIO(pictures[-1].data)).format == "JPEG"


def test_the_style_changes_to_and_fro() -> None:
    """Night is darker than day."""
    pictures = islice(sample_pictures(CLASSES, SampleSettings(shift_every=40)), 160)
    light = [np.asarray(Image.open(io.BytesIO(picture.data))).mean() for picture in pictures]
    day, night, next_day, next_night = (np.mean(light[start : start + 40]) for start in (0, 40, 80, 120))
    assert min(day, next_day) > max(night, next_night) + 20


def test_two_runs_are_different_events_with_the_same_pictures() -> None:
    first, second = (list(islice(sample_pictures(CLASSES, SampleSettings(seed=7)), 20)) for _ in range(2))
    assert [picture.data for picture in first] == [picture.data for picture in second]
    assert len({picture.event_id for picture in first + second}) == 40


@pytest.mark.parametrize("classes", [("red circle", "giraffe"), ()])
def test_classes_that_cannot_be_drawn_are_refused(classes: tuple[str, ...]) -> None:
    with pytest.raises(VocabularyError, match="giraffe" if classes else "does not list"):
        next(sample_pictures(classes, SampleSettings()))
