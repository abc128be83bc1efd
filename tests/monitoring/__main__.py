"""Every trouble on a real broker, worker and Prometheus, and the alert that it raises: `make alert-test`."""

import json
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path

from stream_adapter.demo.broker import LocalKafka
from tests.monitoring.scenario import ALERTS_OF, scene
from tests.monitoring.server import FACTOR


def main() -> None:
    """Run them all; the last line is JSON."""
    if shutil.which("prometheus") is None:
        sys.exit("no Prometheus here: install it (Debian: apt-get install prometheus)")
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    started = time.monotonic()
    found: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory(prefix="alert-test-") as folder, LocalKafka() as kafka:
        calm, harmful = [one for one in ALERTS_OF if one != "wrong labels"], ["wrong labels"]
        for number, (mode, troubles) in enumerate((("alarm_only", calm), ("alarm_only", harmful), ("act", harmful))):
            place = Path(folder) / str(number)
            place.mkdir()
            with scene(kafka, place, mode=mode, unprotected=troubles is harmful) as here:
                for trouble in troubles:
                    expected = ALERTS_OF[trouble] if mode == "alarm_only" else {"StreamAdapterGuarding"}
                    name = trouble if mode == "alarm_only" else f"{trouble}, guard acts"
                    fired, seconds = here.alerts_of(trouble)
                    found[name] = {
                        "fired": sorted(fired),
                        "seconds": round(seconds, 1),
                        "right": bool(fired) and fired <= expected,
                    }
                    print(name, found[name], file=sys.stderr)
    right = all(one["right"] for one in found.values())
    report = {"factor": FACTOR, "right": right, "troubles": found, "seconds": round(time.monotonic() - started, 1)}
    print(json.dumps(report))
    sys.exit(not right)


if __name__ == "__main__":
    main()
