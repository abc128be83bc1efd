"""Which anchors a search finds."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stream_adapter.events.headers import parse_time
from stream_adapter.page.gallery import chosen

ANCHORS = [
    ("aa01", "anna", "/cam/1", "p-1", "2026-11-28T09:00:00Z"),
    ("bb02", "anna", "/cam/1", "p-2", "2026-11-29T00:00:00Z"),
    ("cc03", "bert", "/cam/2", "p-3", "2026-11-28T14:59:59Z"),
    ("dd04", "Anna Lee", "/cam/1", "p-4", "2026-11-27T23:59:59.999Z"),
]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("BB0", ["bb02"]),
        ("p-", ["aa01", "bb02", "cc03", "dd04"]),
        ("bert", ["cc03"]),
        ("ber", []),
        ("Anna Lee", ["dd04"]),
        ("/cam/2", ["cc03"]),
        ("2026-11-28", ["aa01", "cc03"]),
        ("2026-11-28t14", ["cc03"]),
        ("anna 2026-11-28", ["aa01"]),
        ("/cam/2 anna", []),
        ("2026", []),
    ],
)
def test_a_search_is_for_ids_annotators_sources_and_days(search: str, found: list[str]) -> None:
    ids, annotators, sources, events, times = zip(*ANCHORS, strict=True)
    origins = [
        SimpleNamespace(annotator=annotator, event_source=source, event_id=event)
        for annotator, source, event in zip(annotators, sources, events, strict=True)
    ]
    listing = SimpleNamespace(ids=ids, classes=np.zeros(4, np.int64), times=[*map(parse_time, times)], origins=origins)
    view: Any = SimpleNamespace(names=("cat",), anchors=listing)
    assert [ids[slot] for slot in chosen(view, label=None, search=search).tolist()] == found
    assert [ids[slot] for slot in chosen(view, label="cat", search=search).tolist()] == found
    assert not len(chosen(view, label="dog", search=search))
