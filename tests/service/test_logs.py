import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from stream_adapter.service.logs import configure_logs

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root, package = logging.getLogger(), logging.getLogger("stream_adapter")
    handlers, levels = root.handlers[:], (root.level, package.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    package.setLevel(levels[1])


def fail(password: str) -> None:
    options = {"sasl_plain_password": password}
    raise RuntimeError(f"cannot connect with {len(options)} options")


@pytest.mark.parametrize("form", ["human", "json"])
def test_a_traceback_shows_no_local_variables(
    form: Literal["human", "json"], capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("info", form)
    try:
        fail(SECRET)
    except RuntimeError:
        structlog.get_logger("stream_adapter.test").exception("ours")
        logging.getLogger("kafka.net").exception("the client's")
    said = capsys.readouterr().err
    assert said.count("cannot connect with 1 options") >= 2, "both tracebacks are there"
    assert SECRET not in said


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    structlog.get_logger("stream_adapter.test").info("started", port=8080)
    structlog.get_logger("stream_adapter.test").debug("too much")
    logging.getLogger("kafka").info("chatter of a library")
    (line,) = capsys.readouterr().err.splitlines()
    logged = json.loads(line)
    assert (logged["event"], logged["level"], logged["port"]) == ("started", "info", 8080)


def test_what_the_client_repeats_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    for number in range(100):
        logging.getLogger("kafka.net.manager").warning("Connection to %s failed", f"broker-{number % 3}")
        logging.getLogger("kafka.cluster").error("no answer")
        logging.getLogger("kafka.net.selector").warning(f"Task <Task at {hex(number)}> ran for {number / 100:.3f}s")
        logging.getLogger("stream_adapter.test").warning("ours")
    said = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert said.count("ours") == 100
    assert [event for event in said if event != "ours"] == [
        "Connection to broker-0 failed",
        "no answer",
        "Task <Task at 0x0> ran for 0.000s",
    ]
