"""`OpenClipModel`: what `encoder.type: open_clip` is."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel

from stream_adapter.config import EncoderConfig
from stream_adapter.encode.base import Vectors
from stream_adapter.encode.clip import ClipEncoder, pick_device
from stream_adapter.encode.text import class_vectors
from stream_adapter.encode.towers import load_towers


class OpenClipModel:
    """A CLIP of open_clip, see `Model`; its settings are the keys of `encoder` itself."""

    Settings: ClassVar[type[BaseModel]] = BaseModel

    def __init__(self, config: EncoderConfig, *, text: bool) -> None:
        self._config = config
        self._towers = load_towers(config, text=text)

    @property
    def logit_scale(self) -> float:
        """The model's own, or 100 where it is not known."""
        return self._towers.logit_scale

    def class_vectors(self, prompts: Sequence[Sequence[str]]) -> Vectors:
        """One vector a class, from the text tower; see `text.class_vectors`."""
        return class_vectors(self._towers, prompts, pick_device(self._config.device))

    def encoder(self) -> ClipEncoder:
        """The image tower; the text tower is dropped."""
        self._towers = dataclasses.replace(self._towers, text=None, tokenizer=None)
        return ClipEncoder(self._towers, self._config)
