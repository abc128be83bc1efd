"""One real broker for all tests of this folder, and for each test topics of its own."""

import logging
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from stream_adapter.demo import child
from stream_adapter.demo.broker import LocalKafka
from tests.integration.cluster import Cluster

HERE = Path(__file__).parent
HEAP_MB = 512  # all tests' topics stay until the end
BROKER = pytest.StashKey[LocalKafka]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.kafka)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show beside a failure what the broker said: it may be the one at fault."""
    report = yield
    kafka = item.config.stash.get(BROKER, None)
    if report.failed and kafka is not None:
        load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
        state = "runs" if kafka.running else "has ended"
        report.sections.append((f"the broker {state}; load {load}; its log", child.tail(kafka.log)))
    return report


@pytest.fixture(scope="session", autouse=True)
def listen_to_ctrl_c() -> None:
    """A test run in the background of a script ignores SIGINT, and the processes that it starts inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def quiet_client() -> None:
    """The client reports every broken connection of the tests that break them."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


@pytest.fixture(scope="session")
def local_kafka(pytestconfig: pytest.Config) -> Iterator[LocalKafka]:
    """The broker that this run started itself, and may therefore stop."""
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        pytest.skip("stops the broker; not done to the one that KAFKA_BOOTSTRAP_SERVERS names")
    with LocalKafka(heap_mb=HEAP_MB) as kafka:
        pytestconfig.stash[BROKER] = kafka
        yield kafka


@pytest.fixture(scope="session")
def bootstrap_servers(request: pytest.FixtureRequest) -> str:
    """The broker to test on: KAFKA_BOOTSTRAP_SERVERS, or one of our own."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    return given or request.getfixturevalue("local_kafka").bootstrap_servers


@pytest.fixture
def cluster(bootstrap_servers: str, pytestconfig: pytest.Config) -> Cluster:
    """Topics of this test alone, with two partitions of images."""
    kafka = pytestconfig.stash.get(BROKER, None)
    if kafka is not None:
        kafka.start()  # where a test before this one failed and left it down
    return Cluster(bootstrap_servers)
