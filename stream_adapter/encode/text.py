"""Class vectors from the text tower: prompt ensembles, as open_clip's zero-shot classifier makes them."""

import time
from collections.abc import Sequence

import numpy as np
import structlog
import torch

from stream_adapter.encode.base import Vectors
from stream_adapter.encode.towers import Towers

_BATCH = 128  # texts
_REPORT_S = 10.0  # thousands of classes with 80 templates each take long on a CPU: say how far it is

_log = structlog.get_logger(__name__)


@torch.inference_mode()
def class_vectors(towers: Towers, prompts: Sequence[Sequence[str]], device: torch.device) -> Vectors:
    """One vector a class: the mean of its prompts' unit vectors, made unit length again.

    The same as `open_clip.build_zero_shot_classifier`, but each class may have its own number of prompts.

    Args:
        towers: loaded with the text tower, which is moved to the device.
        prompts: for each of C classes at least one text.
        device: where to compute; in float32, vectors are made once and used for ever.

    Returns:
        float32 (C, d), unit length.
    """
    assert towers.text is not None and towers.tokenizer is not None
    model = towers.text.to(device)
    texts = [text for of_class in prompts for text in of_class]
    owner = torch.tensor([c for c, of_class in enumerate(prompts) for _ in of_class])  # (T,)
    sums = torch.zeros(len(prompts), towers.d)
    reported = time.monotonic()
    for start in range(0, len(texts), _BATCH):
        tokens = towers.tokenizer(texts[start : start + _BATCH]).to(device)  # (B, context)
        vectors = model.encode_text(tokens, normalize=True).float().cpu()  # (B, d)
        sums.index_add_(0, owner[start : start + _BATCH], vectors)
        if time.monotonic() - reported > _REPORT_S:
            _log.info("embedding prompts", done=start + len(tokens), texts=len(texts), classes=len(prompts))
            reported = time.monotonic()
    unit: Vectors = torch.nn.functional.normalize(sums, dim=-1).numpy()  # the mean's direction is the sum's
    return np.ascontiguousarray(unit)
