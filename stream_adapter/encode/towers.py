"""Loads open_clip models: by name and hub tag, from files and folders, or an image tower on its own.

Weights are read as safetensors or with torch's `weights_only`; nothing is unpickled. What open_clip would only warn
about or raise in its own words (random weights, unknown names, failed downloads) is an `EncoderError` that says what
to do.
"""

import difflib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import safetensors
import safetensors.torch
import torch
from open_clip.transform import PreprocessCfg, merge_preprocess_dict

from stream_adapter.config import EncoderConfig
from stream_adapter.encode.preprocessing import preprocessing
from stream_adapter.encode.vocabulary import DEFAULT_LOGIT_SCALE
from stream_adapter.errors import EncoderError

Tokenizer = Callable[[Sequence[str]], torch.Tensor]

# The smallest text tower there is: open_clip builds the image tower only together with one.
_NO_TEXT = {"context_length": 2, "vocab_size": 2, "width": 8, "heads": 1, "layers": 1}

_NEEDED_KEYS = ("embed_dim", "vision_cfg", "text_cfg")


@dataclass(frozen=True, slots=True)
class Towers:
    """A loaded model, float32, on the CPU.

    Attributes:
        name: as configured, for messages.
        visual: the image tower, in evaluation mode: float (B, 3, H, W) to (B, d).
        text: the whole model, for its text tower; None where it was not asked for.
        tokenizer: texts to tokens; None with `text`.
        logit_scale: the model's own, or 100 where it is not known.
    """

    name: str
    model_config: Mapping[str, Any]
    preprocess: PreprocessCfg
    visual: torch.nn.Module
    text: Any  # open_clip.CLIP, CustomTextCLIP or CoCa, or None
    tokenizer: Tokenizer | None
    logit_scale: float

    @property
    def d(self) -> int:
        """Length of the vectors."""
        return int(self.model_config["embed_dim"])


def load_towers(config: EncoderConfig, *, text: bool) -> Towers:
    """Load the configured model.

    Args:
        config: which model, from where.
        text: whether the text tower is needed; otherwise it is dropped as soon as the file is read.

    Raises:
        EncoderError: the model is unknown, its weights cannot be had or do not fit, or it has no text tower.
    """
    folder = _register(config)
    model_config = _model_config(config)
    if config.pretrained_image is not None:
        if text:
            raise EncoderError(
                f"{config.pretrained_image.name} is an image tower alone: it cannot turn class names into vectors; set "
                "`vocabulary.vectors` to a file of class vectors made with the same model, or `encoder.pretrained` "
                "to a whole model"
            )
        return _image_tower(config, config.pretrained_image, model_config)
    _check_pretrained(config)
    try:
        model = open_clip.create_model(
            config.model,
            config.pretrained,
            force_image_size=None if config.preprocess is None else config.preprocess.size,
            force_preprocess_cfg=preprocessing(config, model_config),
            require_pretrained=True,
        ).eval()
        tokenizer = open_clip.get_tokenizer(config.model, **_tokenizer_paths(model_config, folder)) if text else None
    except EncoderError:
        raise
    except Exception as error:
        raise _not_loaded(config, error) from error
    preprocess = PreprocessCfg(**open_clip.get_model_preprocess_cfg(model))
    logit_scale = float(model.logit_scale.detach().exp())
    return Towers(config.model, model_config, preprocess, model.visual, model if text else None, tokenizer, logit_scale)


def check_encoder(config: EncoderConfig) -> int | None:
    """Look at what is known of a model without loading it, or asking a hub for it.

    Returns:
        Length of its vectors; None where only the hub knows.

    Raises:
        EncoderError: open_clip does not know the model or the tag, or a file is not there.
    """
    if config.model.startswith("hf-hub:"):
        return None
    _register(config)
    found = _model_config(config)
    _check_pretrained(config)
    if config.pretrained_image is not None and not config.pretrained_image.is_file():
        raise EncoderError(f"`encoder.pretrained_image`: there is no file {config.pretrained_image}")
    return int(found["embed_dim"])


def _register(config: EncoderConfig) -> Path | None:
    """Make open_clip know the architecture file, if there is one.

    Returns:
        The folder that paths inside the architecture are relative to, or None for open_clip's own.
    """
    schema, place = open_clip.factory.parse_model_name(config.model)
    if schema == "local-dir":
        return Path(place)
    path = config.model_config_file
    if path is None:
        return None
    if path.stem != config.model:
        raise EncoderError(
            f"`encoder.model_config_file` {path.name} defines the model {path.stem!r}, but `encoder.model` is "
            f"{config.model!r}; set `model: {path.stem}`"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EncoderError(f"`encoder.model_config_file` {path} cannot be read: {error}") from error
    missing = [key for key in _NEEDED_KEYS if not isinstance(content, dict) or key not in content]
    if missing:
        raise EncoderError(
            f"`encoder.model_config_file` {path} lacks {', '.join(missing)}; expected an open_clip model configuration"
        )
    if open_clip.get_model_config(config.model) != content:  # the registry only grows: register once
        open_clip.add_model_config(path)
    return path.parent


def _model_config(config: EncoderConfig) -> Mapping[str, Any]:
    """open_clip's configuration of the named model."""
    schema, _ = open_clip.factory.parse_model_name(config.model)
    try:
        found: Mapping[str, Any] | None = open_clip.get_model_config(
            config.model.replace("/", "-") if schema is None else config.model
        )
    except Exception as error:
        raise _not_loaded(config, error) from error
    if found is None:
        raise EncoderError(
            f"open_clip knows no model {config.model!r}{_nearest(config.model, open_clip.list_models())}"
        )
    missing = [key for key in _NEEDED_KEYS if key not in found]
    if missing:
        raise EncoderError(f"the configuration of {config.model!r} lacks {', '.join(missing)}")
    return found


def _check_pretrained(config: EncoderConfig) -> None:
    """Refuse a tag that is none before open_clip takes it for a missing file."""
    given = config.pretrained
    if given is None or Path(given).is_file():
        return
    name = config.model.replace("/", "-")
    tags = open_clip.list_pretrained_tags_by_model(name)
    if open_clip.is_pretrained_cfg(name, given):
        return
    if Path(given).suffix or "/" in given:
        raise EncoderError(f"`encoder.pretrained`: there is no checkpoint file {given}")
    raise EncoderError(f"{config.model!r} has no weights with the tag {given!r}{_nearest(given, tags)}")


def _image_tower(config: EncoderConfig, path: Path, model_config: Mapping[str, Any]) -> Towers:
    """The named architecture's image tower with the weights of one safetensors file."""
    prepare = preprocessing(config, model_config)
    vision = {**model_config["vision_cfg"], "timm_model_pretrained": False}
    if "size" in prepare:
        vision["image_size"] = prepare["size"]
    quick_gelu = model_config.get("quick_gelu", False)
    visual = open_clip.CLIP(model_config["embed_dim"], vision, _NO_TEXT, quick_gelu=quick_gelu).visual.eval()
    try:
        weights = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise EncoderError(f"`encoder.pretrained_image` {path} cannot be read as safetensors: {error}") from error
    given = {name.removeprefix("visual."): tensor for name, tensor in weights.items() if name.startswith("visual.")}
    given = given or weights  # of a whole model the image tower's part, else the tower's own names
    wanted = visual.state_dict()
    problems = [
        *(f"{name} is missing" for name in wanted.keys() - given.keys()),
        *(f"{name} is not in the architecture" for name in given.keys() - wanted.keys()),
        *(
            f"{name} is {tuple(given[name].shape)}, expected {tuple(wanted[name].shape)}"
            for name in given.keys() & wanted.keys()
            if given[name].shape != wanted[name].shape
        ),
    ]
    if problems:
        shown = "; ".join(sorted(problems)[:5])
        raise EncoderError(
            f"{path.name} does not fit the image tower of {config.model!r}, which has {len(wanted)} tensors; "
            f"{len(problems)} do not agree: {shown}; "
            "set `encoder.model` to the architecture that it was made with"
        )
    visual.load_state_dict(given, strict=True)
    preprocess = PreprocessCfg(**merge_preprocess_dict(PreprocessCfg(), {"size": visual.image_size, **prepare}))
    return Towers(config.model, model_config, preprocess, visual, None, None, DEFAULT_LOGIT_SCALE)


def _tokenizer_paths(model_config: Mapping[str, Any], folder: Path | None) -> dict[str, str]:
    """The vocabulary of an own tokenizer, found beside the architecture file that names it."""
    given = (model_config["text_cfg"].get("tokenizer_kwargs") or {}).get("bpe_path")
    return {} if given is None or folder is None else {"bpe_path": str(folder / given)}


def _nearest(name: str, known: Sequence[str]) -> str:
    """`; did you mean …`, or what there is."""
    by_lower = {other.lower(): other for other in known}
    near = [by_lower[match] for match in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)]
    if near:
        return f"; did you mean {' or '.join(near)}?"
    shown = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
    return f"; known: {shown}" if known else "; it has none, give a checkpoint file"


def _not_loaded(config: EncoderConfig, error: Exception) -> EncoderError:
    """What open_clip raised, with what to do about it; state dict errors run to pages and are cut."""
    reason = " ".join(str(error).split()).rstrip(".")
    reason = reason if len(reason) <= 400 else reason[:400] + " …"
    source = config.model if config.pretrained is None else f"{config.model} with weights {config.pretrained}"
    if "weights_only" in reason or "Weights only" in reason:
        advice = "the file holds more than tensors and is not unpickled; save its state dict as safetensors"
    elif "state_dict" in reason:
        advice = "the weights are of another architecture; set `encoder.model` to the one they were made with"
    elif isinstance(error, ImportError):
        advice = "the model needs a package that is not installed"
    elif "download" in reason.lower() or "HF Hub" in reason or isinstance(error, ConnectionError):
        allow = "to allow downloads set HF_HUB_OFFLINE=0; " if os.environ.get("HF_HUB_OFFLINE", "0") != "0" else ""
        advice = (
            f"{allow}without network, fill the Hugging Face cache (HF_HOME) on another machine, or set "
            "`encoder.pretrained` to a checkpoint file"
        )
    else:
        advice = "check `encoder.model` and `encoder.pretrained`"
    return EncoderError(f"cannot load {source}: {reason}; {advice}")
