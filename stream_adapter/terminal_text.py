"""Text of others on a terminal: no escape sequence, no turned direction, no line that is none, nothing unseen."""

import re

# Controls of both sets, what turns or breaks lines, blanks without width, and halves of characters, which no terminal
# takes.
_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ud800-\udfff\ufeff]")
_HARMFUL_BUT_LINES = re.compile(_HARMFUL.pattern.replace("\x1f", "\x09\x0b-\x1f", 1))


def escape_controls(text: str, *, lines: bool = False) -> str:
    """The text with such characters as JSON writes them, by their numbers; line ends stay where `lines` is set."""
    return (_HARMFUL_BUT_LINES if lines else _HARMFUL).sub(lambda found: f"\\u{ord(found[0]):04x}", text)
