"""A TCP proxy that can be slow, silent or rude: what lies between a worker and its broker."""

import contextlib
import random
import select
import socket
import struct
import threading
import time

from stream_adapter.demo.broker import LocalKafka
from tests.ports import free_port

JOIN_GROUP, SYNC_GROUP, INIT_PRODUCER_ID = 11, 14, 22  # Kafka's numbers of requests
_CHUNK = 65_536
_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: a reset instead of an orderly end


class Proxy(threading.Thread):
    """Forwards connections to one address.

    Attributes:
        delay_s: seconds, at most, for which each chunk is held back.
        silent: forward nothing, and say nothing.

    Args:
        port: of the server, on this machine; may be set before the first connection.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__(daemon=True)
        self.to = port
        self.delay_s = 0.0
        self.silent = False
        self._to_hold: list[Held] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listening.getsockname()[1])

    def run(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def reset(self) -> None:
        """Break every connection in the middle."""
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                one.shutdown(socket.SHUT_RDWR)

    def hold_next(self, request: int) -> "Held":
        """Keep back the next request of this kind that is not kept back yet, and what follows on its connection."""
        self._to_hold.append(Held(request))
        return self._to_hold[-1]

    def stop(self) -> None:
        """Take no more connections, and break those that are there."""
        self._listening.close()
        self.reset()

    def _forward(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.to), 5.0) as server:
            ends = {client: server, server: client}
            self._open.update(ends)
            try:
                while True:
                    readable, _, _ = select.select(list(ends), [], [], 0.2)
                    while self.silent:
                        time.sleep(0.05)
                    for end in readable:
                        data = end.recv(_CHUNK)
                        if not data:
                            return
                        if self.delay_s:
                            time.sleep(random.uniform(0.0, self.delay_s))
                        if end is client and (held := self._held(data)) is not None:
                            self._open.discard(server)  # survives a reset: what was sent arrives, however late
                            held.came.set()
                            held.passes.wait()
                            server.sendall(data)
                            server.recv(_CHUNK)  # the answer, for which nobody may wait any more
                            held.answered.set()
                            return
                        ends[end].sendall(data)
            finally:
                self._open.difference_update(ends)

    def _held(self, data: bytes) -> "Held | None":
        """Whose request is in this; small requests come in one piece, what begins within a large one is nonsense."""
        at = size = 0
        while self._to_hold and size >= 0 and at + 6 <= len(data):
            size, request = struct.unpack_from(">ih", data, at)
            for held in self._to_hold:
                if held.request == request:
                    self._to_hold.remove(held)
                    return held
            at += 4 + size
        return None


class Held:
    """A request on its way.

    Attributes:
        request: Kafka's number of its kind.
        came: it has been sent.
        passes: to be set, so that it arrives.
        answered: it has arrived, and the server has dealt with it.
    """

    def __init__(self, request: int) -> None:
        self.request = request
        self.came, self.passes, self.answered = threading.Event(), threading.Event(), threading.Event()


def stand_between(kafka: LocalKafka) -> Proxy:
    """A proxy that runs: the broker listens on one more port, and sends those who ask there to the proxy.

    It is restarted for that.
    """
    proxy = Proxy()
    port, proxied = int(kafka.bootstrap_servers.rpartition(":")[2]), free_port()
    proxy.to = proxied
    properties = kafka._properties
    before = properties.read_text().splitlines()
    lines = [line for line in before if "listeners=" not in line]
    controller = next(
        part for line in before if line.startswith("listeners=")
        for part in line.partition("=")[2].split(",") if part.startswith("CONTROLLER")
    )  # fmt: skip
    plain = f"PLAINTEXT://127.0.0.1:{port}"
    lines += [
        f"listeners={plain},PROXIED://127.0.0.1:{proxied},{controller}",
        f"advertised.listeners={plain},PROXIED://127.0.0.1:{proxy.port}",
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name=PLAINTEXT",
    ]
    properties.write_text("\n".join(dict.fromkeys(lines)) + "\n")
    kafka.halt()
    kafka.start()
    proxy.start()
    return proxy
