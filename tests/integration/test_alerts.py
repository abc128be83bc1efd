"""A real Prometheus watches a real worker: what the dashboard asks for is there, and a trouble raises its alert alone.

`make alert-test` goes through all troubles; here are two. Durations are scaled, see `tests/monitoring/server.py`.
"""

import math
from pathlib import Path

from stream_adapter.demo.broker import LocalKafka
from tests.integration.cluster import wait_for
from tests.monitoring.queries import annotations, queries
from tests.monitoring.scenario import ALERTS_OF, scene
from tests.monitoring.server import Prometheus


def test_the_dashboard_has_data_and_troubles_raise_their_alert_alone(local_kafka: LocalKafka, tmp_path: Path) -> None:
    with scene(local_kafka, tmp_path) as here:
        every_query_of_the_dashboard_has_data(here.server)
        for trouble in ("bad pictures", "broker stalled"):
            fired, _ = here.alerts_of(trouble)
            assert fired and fired <= ALERTS_OF[trouble], trouble


def every_query_of_the_dashboard_has_data(server: Prometheus) -> None:
    # Nothing is stored elsewhere here, labels come with their pictures and nobody asks: these have no times to show.
    idle = ("reference_seconds", "label_delay_seconds", "http_prediction_seconds")
    left = {name: query for name, query in queries("5s").items() if not any(metric in query for metric in idle)}
    assert len(left) > 40

    def all_have_data() -> bool:
        for name in [name for name, query in left.items() if numbers(server, query)]:
            del left[name]
        return not left

    try:
        wait_for(all_have_data, timeout_s=30.0, what="data of every panel")
    except AssertionError as error:
        raise AssertionError(f"no data for {left}") from error
    for query in annotations("5s").values():
        server.query(query)  # rightly without data as long as nothing is wrong; but it must be a query


def numbers(server: Prometheus, query: str) -> list[float]:
    values = [float(one["value"][1]) for one in server.query(query)]
    return [value for value in values if not math.isnan(value)]
