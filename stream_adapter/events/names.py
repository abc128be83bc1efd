"""Names of classes as texts: what is compared, wherever a label meets a class."""

import unicodedata


def canonical_name(text: str) -> str:
    """The form in which two spellings of one name are equal: Unicode's composed form (NFC), no blanks around it."""
    return unicodedata.normalize("NFC", text).strip()
