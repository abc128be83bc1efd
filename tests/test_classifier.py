from pathlib import Path

import numpy as np
import pytest

from stream_adapter import AdapterConfig, Classifier
from stream_adapter.errors import AnchorError, SnapshotError, VocabularyError
from tests.fakes import unit

NAMES = ["cat", "dog", "cow"]
TEXTS = np.eye(3, 32, dtype=np.float32)


def pictures(number: int = 60, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    random = np.random.default_rng(seed)
    classes = random.integers(3, size=number)
    vectors = unit(TEXTS[classes] + 0.1 * random.standard_normal((number, 32)))
    return vectors, [NAMES[index] for index in classes]


# Four cows that zero-shot takes for cats, though it is not sure.
COWS = unit(
    np.array([0.55, 0.0, 0.5, *[0.0] * 29])
    + 0.05 * np.random.default_rng(5).standard_normal((4, 32)) * (np.arange(32) > 2)
)


def classifier(**config: object) -> Classifier:
    return Classifier(TEXTS, NAMES, 10.0, AdapterConfig.model_validate({"protection": 0.0, **config}))


def test_a_label_is_in_force_at_the_next_prediction_and_gone_when_forgotten() -> None:
    model = classifier()
    vectors, _ = pictures()
    untouched = model.predict_proba(vectors)
    np.testing.assert_allclose(untouched.sum(axis=1), 1.0, rtol=1e-5)
    model.learn(vectors)
    assert model.predict(COWS) == ["cat"] * 4
    ids = model.learn(COWS, ["cow"] * 4)
    assert model.predict(COWS) == ["cow"] * 4
    assert model.forget([*ids, "never there"]) == ids
    assert model.predict(COWS) == ["cat"] * 4


def test_names_from_an_array_are_texts_and_nonsense_is_said() -> None:
    model = Classifier(TEXTS, np.array(NAMES), 10.0)  # type: ignore[arg-type]
    assert [type(name) for name in (*model.classes_, *model.predict(TEXTS))] == [str] * 6
    with pytest.raises(VocabularyError, match="no classes: 'hen', nan; see"):
        model.learn(TEXTS, ["hen", float("nan"), "cat"])  # type: ignore[list-item]
    assert model.learn(TEXTS, NAMES, ids=[1, 2, 3]) == ["1", "2", "3"]
    assert model.forget([2]) == ["2"]
    with pytest.raises(AnchorError, match=r"shape \(32,\), expected \(n, 32\): a single one goes into a list"):
        model.predict(TEXTS[0])


def test_the_same_picture_is_corrected_and_not_counted_twice() -> None:
    model = classifier()
    first = model.learn(TEXTS[:1], ["dog"])
    assert model.learn(TEXTS[:1], ["cow"]) == first
    assert [(anchor.anchor_id, anchor.label) for anchor in model.adapter.anchors] == [(first[0], "cow")]
    assert model.learn(TEXTS[:1], ["cat"], ids=["mine"]) == ["mine"]


def test_a_clock_that_is_set_back_loses_no_correction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier()
    model.learn(TEXTS[:1], ["dog"], ids=["mine"])
    model.save(tmp_path / "model")
    monkeypatch.setattr("time.time", lambda: 1_000.0)
    for one in (model, Classifier.load(tmp_path / "model")):
        one.learn(TEXTS[:1], ["cow"], ids=["mine"])
        assert [anchor.label for anchor in one.adapter.anchors] == ["cow"]


def test_what_nobody_labelled_teaches_without_becoming_an_anchor() -> None:
    model = classifier()
    vectors, _ = pictures()
    before = model.adapter.version
    model.learn(vectors)
    assert model.adapter.n_anchors == 0
    assert model.adapter.version != before


def test_it_answers_the_same_after_it_was_saved_and_goes_on_from_there(tmp_path: Path) -> None:
    model = classifier(canaries=["cow"], anchors={"neighbours": 3})
    vectors, labels = pictures()
    model.learn(vectors[:40], [label if row % 2 else None for row, label in enumerate(labels[:40])])
    model.save(tmp_path / "model.safetensors")
    loaded = Classifier.load(tmp_path / "model.safetensors")
    assert loaded.classes_ == tuple(NAMES)
    assert loaded.adapter.anchors_digest == model.adapter.anchors_digest
    np.testing.assert_allclose(loaded.predict_proba(vectors), model.predict_proba(vectors), atol=1e-6)
    for one in (model, loaded):
        one.learn(vectors[40:], labels[40:])
    np.testing.assert_allclose(loaded.predict_proba(vectors), model.predict_proba(vectors), atol=1e-6)
    assert not any(anchor.label == "cow" for anchor in loaded.adapter.anchors)


def test_it_says_why() -> None:
    model = classifier()
    model.learn(pictures()[0])
    ids = model.learn(COWS, ["cow"] * 4)
    why = model.explain(COWS[0], top=2)
    assert why.top[0].label == "cow"
    assert len(why.top) == 2
    assert (why.anchors[0].id, why.anchors[0].label) == (ids[0], "cow")
    assert "Zero-shot says “cat”" in str(why)


def test_what_cannot_be_used_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    model = classifier()
    with pytest.raises(VocabularyError, match="'horse'"):
        model.learn(TEXTS[:2], ["cat", "horse"])
    with pytest.raises(AnchorError, match="2 vectors, 1 labels and 2 ids"):
        model.learn(TEXTS[:2], ["cat"])
    with pytest.raises(AnchorError, match="length is 2"):
        model.learn(2 * TEXTS[:1], ["cat"])
    assert model.adapter.n_anchors == 0
    assert np.array_equal(model.predict_proba(TEXTS), classifier().predict_proba(TEXTS))
    (tmp_path / "model").write_bytes(b"not one")
    with pytest.raises(SnapshotError, match="cannot be read"):
        Classifier.load(tmp_path / "model")


def test_names_are_compared_as_everywhere_else():
    model = Classifier(np.eye(2, 8, dtype=np.float32), ["cafe\u0301", " dog "], 10.0)
    assert model.classes_ == ("caf\u00e9", "dog")
    model.learn(np.eye(2, 8, dtype=np.float32), ["caf\u00e9 ", "cafe\u0301"])
    assert model.adapter.n_anchors == 2


def test_an_id_that_is_none_is_refused():
    model = Classifier(np.eye(2, 8, dtype=np.float32), ["cat", "dog"], 10.0)
    with pytest.raises(AnchorError, match="an id is None"):
        model.learn(np.eye(2, 8, dtype=np.float32), ["cat", "dog"], ids=[None, None])
    assert model.adapter.n_anchors == 0
