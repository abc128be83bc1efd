import http.client
import json
import socket
import urllib.error
from collections.abc import Iterator

import pytest

from stream_adapter.demo.browser import open_loopback
from stream_adapter.errors import TransportError
from stream_adapter.metrics import Metrics
from stream_adapter.service.health import Health
from stream_adapter.service.web.server import HttpServer, build_app


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Served:
    def __init__(self) -> None:
        self.clock = Clock()
        self.metrics = Metrics()
        self.health = Health(10.0, self.clock)
        self.server = HttpServer(build_app(self.metrics, self.health), "127.0.0.1", 0)
        self.server.start()

    def get(self, path: str) -> tuple[int, str]:
        try:
            with open_loopback(f"http://127.0.0.1:{self.server.port}{path}", 10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.server.stop()


def test_liveness_follows_progress(served: Served) -> None:
    assert served.get("/healthz")[0] == 200
    served.clock.now_s = 11.0
    status, body = served.get("/healthz")
    assert status == 503
    assert json.loads(body) == {"alive": False, "seconds_without_progress": 11.0}


def test_a_start_is_over_when_it_is_restored_and_warm_whatever_partitions_it_has(served: Served) -> None:
    assert served.get("/startupz")[0] == 503
    served.health.set("restored", True)
    assert served.get("/startupz")[0] == 503
    served.health.set("model_warm", True)
    served.clock.now_s = 11.0  # that it got stuck afterwards is for /healthz to say
    status, body = served.get("/startupz")
    assert status == 200
    assert json.loads(body) == {"started": True, "seconds_without_progress": 11.0}
    assert served.get("/readyz")[0] == 503


def test_readiness_says_what_is_missing(served: Served) -> None:
    status, body = served.get("/readyz")
    assert status == 503
    assert json.loads(body)["missing"] == ["restored", "model_warm", "partitions_assigned"]
    for condition in Health.CONDITIONS:
        served.health.set(condition, True)
    assert served.get("/readyz")[0] == 200


def test_metrics_are_served_in_prometheus_form(served: Served) -> None:
    with served.metrics.stage("decode", items=3):
        pass
    status, body = served.get("/metrics")
    assert status == 200
    assert 'stream_adapter_stage_items_total{stage="decode"} 3.0' in body


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/openmetrics-text;version=abc", "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text; version=1.x, */*", "application/openmetrics-text; version=1.0.0"),
        (f"application/openmetrics-text; version={'9' * 5000}", "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text; version=2.0.0 ; q=1", "application/openmetrics-text; version=2.0.0"),
        ("text/plain;version=abc;q=0.5", "text/plain; version=0.0.4"),
        ("text/plain; version=1.0.0; escaping=underscores", "text/plain; version=1.0.0"),
    ],
)
def test_a_version_that_is_none_counts_as_not_asked_for(served: Served, accept: str, kind: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.server.port, timeout=10)
    connection.request("GET", "/metrics", headers={"Accept": accept})
    answer = connection.getresponse()
    assert (answer.status, (answer.headers["content-type"] or "").startswith(kind)) == (200, True)
    connection.close()


def test_a_port_in_use_is_a_clear_error() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(TransportError, match=rf"127.0.0.1:{port}.*service.port"):
            HttpServer(build_app(Metrics(), Health(10.0, Clock())), "127.0.0.1", port)


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1"])
def test_a_host_that_is_not_here_is_a_clear_error(host: str) -> None:
    with pytest.raises(TransportError, match=rf"cannot listen on {host}:0: .*; set `service.host` to an address of"):
        HttpServer(build_app(Metrics(), Health(10.0, Clock())), host, 0)


def test_stop_ends_the_thread(served: Served) -> None:
    assert served.server.alive
    served.server.stop()
    assert not served.server.alive


@pytest.mark.parametrize("path", ["/metrics", "/healthz"])
def test_nobody_is_redirected(served: Served, path: str) -> None:
    """Not every probe and scraper follows."""
    connection = http.client.HTTPConnection("127.0.0.1", served.server.port, timeout=10)
    connection.request("GET", path)
    assert connection.getresponse().status == 200
    connection.close()
