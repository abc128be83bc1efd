from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.features import read_features, save_features
from tests.evaluate.data import CLASSES, DOMAINS, make_features
from tests.shared_data import shared


def arrays(**changed: Any) -> dict[str, Any]:
    features = make_features(24)
    whole: dict[str, Any] = {
        "vectors": features.vectors,
        "labels": features.labels,
        "class_names": np.array(CLASSES),
        "text_vectors": features.vocabulary.text_vectors,
    } | changed
    return {name: value for name, value in whole.items() if value is not None}


def test_what_was_saved_is_read_back_within_float16(tmp_path: Path) -> None:
    features = make_features(48, unknown=3)
    save_features(tmp_path / "features.npz", features)
    read = read_features(tmp_path / "features.npz")
    np.testing.assert_allclose(read.vectors, features.vectors, atol=1e-3)
    np.testing.assert_array_equal(read.labels, features.labels)
    assert read.domain_names == DOMAINS
    assert read.vocabulary.class_names == CLASSES
    assert read.vocabulary.logit_scale == features.vocabulary.logit_scale
    assert [path.name for path in tmp_path.iterdir()] == ["features.npz"], "nothing is left beside it"


def test_domains_and_logit_scale_may_be_absent(tmp_path: Path) -> None:
    np.savez(tmp_path / "features.npz", **arrays())
    read = read_features(tmp_path / "features.npz")
    assert read.domain_names == ("all",)
    assert read.vocabulary.logit_scale == 100.0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"labels": None}, "lacks the array labels"),
        (
            {"labels": np.full(24, 6)},
            "24 labels are neither −1 nor an index of one of the 6 classes; the first is 6 in row 0",
        ),
        ({"labels": np.zeros(23, np.int64)}, r"labels must be integers \(24,\)"),
        ({"labels": np.zeros(24)}, "labels must be integers"),
        (
            {"vectors": np.ones((24, 16), np.float32)},
            "24 of 24 vectors are not unit vectors, the first is row 0 with length 4",
        ),
        ({"vectors": np.full((24, 16), np.nan, np.float32)}, "not unit vectors"),
        ({"vectors": np.ones((24, 8), np.float32)}, r"floating point \(N, 16\) like the text vectors"),
        ({"vectors": np.ones((0, 16), np.float32), "labels": np.zeros(0, np.int64)}, "floating point"),
        ({"class_names": np.arange(6)}, "class_names must be texts"),
        ({"class_names": np.array(["cat"] * 6)}, "more than once"),
        ({"logit_scale": np.array([1.0, 2.0])}, "logit_scale must be one number"),
        ({"domains": np.array(["photo"] * 23)}, "one per vector"),
        ({"domains": np.zeros(24)}, "domains must be texts"),
        ({"text_vectors": np.ones((6, 16), np.int64)}, "text_vectors must be floating point"),
    ],
)
def test_what_does_not_fit_is_named_with_its_value(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    np.savez(tmp_path / "features.npz", **arrays(**changed))
    with pytest.raises(EvaluationError, match=said):
        read_features(tmp_path / "features.npz")


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "features.npz", **arrays(class_names=np.array([*CLASSES], object)))
    with pytest.raises(EvaluationError, match="cannot be read as a feature file"):
        read_features(tmp_path / "features.npz")


@given(
    damage=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=20), cut=st.booleans()
)
def test_a_damaged_file_is_an_error_of_ours_or_still_valid(
    tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[int, int]], cut: bool
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "features.npz"
    np.savez(path, **arrays())
    data = bytearray(path.read_bytes())
    for place, value in damage:
        data[place % len(data)] = value
    path.write_bytes(bytes(data[: len(data) // 2] if cut else data))
    try:
        assert len(read_features(path)) == 24
    except EvaluationError as error:
        assert "features.npz" in str(error)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="cannot be written"):
        save_features(tmp_path / "absent" / "features.npz", make_features(24))


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "zero_shot"), [("whurs19_clip_vitb32.npz", 0.8129), ("pacs_clip_vitb16.npz", (0.968 * 1670 + 0.76 * 2048))]
)
def test_the_shared_files_can_be_read(name: str, zero_shot: float) -> None:
    features = read_features(shared(name))
    known = features.labels >= 0
    right = (features.vectors @ features.vocabulary.text_vectors.T).argmax(axis=1)[known] == features.labels[known]
    if name.startswith("whu"):
        assert right.mean() == pytest.approx(zero_shot, abs=5e-4)
    else:
        photo = features.domains[known] == "photo"
        assert right[photo].mean() == pytest.approx(0.968, abs=2e-3)
