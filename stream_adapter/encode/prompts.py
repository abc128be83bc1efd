"""From the configuration's classes to the texts that describe each class."""

from collections.abc import Sequence

from stream_adapter.config import VocabularyConfig
from stream_adapter.encode.class_list import ClassList, read_class_list
from stream_adapter.encode.vocabulary import check_names
from stream_adapter.errors import VocabularyError
from stream_adapter.events.names import canonical_name, did_you_mean

_SLOT = "{}"


def class_prompts(config: VocabularyConfig) -> dict[str, tuple[str, ...]]:
    """Every class with its texts, in the order given.

    A class with prompts of its own, from `prompts` or from `classes_file`, is described by these alone; `prompts` wins.
    All others get the templates. In both, `{}` stands for the class's name; in a prompt it may be left out. There,
    `great_white_shark` reads "great white shark" (`underscores_as_blanks`): CLIP was trained on words.

    Returns:
        Name to at least one text.

    Raises:
        VocabularyError: names are empty or repeated, prompts are for no class or empty, a template has no `{}`, or
            the file cannot be read.
    """
    given: ClassList
    if config.classes_file is None:
        given = [(name, None) for name in config.classes or ()]
    else:
        given = read_class_list(config.classes_file)
    check_names(tuple(name for name, _ in given))
    own = {canonical_name(name): texts for name, texts in given}
    for written, of_class in config.prompts.items():
        name = canonical_name(written)
        if name not in own:
            raise VocabularyError(
                f"`vocabulary.prompts` describes {written!r}, which is not a class{did_you_mean(name, own)}"
            )
        own[name] = of_class
    templates = _templates(config.templates)
    prompts = {}
    for name, texts in own.items():
        words = _words(name) if config.underscores_as_blanks else name
        prompts[name] = tuple(text.replace(_SLOT, words) for text in (templates if texts is None else texts))
        if not prompts[name] or not all(text.strip() for text in prompts[name]):
            raise VocabularyError(f"class {name!r} has no prompts, or an empty one; remove them to use the templates")
    return prompts


def _words(name: str) -> str:
    return " ".join(name.replace("_", " ").split()) or name if "_" in name else name


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
    import open_clip  # here and not above: what needs no model does without it

    templates = open_clip.OPENAI_IMAGENET_TEMPLATES if given == "openai" else open_clip.SIMPLE_IMAGENET_TEMPLATES
    return tuple(template(_SLOT) for template in templates)
