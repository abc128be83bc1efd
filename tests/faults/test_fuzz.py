"""A short run of `make fuzz`: no parser ends in anything that it does not promise."""

from pathlib import Path

import pytest

from tests.faults.fuzz import fuzz
from tests.faults.parsers import PARSERS, Parser, packed, unpacked


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_mutated_inputs_end_in_what_is_promised(parser: Parser, tmp_path: Path) -> None:
    inputs, broken = fuzz(parser, 20.0, seed=0, keep=tmp_path, most=150)
    assert inputs > 20
    assert not broken, sorted(tmp_path.iterdir())


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_it_begins_with_what_is_sound(parser: Parser) -> None:
    if parser.name not in ("dead letters", "image events", "pictures", "configuration"):
        parser.parse(parser.seeds[0])


def test_what_is_not_promised_is_found(tmp_path: Path) -> None:
    def parse(data: bytes) -> None:
        if len(data) != 4:
            raise KeyError(len(data))

    assert fuzz(Parser("broken", parse, [b"four"]), 5.0, seed=0, keep=tmp_path, most=100) == (100, 1)
    assert len((tmp_path / "broken-1").read_bytes()) != 4


def test_records_survive_being_packed() -> None:
    record = unpacked(packed(b"k", None, (("a", b"b"), ("c", b""))))
    assert (record.key, record.value, record.headers) == (b"k", None, (("a", b"b"), ("c", b"")))
