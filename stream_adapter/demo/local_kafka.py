"""A Kafka on this machine for as long as this runs: `python -m stream_adapter.demo.local_kafka`."""

import argparse
import contextlib
import signal

from stream_adapter.demo.broker import LocalKafka

_MAP = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOCAL:PLAINTEXT"


def main() -> None:
    """Serve until Ctrl-C or SIGTERM; what was written is gone then."""
    parser = argparse.ArgumentParser(description="A Kafka on this machine; Ctrl-C ends it, and its data with it.")
    parser.add_argument("--port", type=int, default=9092, help="where it listens, on localhost (9092)")
    address = f"localhost:{parser.parse_args().port}"
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        contextlib.suppress(KeyboardInterrupt),
        LocalKafka(settings={"listener.security.protocol.map": _MAP}, listeners={"LOCAL": address}),
    ):
        print(f"Kafka is at {address}; Ctrl-C ends it, and its data with it", flush=True)  # noqa: T201 - for a person
        signal.pause()


if __name__ == "__main__":
    main()
