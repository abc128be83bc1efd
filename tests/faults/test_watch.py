import os
import socket
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults.watch import Watch, _identity


def test_a_worker_that_is_killed_in_the_midst_of_its_answer_does_not_end_the_watch(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def half_an_answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1_000)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 47\r\n\r\n")

        thread = threading.Thread(target=half_an_answer)
        thread.start()
        workers: Any = SimpleNamespace(_port=lambda number: server.getsockname()[1])
        assert not Watch(workers, set(), tmp_path / "sizes.jsonl")._alive(0, "1")
        thread.join()


def test_a_process_is_told_by_when_it_was_started() -> None:
    before_s = float(Path("/proc/uptime").read_text().split()[0])
    with subprocess.Popen(["sleep", "60"]) as process:
        number, _, ticks = _identity(process.pid).partition(", started at ")
        process.kill()
    assert int(number) == process.pid
    assert -0.1 < int(ticks) / os.sysconf("SC_CLK_TCK") - before_s < 10.0


def test_growth_is_what_stays_and_not_what_is_there_for_a_moment(tmp_path: Path) -> None:
    workers: Any = SimpleNamespace()
    watch = Watch(workers, set(), tmp_path / "sizes.jsonl")
    for second in range(300):
        moment = 10 if second % 50 == 49 else 0
        watch._sizes.setdefault("1", []).append((900 + moment, 44 + moment))
        watch._sizes.setdefault("2", []).append((900 + second // 10, 44 + second // 100))
    assert watch.growth("rss") == pytest.approx(20 / 904.5, abs=1e-3)
    assert watch.growth("descriptors") == pytest.approx(2 / 44, abs=1e-3)
    del watch._sizes["2"]
    assert (watch.growth("rss"), watch.growth("descriptors")) == (0.0, 0.0)
