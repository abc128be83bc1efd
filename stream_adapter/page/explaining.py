"""A prediction in plain words: what zero-shot says, what labels and traffic made of it, and which anchors did it."""

from stream_adapter.events import PredictionDocument

# Below so large a gate the nearest anchor is too far to have a say.
_NO_SAY = 0.01
_NOVEL = 0.9


def explain(prediction: PredictionDocument) -> list[str]:
    """Sentences, the most important one first."""
    return [_answer(prediction), *_anchors(prediction), *_verdict(prediction), *_caution(prediction)]


def _answer(prediction: PredictionDocument) -> str:
    top, zero_shot = prediction["top"][0], prediction["zero_shot_label"]
    what = "what was learned" if prediction["anchors"] else "the traffic"
    if top["label"] != zero_shot:
        return (
            f"Zero-shot says “{zero_shot}”; {what} moved the answer to “{top['label']}”: "
            f"{_percent(top['zero_shot'])} without it, {_percent(top['adapted'])} with it."
        )
    change = top["adapted"] - top["zero_shot"]
    if abs(change) < 0.005:
        return f"Zero-shot and the adapted model agree on “{top['label']}” at {_percent(top['adapted'])}."
    return (
        f"Both say “{top['label']}”; {what} {'raised' if change > 0 else 'lowered'} it from "
        f"{_percent(top['zero_shot'])} to {_percent(top['adapted'])}."
    )


def _anchors(prediction: PredictionDocument) -> list[str]:
    if not prediction["anchors"]:
        return ["There is no anchor yet: where pictures without labels lie is all that could move it."]
    nearest = prediction["anchors"][0]
    if prediction["gate"] < _NO_SAY:
        cosine = nearest["cosine"]
        return [f"No anchor is near enough to have a say of its own; the nearest one has cosine {cosine:.2f}."]
    top = prediction["top"][0]["label"]
    near = f"“{nearest['label']}” at cosine {nearest['cosine']:.2f}"
    if not prediction["top_has_anchors"]:
        return [
            f"“{top}” has no anchors ({prediction['top'][0]['kind']}): labels move the classes around it, and what "
            f"they take from those falls to it. The nearest anchor is {near}."
        ]
    number, alike = len(prediction["anchors"]), sum(anchor["label"] == top for anchor in prediction["anchors"])
    are = "is" if alike == 1 else "are"
    return [f"{alike} of the {number} nearest anchors {are} “{top}”; the nearest of all is {near}."]


def _verdict(prediction: PredictionDocument) -> list[str]:
    if prediction.get("label") is None:
        return []
    adapted = prediction["top"][0]["label"] == prediction.get("label")
    zero_shot = prediction["zero_shot_label"] == prediction.get("label")
    judged = {
        (True, True): "both were right",
        (True, False): "only the adapted model was right",
        (False, True): "only zero-shot was right",
        (False, False): "both were wrong",
    }[adapted, zero_shot]
    return [f"Its label, which this answer did not know, is “{prediction['label']}”: {judged}."]


def _caution(prediction: PredictionDocument) -> list[str]:
    if prediction["unknown"]:
        return [
            f"It may be of no class of the vocabulary: none-of-these score {prediction['none_of_these']:.2f}, beyond "
            "what labelled pictures of known classes mostly have."
        ]
    if prediction["novelty"] <= _NOVEL:
        return []
    return [f"Neither the vocabulary nor an anchor explains it well: novelty {prediction['novelty']:.2f}."]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
