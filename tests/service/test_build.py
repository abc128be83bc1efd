import contextlib
import sys
import time

import pytest
import torch
from starlette.routing import Route

from stream_adapter.config import Config, parse
from stream_adapter.metrics import Metrics
from stream_adapter.page.page import Page
from stream_adapter.service.build import _open_page, device_of, open_predictions
from stream_adapter.service.health import Health


def configuration(service: str = "", page: str = "") -> Config:
    return parse(f"""
encoder: {{pretrained: openai}}
vocabulary: {{classes: [cat, dog]}}
service: {{{service}}}
page: {{{page}}}
""")


def opened(config: Config) -> Page | None:
    with contextlib.ExitStack() as stack:
        return _open_page(config, Metrics(), Health(10.0, time.monotonic), stack)


def test_there_is_a_page_where_only_this_machine_sees_it() -> None:
    page = opened(configuration())
    assert page is not None
    assert not page.access.changes


def test_there_is_none_elsewhere_unless_somebody_wants_it() -> None:
    assert opened(configuration("host: 0.0.0.0")) is None
    assert opened(configuration(page="mode: off")) is None
    wanted = opened(configuration("host: 0.0.0.0", "mode: read_only"))
    assert wanted is not None
    assert not wanted.access.pictures


@pytest.mark.parametrize(
    ("host", "predict", "studio", "found"),
    [
        ("127.0.0.1", "", "", {"predict"}),
        ("0.0.0.0", "", "", set()),
        ("0.0.0.0", "", "token: 0123456789abcdef", {"label-studio"}),
        ("127.0.0.1", "mode: off", "token: 0123456789abcdef", {"label-studio"}),
        ("0.0.0.0", "token: 0123456789abcdef", "token: 0123456789abcdef", {"predict", "label-studio"}),
    ],
)
def test_who_may_ask_by_one_door_need_not_by_the_other(host: str, predict: str, studio: str, found: set[str]) -> None:
    config = parse(
        f"encoder: {{pretrained: openai}}\nvocabulary: {{classes: [cat, dog]}}\nservice: {{host: {host}}}\n"
        f"predict: {{{predict}}}\nlabel_studio: {{{studio}}}\n"
    )
    with contextlib.ExitStack() as stack:
        answering, routes = open_predictions(config, Metrics(), stack)
        assert (answering is not None) == bool(found)
        doors = {route.path.split("/")[1] for route in routes if isinstance(route, Route)}
        assert doors & {"predict", "label-studio"} == found


def test_the_learner_computes_with_numpy_but_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [device_of(wanted) for wanted in ("auto", "cuda:1", "cpu")] == ["cuda", "cuda:1", "numpy"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of("auto") == "numpy"


def test_an_encoder_without_torch_leaves_it_unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert device_of("auto") == "numpy"
