"""Values of records as they come: JSON objects, base64, and text that can be written again."""

import base64
import binascii
import json
from functools import lru_cache
from typing import Any

import numpy as np

from stream_adapter.errors import MalformedEvent

_BLANKS = b"\xef\xbb\xbf \t\r\n"  # a byte order mark too
_LONGEST_VECTOR = 65_536
_URL_SAFE = str.maketrans("-_", "+/", " \t\r\n")


@lru_cache(maxsize=256)
def media_type(content_type: str) -> str:
    """`image/jpeg` of `Image/JPEG; charset=binary`."""
    return content_type.partition(";")[0].strip().lower()


def looks_like_json(value: bytes | None) -> bool:
    """Whether a value begins as a JSON object does; no picture does."""
    return value is not None and value[:64].lstrip(_BLANKS)[:1] == b"{"


def json_object(value: bytes | None, what: str) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        document = json.loads(value or b"")
    except (ValueError, RecursionError) as error:
        raise MalformedEvent(f"{what} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise MalformedEvent(f"{what} must be a JSON object, found {type(document).__name__}")
    return document


def from_base64(text: Any, what: str) -> bytes:
    """Read base64, in its URL-safe form too, broken into lines or not, with or without padding."""
    if not isinstance(text, str):
        raise MalformedEvent(f"{what} is not base64: must be a string, found {text!r:.80}")
    joined = text.translate(_URL_SAFE)
    try:
        return base64.b64decode(joined + "=" * (-len(joined) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedEvent(f"{what} is not base64: {error}") from error


def from_picture(text: Any, what: str) -> tuple[str, bytes]:
    """Content type, empty where nobody says it, and bytes of a picture in base64 or as a `data:` URL."""
    content_type = ""
    if isinstance(text, str) and text[:5].lower() == "data:":
        head, comma, text = text.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise MalformedEvent(f"{what} is a data: URL without base64: {head[:40]!r}; send it as base64")
        content_type = media_type(head[5:])
    return content_type, from_base64(text, what)


def from_numbers(values: Any, what: str) -> bytes:
    """A vector from a list of numbers, as little-endian float32."""
    if not isinstance(values, list):
        raise MalformedEvent(f"{what} must be a list of numbers, found {values!r:.80}")
    if len(values) > _LONGEST_VECTOR:
        raise MalformedEvent(f"{what} has {len(values):,} numbers, more than the {_LONGEST_VECTOR:,} of any encoder")
    for position, value in enumerate(values):
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise MalformedEvent(f"{what} must be a list of numbers, found {value!r:.80} at {position}")
    try:
        with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused as such
            return np.array(values, dtype=np.float64).astype("<f4").tobytes()
    except OverflowError as error:
        raise MalformedEvent(f"{what} holds a number that is too large: {error}") from error


def as_text(value: Any, what: str) -> str:
    """A value that must be text, and such as can be written: JSON's escapes can make half a character."""
    if not isinstance(value, str):
        raise MalformedEvent(f"{what} must be a string, found {value!r:.80}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise MalformedEvent(f"{what} is no text: {value[:40]!r} has half of a surrogate pair") from error
    return value
