"""How a checkpoint wants its pictures prepared: what it says itself, what the configuration says, what open_clip knows.

A wrong mean or resize gives vectors that look like any others and are worth less, without an error. open_clip takes
OpenAI's for every checkpoint file; here a start is refused where nothing says what is right.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
from open_clip.pretrained import get_pretrained_cfg
from pydantic import ValidationError

from stream_adapter.config import EncoderConfig, PreprocessConfig
from stream_adapter.errors import EncoderError

OWN_FILE = "open_clip_config.json"
"""What open_clip writes beside the weights when it saves a model; `preprocess_cfg` in it says how to prepare."""

_KEYS = ("mean", "std", "interpolation", "resize_mode")
# What open_clip itself adds where `preprocess_cfg` names no more than mean and std, as those of older models do.
_OLDER_MODELS = {"interpolation": "bicubic", "resize_mode": "shortest"}
_ADVICE = (
    "set `encoder.preprocess: {mean: [r, g, b], std: [r, g, b], interpolation: bicubic | bilinear, "
    "resize_mode: shortest | longest | squash}` to what it was trained with"
)


def preprocessing(config: EncoderConfig, model_config: Mapping[str, Any]) -> dict[str, Any]:
    """Mean, std, interpolation, resize mode, and where they are given the size and the fill colour.

    Returns:
        What open_clip takes as `force_preprocess_cfg`.

    Raises:
        EncoderError: nothing says it, or two things that differ.
    """
    place, stated = _stated(config, model_config)
    if config.preprocess is not None:
        given = config.preprocess.model_dump(exclude_none=True)
        differing = [key for key in _KEYS if stated and key in stated and not _same(stated[key], given[key])]
        if stated and differing:
            shown = "; ".join(f"{key} {_shown(given[key])}, there {_shown(stated[key])}" for key in differing)
            raise EncoderError(
                f"`encoder.preprocess` contradicts {place}: {shown}; leave the key out, or correct what is wrong there"
            )
        return {**(stated or {}), **given}
    if stated is not None:
        return {**_OLDER_MODELS, **stated}
    known = _known_weights(config)
    if len(known) == 1:
        return dict(zip(_KEYS, next(iter(known)), strict=True))
    raise EncoderError(f"{place} does not say how its pictures are prepared, and {_reason(config, known)}; {_ADVICE}")


def _stated(config: EncoderConfig, model_config: Mapping[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """What the weights come from, in words, and what they say themselves, if they do."""
    schema, identifier = open_clip.factory.parse_model_name(config.model)
    if schema == "hf-hub":
        return config.model, _checked(open_clip.factory._get_hf_config(identifier), config.model)
    if schema == "local-dir":
        path = Path(identifier) / OWN_FILE
        return str(path), _checked(_read(path), str(path))
    if config.pretrained is not None:
        tag = get_pretrained_cfg(_table_name(config), config.pretrained)
        if tag:
            return f"the tag {config.pretrained!r}", _checked({"preprocess_cfg": tag}, f"the tag {config.pretrained!r}")
    weights = config.pretrained_image or Path(config.pretrained or "")
    path = weights.parent / OWN_FILE
    if not path.is_file():
        return f"the checkpoint {weights}, without {OWN_FILE} beside it,", None
    content = _read(path)
    _check_same_model(content, model_config, path, config.model)
    return str(path), _checked(content, str(path))


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EncoderError(f"{path} cannot be read: {error}; it says how the pictures are prepared") from error


def _checked(content: Any, place: str) -> dict[str, Any] | None:
    """What `preprocess_cfg` of a model's own file names; None where that is not at least mean and std."""
    found = content.get("preprocess_cfg") if isinstance(content, dict) else None
    if not isinstance(found, dict) or not {"mean", "std"} <= found.keys():
        return None
    named = {key: found[key] for key in _KEYS if found.get(key) is not None}
    try:
        checked = PreprocessConfig(**{**_OLDER_MODELS, **named})
    except (ValidationError, TypeError) as error:
        problems = error.errors() if isinstance(error, ValidationError) else []
        shown = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problems) or str(error)
        raise EncoderError(f"`preprocess_cfg` of {place} cannot be used: {shown}") from error
    fill = {"fill_color": found["fill_color"]} if isinstance(found.get("fill_color"), int) else {}
    return {**checked.model_dump(include=set(named)), **fill}


def _check_same_model(content: Any, model_config: Mapping[str, Any], path: Path, name: str) -> None:
    """A folder may hold checkpoints of several models; the file beside them speaks of one."""
    described = content.get("model_cfg") if isinstance(content, dict) else None
    if not isinstance(described, dict):
        return
    vision = described.get("vision_cfg")
    theirs = described.get("embed_dim"), vision.get("image_size") if isinstance(vision, dict) else None
    ours = model_config["embed_dim"], model_config["vision_cfg"].get("image_size")
    if any(None not in pair and pair[0] != pair[1] for pair in zip(theirs, ours, strict=True)):
        raise EncoderError(
            f"{path} describes another model (vectors of length {theirs[0]}, pictures of {theirs[1]} pixels) than "
            f"{name!r} ({ours[0]}, {ours[1]}); put each checkpoint with its {OWN_FILE} into a folder of its own, or "
            "set `encoder.model` to the architecture that the weights were made with"
        )


def _table_name(config: EncoderConfig) -> str:
    return config.model.replace("/", "-")


def _known_weights(config: EncoderConfig) -> dict[tuple[Any, ...], list[str]]:
    """The ways in which pictures are prepared for open_clip's weights of this architecture, each with its tags."""
    known: dict[tuple[Any, ...], list[str]] = {}
    if config.model_config_file is None:  # an architecture of one's own shares no more than its name
        for tag in open_clip.list_pretrained_tags_by_model(_table_name(config)):
            entry = get_pretrained_cfg(_table_name(config), tag)
            known.setdefault(tuple(entry[key] for key in _KEYS), []).append(tag)
    return known


def _reason(config: EncoderConfig, known: Mapping[tuple[Any, ...], list[str]]) -> str:
    """Why open_clip's table does not tell."""
    if not known:
        return f"open_clip has no weights of {config.model!r} to go by"
    ways = "; ".join(
        f"{', '.join(tags[:3])}{', …' if len(tags) > 3 else ''}: "
        + ", ".join(f"{key} {_shown(value)}" for key, value in zip(_KEYS, values, strict=True))
        for values, tags in known.items()
    )
    return f"open_clip's weights of {config.model!r} were made in {len(known)} ways ({ways})"


def _same(one: Any, other: Any) -> bool:
    return list(one) == list(other) if isinstance(one, tuple | list) else bool(one == other)


def _shown(value: Any) -> str:
    return f"[{', '.join(f'{number:g}' for number in value)}]" if isinstance(value, tuple | list) else str(value)
