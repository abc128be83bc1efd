import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stream_adapter.demo import broker
from stream_adapter.demo.broker import LocalKafka
from stream_adapter.errors import TransportError
from tests.integration.cluster import wait_for

START = """
import time
from stream_adapter.demo.broker import LocalKafka
kafka = LocalKafka()
kafka.start()
print(kafka.bootstrap_servers, kafka._scratch, flush=True)
time.sleep(600)
"""


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_nothing_is_left_when_the_process_that_started_it_is_ended() -> None:
    """By a kill as by Ctrl-C; both at once, because a start takes seconds."""
    parents = {
        how: subprocess.Popen(
            [sys.executable, "-c", START], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for how in (signal.SIGKILL, signal.SIGINT)
    }
    for how, parent in parents.items():
        assert parent.stdout is not None
        servers, scratch = parent.stdout.readline().split()
        port = int(servers.rpartition(":")[2])
        assert listens(port) and Path(scratch).is_dir()
        parent.send_signal(how)
        parent.wait(30)
        wait_for(lambda p=port, s=scratch: not listens(p) and not Path(s).exists(), what="the broker's end")
        parent.stdout.close()


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(TransportError, match="was not started yet"):
        _ = LocalKafka().bootstrap_servers
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(TransportError, match=r"Java 17 or newer is needed .* no `java`: install it, or use a broker"):
        LocalKafka().start()
    with pytest.raises(TransportError, match=r"Maven is needed once .* no `mvn`"):
        broker._fetch(tmp_path / "pom.xml", tmp_path)
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    with pytest.raises(TransportError, match=r"Java 17 or newer is needed .* is .*11\.0\.2.*: install a newer one"):
        LocalKafka().start()
