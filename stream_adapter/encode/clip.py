"""What `encoder.type: open_clip` is: a CLIP as a `Model`, and its image tower as an `Encoder`."""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import structlog
import torch
from pydantic import BaseModel

from stream_adapter.config import EncoderConfig
from stream_adapter.encode.base import Pixels, Prepared, Vectors, check_vector
from stream_adapter.encode.fingerprint import fingerprint
from stream_adapter.encode.fusing import fused
from stream_adapter.encode.images import ImageDecoder
from stream_adapter.encode.precision import choose
from stream_adapter.encode.text import class_vectors
from stream_adapter.encode.towers import Towers, load_towers
from stream_adapter.encode.tracing import traced
from stream_adapter.errors import EncoderError

log = structlog.get_logger(__name__)


class ClipEncoder:
    """Runs an image tower. Takes the tower over: it is moved and, on a CPU, cast in place.

    On CUDA half precision is autocast over float32 weights. On a CPU the weights themselves are cast: autocast there
    would cast them again for every batch, four times slower than float32.

    Raises:
        EncoderError: the device is not there.
    """

    def __init__(self, towers: Towers, config: EncoderConfig) -> None:
        self._name = towers.name
        self.d = towers.d
        self.fingerprint = fingerprint(
            towers.visual.state_dict(),
            towers.model_config,
            towers.preprocess,
            exif_orientation=config.exif_orientation,
        )
        self._decoder = ImageDecoder(
            towers.preprocess,
            max_pixels=config.max_pixels,
            max_bytes=config.max_bytes,
            exif_orientation=config.exif_orientation,
        )
        self._size = self._decoder.size
        self._device = pick_device(config.device)
        # Convolutional towers are about 1.4 times as fast with the channels last; for transformers it is all one.
        visual = fused(towers.visual, self._size).to(self._device).to(memory_format=torch.channels_last)
        self._dtype = choose(config.precision, self._device)
        self._visual: Callable[[torch.Tensor], Any] = visual
        if self._device.type == "cpu":
            self._visual = traced(visual.to(self._dtype), self._size, self._dtype)
        self._most = sys.maxsize  # pictures that the device has room for
        # Pixels are 0..255 on arrival: both are scaled, not the pixels.
        self._mean = 255.0 * torch.tensor(towers.preprocess.mean, device=self._device).view(1, 3, 1, 1)
        self._std = 255.0 * torch.tensor(towers.preprocess.std, device=self._device).view(1, 3, 1, 1)

    @property
    def precision(self) -> str:
        """What the tower computes in: "float32", "bfloat16" or "float16"."""
        return str(self._dtype).removeprefix("torch.")

    def prepare(self, data: bytes, content_type: str) -> Pixels:
        """Decode one picture; see `ImageDecoder`."""
        return self._decoder(data, content_type)

    def check_vector(self, data: bytes, fingerprint: str | None) -> Vectors:
        """Read a vector that arrived in place of a picture."""
        return check_vector(data, fingerprint, d=self.d, expected=self.fingerprint)

    def encode(self, prepared: Sequence[Prepared]) -> Vectors:
        """Embed a batch: pixels (3, H, W) go through the tower, vectors (d,) pass through.

        Returns:
            float32 (B, d), unit length.

        Raises:
            EncoderError: the tower's result is not finite, or the device has no room for a single picture.
        """
        vectors = np.empty((len(prepared), self.d), np.float32)
        pictures = [row for row, item in enumerate(prepared) if item.dtype == np.uint8]
        if pictures:
            vectors[pictures] = self._embed(np.stack([prepared[row] for row in pictures]))
        for row in set(range(len(prepared))).difference(pictures):
            vectors[row] = prepared[row]
        return vectors

    def warm_up(self, batch: int = 8) -> None:
        """Run once at this batch size, so that the first event is not the slow one."""
        self._embed(np.zeros((batch, 3, *self._size), np.uint8))

    def _embed(self, pixels: Pixels) -> Vectors:
        """Embed pixels (B, 3, H, W); for which the device has no room at once, in parts, from then on."""
        while True:
            most = min(self._most, len(pixels))
            try:
                return np.concatenate([self._run(pixels[at : at + most]) for at in range(0, len(pixels), most)])
            except torch.OutOfMemoryError as error:
                if most == 1:
                    raise EncoderError(
                        f"{self._device} has no memory for a single picture ({error}); end what else uses it, or set "
                        "`encoder.device: cpu`"
                    ) from error
                self._most = most // 2
                torch.cuda.empty_cache()
                log.warning("the device is out of memory: smaller batches from now on", pictures=self._most)

    @torch.inference_mode()
    def _run(self, pixels: Pixels) -> Vectors:
        images = torch.from_numpy(pixels)  # (B, 3, H, W)
        if self._device.type == "cuda":  # a copy out of pinned memory does not wait
            images = images.pin_memory()
        images = images.to(self._device, non_blocking=True).float()
        images.sub_(self._mean).div_(self._std)
        if self._device.type == "cpu":
            features = self._visual(images.to(self._dtype))
        else:
            with torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32):
                features = self._visual(images)
        if isinstance(features, tuple):  # CoCa's tower returns its tokens too
            features = features[0]
        vectors: Vectors = torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy()  # (B, d)
        if not np.isfinite(vectors).all():
            raise EncoderError(
                f"{self._name} gave a vector that is not finite in {self.precision}; set `encoder.precision: float32`"
            )
        return vectors


def pick_device(wanted: str) -> torch.device:
    """The device for `encoder.device`.

    Raises:
        EncoderError: a CUDA device is asked for and not there.
    """
    devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "auto":
        return torch.device("cuda" if devices else "cpu")
    device = torch.device(wanted)
    if device.type == "cuda" and (device.index or 0) >= devices:
        raise EncoderError(
            f"`encoder.device` is {wanted}, but torch sees {devices or 'no'} CUDA devices; install the driver and a "
            "CUDA build of torch, or set `encoder.device: auto`"
        )
    return device


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
