from stream_adapter.page.explaining import explain
from tests.page.seen import prediction, score


def test_an_answer_that_was_moved() -> None:
    assert explain(prediction()) == [
        "Zero-shot says “cat”; what was learned moved the answer to “dog”: 20.0 % without it, 70.0 % with it.",
        "2 of the 3 nearest anchors are “dog”; the nearest of all is “dog” at cosine 0.93.",
    ]


def test_an_answer_that_both_give() -> None:
    assert (
        explain(prediction(zero_shot_label="dog"))[0]
        == "Both say “dog”; what was learned raised it from 20.0 % to 70.0 %."
    )
    same = prediction(zero_shot_label="dog", top=[score("dog", 0.9, 0.901)])
    assert explain(same)[0] == "Zero-shot and the adapted model agree on “dog” at 90.0 %."


def test_without_anchors_or_far_from_them() -> None:
    assert explain(prediction(anchors=[], gate=0.0))[:2] == [
        "Zero-shot says “cat”; the traffic moved the answer to “dog”: 20.0 % without it, 70.0 % with it.",
        "There is no anchor yet: where pictures without labels lie is all that could move it.",
    ]
    assert explain(prediction(gate=0.001))[1] == (
        "No anchor is near enough to have a say of its own; the nearest one has cosine 0.93."
    )


def test_a_label_judges_both_models() -> None:
    for label, zero_shot, verdict in (
        ("dog", "dog", "both were right"),
        ("dog", "cat", "only the adapted model was right"),
        ("cat", "cat", "only zero-shot was right"),
        ("bird", "cat", "both were wrong"),
    ):
        assert explain(prediction(label=label, zero_shot_label=zero_shot))[2].endswith(f"“{label}”: {verdict}.")


def test_a_class_without_anchors() -> None:
    said = explain(prediction(top=[score("yak", 0.9, 0.4, "present")], top_has_anchors=False))
    assert said[1].startswith("“yak” has no anchors (present): labels move the classes around it")
    assert said[1].endswith("The nearest anchor is “dog” at cosine 0.93.")


def test_something_new() -> None:
    assert (
        explain(prediction(novelty=0.95))[-1] == "Neither the vocabulary nor an anchor explains it well: novelty 0.95."
    )
