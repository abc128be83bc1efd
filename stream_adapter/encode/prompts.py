"""From the configuration's classes to the texts that describe each class."""

import difflib
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import open_clip
import yaml

from stream_adapter.config import VocabularyConfig
from stream_adapter.encode.vocabulary import check_names
from stream_adapter.errors import VocabularyError

_SLOT = "{}"


def class_prompts(config: VocabularyConfig) -> dict[str, tuple[str, ...]]:
    """Every class with its texts, in the order given.

    A class with prompts of its own, from `prompts` or a YAML `classes_file`, is described by these alone; `prompts`
    wins. All others get the templates. In both, `{}` stands for the class's name; in a prompt it may be left out.

    Args:
        config: `classes` or `classes_file` is set.

    Returns:
        Name to at least one text.

    Raises:
        VocabularyError: names are empty or repeated, prompts are for no class or empty, a template has no `{}`, or
            the file cannot be read.
    """
    names, own = _given(config)
    check_names(names)
    strangers = [name for name in config.prompts if name not in own]
    if strangers:
        near = difflib.get_close_matches(strangers[0], names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise VocabularyError(f"`vocabulary.prompts` describes {strangers[0]!r}, which is not a class{hint}")
    templates = _templates(config.templates)
    prompts = {}
    for name in names:
        texts = config.prompts.get(name, own[name])
        prompts[name] = tuple(text.replace(_SLOT, name) for text in (templates if texts is None else texts))
        if not prompts[name] or not all(text.strip() for text in prompts[name]):
            raise VocabularyError(f"class {name!r} has no prompts, or an empty one; remove them to use the templates")
    return prompts


def _given(config: VocabularyConfig) -> tuple[tuple[str, ...], dict[str, tuple[str, ...] | None]]:
    """Names in order, repeated ones included, and the prompts of each that come with it."""
    if config.classes_file is None:
        names = tuple(name.strip() for name in config.classes or ())
        return names, dict.fromkeys(names)
    path = config.classes_file
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise VocabularyError(f"`vocabulary.classes_file` {path} cannot be read: {error}") from error
    if path.suffix.lower() in (".yaml", ".yml"):
        return _parse_yaml(path, text)
    lines = (line.strip() for line in text.splitlines())
    names = tuple(line for line in lines if line and not line.startswith("#"))
    return names, dict.fromkeys(names)


class _Loader(yaml.SafeLoader):
    """Refuses a repeated key, which YAML's own loader resolves silently in favour of the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        repeated = sorted({str(key) for key in keys if keys.count(key) > 1})
        if repeated:
            raise yaml.YAMLError(f"{', '.join(repeated)} given more than once")
        return super().construct_mapping(node, deep)


def _parse_yaml(path: Path, text: str) -> tuple[tuple[str, ...], dict[str, tuple[str, ...] | None]]:
    try:
        content = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise VocabularyError(f"`vocabulary.classes_file` {path} cannot be read: {error}") from error
    if not isinstance(content, Mapping):
        raise VocabularyError(f"{path} must map class names to prompts, found {type(content).__name__}")
    own: dict[str, tuple[str, ...] | None] = {}
    for name, value in content.items():
        if not isinstance(name, str):
            raise VocabularyError(f"{path}: class name {name!r} is read as {type(name).__name__}; put it in quotes")
        texts = [value] if isinstance(value, str) else value
        if texts is not None and not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
            raise VocabularyError(
                f"{path}: {name!r} needs a list of texts, or nothing for the templates, not {value!r}"
            )
        own[name.strip()] = None if texts is None else tuple(texts)
    names = tuple(name.strip() for name in content)
    return names, own


def _templates(given: str | Sequence[str]) -> tuple[str, ...]:
    """Templates as texts with `{}` in them."""
    if not isinstance(given, str):
        without = [template for template in given if _SLOT not in template]
        if without or not given:
            found = repr(without[0]) if without else "none at all"
            raise VocabularyError(f"`vocabulary.templates` need `{{}}` where the class name goes; found {found}")
        return tuple(given)
    if given == "none":
        return (_SLOT,)
    templates = open_clip.OPENAI_IMAGENET_TEMPLATES if given == "openai" else open_clip.SIMPLE_IMAGENET_TEMPLATES
    return tuple(template(_SLOT) for template in templates)
