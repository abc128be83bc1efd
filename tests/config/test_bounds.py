"""Every number of a configuration has bounds, and all its text can be written; what is not so is told by its key."""

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from stream_adapter.config import Config, parse
from stream_adapter.encode.vectors_only import VectorsModel
from stream_adapter.errors import ConfigError

SMALLEST: dict[str, Any] = {
    "encoder": {
        "model": "m",
        "pretrained": "p",
        "preprocess": {"mean": [0, 0, 0], "std": [1, 1, 1], "interpolation": "bicubic", "resize_mode": "squash"},
    },
    "vocabulary": {"classes": ["cat"]},
}

Path = tuple[str | int, ...]

HUGE = "HUGE"
"""Stands for a number that Python does not write out."""

# What kafka-python's options may be is for it to say; see below.
CLIENT_OPTIONS = {("kafka", part) for part in ("security", "consumer", "producer")}


def numbers_of(schema: dict[str, Any], node: dict[str, Any], path: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Where a JSON schema has numbers, and what it says of each."""
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    if path in CLIENT_OPTIONS:
        return
    if node.get("type") in ("integer", "number"):
        yield path, node
    for key, inner in node.get("properties", {}).items():
        yield from numbers_of(schema, inner, (*path, key))
    for either in (*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("allOf", ())):
        yield from numbers_of(schema, either, path)
    for position, inner in enumerate(node.get("prefixItems", ())):
        yield from numbers_of(schema, inner, (*path, position))
    for more, step in (("items", 0), ("additionalProperties", "cat")):
        if isinstance(node.get(more), dict):
            yield from numbers_of(schema, node[more], (*path, step))


@cache
def numbers() -> dict[Path, dict[str, Any]]:
    schema = Config.model_json_schema()
    options = VectorsModel.Settings.model_json_schema()
    of_options = numbers_of(options, options, ("encoder", "options"))
    return dict(numbers_of(schema, schema)) | dict(of_options)


def document_with(path: Path, value: object) -> str:
    document = yaml.safe_load(yaml.safe_dump(SMALLEST))
    if path[:2] == ("encoder", "options"):
        document["encoder"] = {"type": "vectors", "options": {"d": 4, "fingerprint": "f"}}
    if path[0] == "files":
        document["files"] = {"input": "a", "output": "b"}
    at: Any = document
    for step in path[:-1]:
        at = at[step] if isinstance(at, list) else at.setdefault(step, {})
    at[path[-1]] = value
    return yaml.safe_dump(document).replace(HUGE, "0x" + 5_000 * "f")


def refused(path: Path, value: object) -> bool:
    """Whether a value is refused, with its key and with nothing else."""
    try:
        parse(document_with(path, value))
    except ConfigError as error:
        (problem,) = error.problems
        assert problem.startswith(".".join(map(str, path)) + ": "), problem
        assert "; found " in problem or path[-1] == "token"
        return True
    return False


def test_there_are_numbers_of_every_kind() -> None:
    for key in ("adapter.protect.cat", "encoder.preprocess.mean.2", "adapter.mixture.reach", "encoder.options.d"):
        assert tuple(int(step) if step.isdigit() else step for step in key.split(".")) in numbers()
    assert len(numbers()) > 60


@pytest.mark.parametrize("path", list(numbers()), ids=lambda path: ".".join(map(str, path)))
def test_a_number_has_bounds_and_what_lies_beyond_is_refused(path: Path) -> None:
    said = numbers()[path]
    least = said.get("minimum", said.get("exclusiveMinimum"))
    most = said.get("maximum", said.get("exclusiveMaximum"))
    assert least is not None and most is not None and -1 <= least < most <= 1e12, said
    for value in (math.inf, -math.inf, math.nan, 1e308, 10**30, -(10**30), least - 1, most + 1, HUGE):
        assert refused(path, value), value


@pytest.mark.parametrize("section", [part for _, part in sorted(CLIENT_OPTIONS)])
@pytest.mark.parametrize("value", [math.inf, math.nan, 10**30, -(2**63) - 1])
def test_an_option_of_a_client_is_a_number_that_has_64_bits(section: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"kafka.{section}.x: must be a number that has 64 bits"):
        parse(document_with(("kafka", section, "x"), value))
    parse(document_with(("kafka", section, "x"), 2**31))


@pytest.mark.parametrize("half", [r"\ud800", r"\udcff", r"\0", "${HALF}"])
@pytest.mark.parametrize(
    "path",
    [("service", "host"), ("files", "input"), ("kafka", "group_id"), ("kafka", "security", "sasl_plain_password")],
)
def test_text_that_cannot_be_written_is_told_with_its_key(
    path: Path, half: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALF", "\udcff")
    with pytest.raises(ConfigError) as caught:
        parse(document_with(path, "HERE").replace("HERE", f'"abc{half}"'))
    (problem,) = caught.value.problems
    assert problem.startswith(f"{'.'.join(map(str, path))}: holds a null character or half of a character")
    assert "abc" not in problem
    str(caught.value).encode()


def test_a_name_that_cannot_be_written_is_told() -> None:
    with pytest.raises(ConfigError, match=r"adapter.protect: the name 'x\\ud800' holds") as caught:
        parse(document_with(("adapter", "protect", "HERE"), 1).replace("HERE", r'"x\ud800"'))
    str(caught.value).encode()


@pytest.mark.parametrize("host", ["a" * 64, "a..b", "x." + "ä" * 64])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match=r"service.host: is no host \(.*\); expected an address or a name"):
        parse(document_with(("service", "host"), host))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "fe80::1%eth0", "worker-0.workers.svc", "käse.example"])
def test_a_host_is_an_address_or_a_name(host: str) -> None:
    assert parse(document_with(("service", "host"), host)).service.host == host
