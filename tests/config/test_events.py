"""The section `events`: which combinations say something."""

import pytest

from stream_adapter.config import parse
from stream_adapter.errors import ConfigError
from tests.config.test_loading import SMALLEST, problems_of


@pytest.mark.parametrize(
    "events",
    [
        "{}",
        "{format: raw, max_ahead_s: 1}",
        "{format: json, fields: {picture: image}}",
        "{format: json, fields: {picture: /a.b/0, id: a.0.b, label: tags}, time_unit: s}",
        "{format: json, fields: {vector: v, fingerprint: model}}",
    ],
)
def test_what_says_something_is_valid(events: str) -> None:
    assert parse(f"{SMALLEST}events: {events}").events.max_ahead_s > 0


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ("{format: avro}", "events.format"),
        ("{format: json}", "is stored, and `fields.vector`; found none"),
        ("{format: json, fields: {picture: a, vector: b, fingerprint: c}}", "found picture and vector"),
        ("{format: json, fields: {vector: b}}", "belong together"),
        ("{format: json, fields: {picture: a, fingerprint: c}}", "belong together"),
        ("{format: json, fields: {picture: ''}}", "events.fields.picture: a path is made of names"),
        ("{format: json, fields: {picture: a..b}}", "events.fields.picture: a path is made of names"),
        ("{format: json, fields: {url: url}}", "events.fields.url: unknown key"),
        ("{format: json, fields: {picture: a, reference: url}}", "found picture and reference"),
        ("{fields: {id: nr}}", "`fields` is for `format: json`, this is `format: cloudevents`"),
        ("{max_ahead_s: 0}", "events.max_ahead_s"),
    ],
)
def test_what_does_not_is_a_problem(events: str, problem: str) -> None:
    assert problem in "\n".join(problems_of(f"{SMALLEST}events: {events}"))


def test_the_default_lets_references_be_allowed_and_no_batch_wait_for_ever() -> None:
    start = "encoder: {model: m, pretrained: p}\nvocabulary: {classes: [cat]}\nreferences: {allow: [s3://pictures]"
    parse(f"{start}}}")
    with pytest.raises(ConfigError, match=r"raise that or `references\.parallel`"):
        parse(f"{start}, parallel: 8}}")
