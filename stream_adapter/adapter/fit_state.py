"""A fit as arrays, so that a restored worker answers before it has fitted anew.

Only a cache: it is used where settings and vocabulary are the same, and a fit follows where anchors came since.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream_adapter.adapter.correction import AnchorReadings, Correction, CorrectionSettings
from stream_adapter.adapter.discriminant import AnchorMeans
from stream_adapter.adapter.fitting import Fitted, Settings
from stream_adapter.adapter.label_trust import LabelTrust
from stream_adapter.adapter.latent_update import Maps
from stream_adapter.adapter.presence_evidence import PresenceEvidence
from stream_adapter.packing import Arrays, array_of


def fit_arrays(fitted: Fitted, settings: str) -> dict[str, NDArray[np.generic]]:
    """A fit as arrays; any thread may call it.

    Args:
        fitted: n anchors, C classes.
        settings: names all that the fit depends on besides anchors, see `Settings.name`.
    """
    named: dict[str, Any] = {
        "settings": np.frombuffer(settings.encode(), np.uint8),
        "digest": np.frombuffer(bytes.fromhex(fitted.digest), np.uint8),
        "anchors": np.array([fitted.anchors], np.int64),
        "weight": fitted.maps.weight,
        "bias": fitted.maps.bias,
        "texts": fitted.text_vectors,
        "labelled": fitted.correction.labelled,
    }
    if fitted.readings is not None:
        readings = fitted.readings
        named |= {
            "rows": readings.rows,
            "classes": readings.classes,
            "top_classes": readings.top_classes.to(torch.int32),
            "top_logits": readings.top_logits,
            "rest": readings.rest,
            "trust": readings.trust.trust,
            "trust_classes": readings.trust.classes.to(torch.int32),
            "trust_values": readings.trust.values,
            "noise": np.array([readings.trust.noise], np.float64),
            "examples": readings.examples,
            "example_logits": readings.example_logits,
            "novelty": readings.novelty,
            "neighbours": readings.neighbours,
            "weights": readings.weights,
            "means_classes": readings.means.classes,
            "means_weights": readings.means.weights,
            "means_sums": readings.means.sums,
            "means_whitening": readings.means.whitening,
        }
    return {f"fit.{name}": value.cpu().numpy() if isinstance(value, Tensor) else value for name, value in named.items()}


def restored_fit(arrays: Arrays, text_vectors: Tensor, evidence: PresenceEvidence, settings: Settings) -> Fitted | None:
    """The fit that `fit_arrays` packed; None where there is none, or none for these settings.

    Args:
        arrays: of a snapshot.
        text_vectors: float32 (C, d), of all classes.
        evidence: what the traffic says now.
        settings: as they are now.
    """
    try:
        if array_of(arrays, "fit.settings", np.uint8).tobytes() != settings.name.encode():
            return None
        return _restored(arrays, text_vectors, evidence, settings.correction)
    except ValueError:
        return None


def _restored(
    arrays: Arrays, text_vectors: Tensor, evidence: PresenceEvidence, correction: CorrectionSettings
) -> Fitted:
    device, (n_classes, d) = text_vectors.device, text_vectors.shape
    weight = _array(arrays, "weight", np.float32, (2, d, d))
    bias, texts = _array(arrays, "bias", np.float32, (2, d)), _array(arrays, "texts", np.float32, (n_classes, d))
    labelled = _array(arrays, "labelled", np.bool_, (n_classes,))
    readings = _readings(arrays, n_classes, d) if "fit.rows" in arrays else None
    return Fitted(
        maps=Maps(torch.from_numpy(weight).to(device), torch.from_numpy(bias).to(device)),
        text_vectors=torch.from_numpy(texts).to(device),
        readings=readings,
        correction=Correction(readings, labelled, evidence, correction),
        anchors=int(_array(arrays, "anchors", np.int64, (1,))[0]),
        digest=array_of(arrays, "fit.digest", np.uint8).tobytes().hex(),
        taken_at_s=None,
    )


def _readings(arrays: Arrays, n_classes: int, dimension: int) -> AnchorReadings:
    rows = array_of(arrays, "fit.rows", np.int64)
    n, e = len(rows), len(array_of(arrays, "fit.examples", np.int64))

    def floats(name: str, *shape: int) -> Tensor:
        return torch.from_numpy(_array(arrays, name, np.float32, shape))

    def indices(name: str, below: int, dtype: type[np.generic], *shape: int) -> Tensor:
        found = _array(arrays, name, dtype, shape)
        if found.size and not 0 <= found.min() <= found.max() < below:
            raise ValueError(f"`fit.{name}` has indices that are not below {below}")
        return torch.from_numpy(found.astype(np.int64))

    return AnchorReadings(
        rows=rows,
        classes=indices("classes", n_classes, np.int64, n),
        top_classes=indices("top_classes", n_classes, np.int32, n, -1),
        top_logits=floats("top_logits", n, -1),
        rest=floats("rest", n),
        trust=LabelTrust(
            trust=floats("trust", n),
            classes=indices("trust_classes", n_classes, np.int32, n, -1),
            values=floats("trust_values", n, -1),
            noise=float(_array(arrays, "noise", np.float64, (1,))[0]),
        ),
        examples=indices("examples", n, np.int64, e),
        example_logits=floats("example_logits", 2, e, n_classes),
        novelty=floats("novelty", 2, e),
        neighbours=indices("neighbours", n, np.int64, e, -1),
        weights=floats("weights", e, -1),
        means=_means(arrays, n_classes, dimension),
    )


def _means(arrays: Arrays, n_classes: int, dimension: int) -> AnchorMeans:
    classes = _array(arrays, "means_classes", np.int64, (-1,))
    if classes.size and not 0 <= classes.min() <= classes.max() < n_classes:
        raise ValueError(f"`fit.means_classes` has indices that are not below {n_classes}")
    side = dimension if array_of(arrays, "fit.means_whitening", np.float32, dimensions=2).size else 0
    shapes = {"weights": (len(classes),), "sums": (len(classes), dimension), "whitening": (side, side)}
    parts = [torch.from_numpy(_array(arrays, f"means_{name}", np.float32, shape)) for name, shape in shapes.items()]
    return AnchorMeans(torch.from_numpy(classes), *parts)


def _array(arrays: Arrays, name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
    """An array of this shape; −1 stands for any length."""
    found = array_of(arrays, f"fit.{name}", dtype, dimensions=len(shape))
    if any(wanted not in (-1, length) for wanted, length in zip(shape, found.shape, strict=True)):
        raise ValueError(f"`fit.{name}` has shape {found.shape}, expected {shape}")
    return found
