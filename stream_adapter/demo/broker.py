"""A real Kafka broker on this machine, for the demo and the tests: one node, KRaft, no ZooKeeper, no container.

The jars come from Maven once (44 MB, about half a minute) and stay; after that a broker is up in about four seconds.
`deploy/local-kafka/pom.xml` says which they are; a link beside this module puts it into the installed package too. In a
checkout the jars are kept beside it, for an installed package in the user's cache folder.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from stream_adapter.demo import child
from stream_adapter.errors import TransportError

_POM = Path(__file__).parent / "local-kafka.pom.xml"
_MIN_JAVA = 17
_STOP_S = 15.0
_START_TIMEOUT_S = 90.0
_SHOWN = 2_000  # characters of what a command said
_WAY_OUT = "or use a broker of yours: set KAFKA_BOOTSTRAP_SERVERS (tests) or kafka.bootstrap_servers (configuration)"

# Any will do. A drawn one would begin with a dash one time in 64, and then be taken for an option.
_CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"

# Small and quick instead of safe and fast: one replica, few internal partitions, no waiting for more members.
_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "group.initial.rebalance.delay.ms": "0",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",  # after a kill, the node waits this long for its former self
    "group.min.session.timeout.ms": "1000",
    "log.cleaner.dedupe.buffer.size": "8388608",
    "log.cleaner.backoff.ms": "500",
    "log.retention.check.interval.ms": "60000",
}


class LocalKafka:
    """A Kafka broker as a child process; use it as a context manager.

        with LocalKafka() as kafka:
            KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)

    The broker never outlives this process, however that ends (see `child.py`).

    Args:
        heap_mb: the Java heap in MiB; the whole process takes about 150 MiB more.
        settings: broker properties that override or extend the built-in ones.
        listeners: further addresses to serve on, `host:port` by name, such as `{"SASL_SSL": "localhost:9093"}`.
    """

    def __init__(
        self,
        *,
        heap_mb: int = 256,
        settings: Mapping[str, str] | None = None,
        listeners: Mapping[str, str] | None = None,
    ) -> None:
        self._heap_mb = heap_mb
        self._settings = dict(settings or {})
        self._listeners = dict(listeners or {})
        self._scratch: Path | None = None
        self._ports: tuple[int, int] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """`host:port` of the broker; the same after a restart."""
        if self._ports is None:
            raise TransportError("the local Kafka was not started yet; call `start` or use it as a context manager")
        return f"127.0.0.1:{self._ports[0]}"

    @property
    def running(self) -> bool:
        """Whether the broker's process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the broker and wait until it serves."""
        if self.running:
            return
        java, jars = _java(), resolve_jars()
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="stream-adapter-kafka-"))
            self._ports = self._ports or _free_ports()
            self._format(java, jars)
        command = [*self._jvm(java, jars), "kafka.Kafka", str(self._properties)]
        self._process = child.start(command, self._scratch, self.log)
        try:
            self._wait_until_it_serves()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the broker at once and remove its data; without data there is nothing to stop in order for."""
        self.kill()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None

    def halt(self) -> None:
        """Stop the broker in order, keeping its data and its port for `start`."""
        if self._process is not None:
            child.stop(self._process, _STOP_S)
            self._process = None

    def kill(self) -> None:
        """End the broker at once, as a crash would, keeping its data for `start`."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self.halt()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _properties(self) -> Path:
        assert self._scratch is not None
        return self._scratch / "server.properties"

    @property
    def log(self) -> Path:
        """What the broker says, from its first start on."""
        assert self._scratch is not None
        return self._scratch / "broker.log"

    def _jvm(self, java: Path, jars: Path) -> list[str]:
        # The first compiler tier and the serial collector start fastest and need least memory.
        flags = [f"-Xmx{self._heap_mb}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        return [str(java), *flags, quiet, "-cp", str(jars / "*")]

    def _format(self, java: Path, jars: Path) -> None:
        """Write the properties and make the log folder one that a KRaft node accepts."""
        assert self._scratch is not None and self._ports is not None
        broker, controller = (f"127.0.0.1:{port}" for port in self._ports)
        served = ",".join(f"{name}://{at}" for name, at in {"PLAINTEXT": broker, **self._listeners}.items())
        properties = {
            **_SETTINGS,
            "listeners": f"{served},CONTROLLER://{controller}",
            "advertised.listeners": served,
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self._scratch / "data"),
            **self._settings,
        }
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        arguments = ["format", "--ignore-formatted", "-t", _CLUSTER_ID, "-c", str(self._properties)]
        done = subprocess.run(  # noqa: S603 - the command is ours
            [*self._jvm(java, jars), "kafka.tools.StorageTool", *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            self.stop()
            raise TransportError(f"the local Kafka's log folder cannot be formatted:\n{done.stderr[-_SHOWN:]}")

    def _wait_until_it_serves(self) -> None:
        from kafka import KafkaAdminClient  # the jars come first: no client is needed to fetch them
        from kafka.errors import KafkaError

        assert self._process is not None
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise TransportError(
                    f"the local Kafka ended while it started (status {self._process.returncode}):\n"
                    f"{child.tail(self.log)}"
                )
            with contextlib.suppress(KafkaError, OSError):
                # A listening port is not enough: before the broker is registered its metadata names no broker.
                socket.create_connection(("127.0.0.1", int(self.bootstrap_servers.rpartition(":")[2])), 0.2).close()
                admin = KafkaAdminClient(bootstrap_servers=self.bootstrap_servers, bootstrap_timeout_ms=5_000)
                try:
                    if admin.describe_cluster()["brokers"]:
                        return
                finally:
                    admin.close()
            time.sleep(0.1)
        raise TransportError(f"the local Kafka did not serve within {_START_TIMEOUT_S:.0f} s:\n{child.tail(self.log)}")


def resolve_jars() -> Path:
    """The folder with the broker's jars, fetched by Maven where they are not there yet."""
    if _POM.is_symlink():  # a checkout
        cache = _POM.resolve().parent / "target"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stream-adapter" / "local-kafka"
    wanted = hashlib.sha256(_POM.read_bytes()).hexdigest()
    jars, stamp = cache / "jars", cache / "resolved"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a test run and a demo may want them at the same moment
        if stamp.exists() and stamp.read_text() == wanted:
            return jars
        shutil.rmtree(jars, ignore_errors=True)
        _fetch(_POM.resolve(), jars)
        stamp.write_text(wanted)
    return jars


def _fetch(pom: Path, jars: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise TransportError(
            f"Maven is needed once to fetch the local Kafka, but there is no `mvn`: install it, {_WAY_OUT}"
        )
    command = [maven, "--quiet", "--batch-mode", "--file", str(pom), f"-Djars={jars}", "package"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the command is ours
    if done.returncode != 0:
        raise TransportError(f"Maven could not fetch the local Kafka (`{' '.join(command)}`):\n{done.stdout[-_SHOWN:]}")


def _java() -> Path:
    """The Java to run, checked to be new enough."""
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    needed = f"Java {_MIN_JAVA} or newer is needed to run the local Kafka"
    if found is None:
        raise TransportError(f"{needed}, but there is no `java`: install it, {_WAY_OUT}")
    try:
        shown = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    except OSError as error:
        raise TransportError(f"{needed}, but {found} cannot be run ({error}): correct JAVA_HOME, {_WAY_OUT}") from error
    version = re.search(r'version "(?:1\.)?(\d+)', shown)
    if version is None or int(version.group(1)) < _MIN_JAVA:
        raise TransportError(f"{needed}, but {found} is {shown.splitlines()[:1]}: install a newer one, {_WAY_OUT}")
    return Path(found)


def _free_ports() -> tuple[int, int]:
    """Two ports that nobody listens on at this moment."""
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return int(first.getsockname()[1]), int(second.getsockname()[1])
