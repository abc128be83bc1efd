"""Names of classes as people write them: what counts as the same name, and which one was meant."""

import difflib
import unicodedata
from collections.abc import Iterable
from functools import lru_cache


@lru_cache(maxsize=4_096)
def canonical_name(text: str) -> str:
    """A name as it is compared: in NFC, and without white space around it.

    `é` is one character on most keyboards and two in the names of macOS's folders; both look the same and mean the
    same. Letters' case is kept: a vocabulary may have `Polish` and `polish`.
    """
    return unicodedata.normalize("NFC", text).strip()


def has_control_characters(name: str) -> bool:
    """Whether a name is no text: control characters, halves of characters, ends of lines or paragraphs."""
    return any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name.strip())


def names_by_case(known: Iterable[str]) -> dict[str, str]:
    """Each name by its `str.casefold`; of names that differ in case only, the first."""
    by_case: dict[str, str] = {}
    for name in known:
        by_case.setdefault(name.casefold(), name)
    return by_case


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'Cat'?` for a name that is not known; empty where no known one is near.

    A name that differs in nothing but case comes before all others. Compares with every known name, so it is for what
    people ask once; for a stream of names see `names_by_case`.
    """
    by_case = names_by_case(known)
    near = difflib.get_close_matches(name.casefold(), by_case, n=1)  # the same text is the nearest
    return f"; did you mean {by_case[near[0]]!r}?" if near else ""
