"""Fetching what events refer to: by the list, in time, again where it may work later; many at once."""

import os
import random
import stat
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

from stream_adapter.config import ReferencesConfig
from stream_adapter.errors import UnfetchableReference
from stream_adapter.events.reference import PORTS, STORES, Reference, allowed
from stream_adapter.metrics import Metrics
from stream_adapter.references.rules import Rules, TryAgain, limited

_FIRST_PAUSE_S = 0.2
_CHUNK = 2**20


class References:
    """Fetches pictures that events refer to; used by many threads at once, and closed at the end.

    Args:
        config: what may be fetched, and how long it may take.
        max_bytes: of a picture.
        metrics: references by scheme and outcome, seconds.
        sleep: waits; takes seconds.

    Raises:
        ConfigError: buckets are listed, and the environment does not say what their stores need.
    """

    def __init__(
        self, config: ReferencesConfig, *, max_bytes: int, metrics: Metrics, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        allow = tuple(map(allowed, config.allow))
        self._config = config
        self._max_bytes = max_bytes
        self._metrics = metrics
        self._sleep = sleep
        self._rules = Rules(allow, config.networks)
        self._fetch: dict[str, Callable[[Reference], bytes]] = {"file": self._read}
        self._close: list[Callable[[], None]] = []
        # What they need comes with extras, and is not everybody's.
        if any(entry.scheme in PORTS for entry in allow):
            from stream_adapter.references.http import HttpPictures

            http = HttpPictures(
                self._rules.check,
                self._rules.check_address,
                connections=config.parallel,
                timeout_s=config.timeout_s,
                max_bytes=max_bytes,
            )
            self._fetch |= dict.fromkeys(PORTS, http.fetch)
            self._close.append(http.close)
        buckets = {(entry.scheme, entry.host) for entry in allow if entry.scheme in STORES}
        if buckets:
            from stream_adapter.references.stores import StoredPictures

            stores = StoredPictures(buckets, timeout_s=config.timeout_s, max_bytes=max_bytes)
            self._fetch |= dict.fromkeys(STORES, stores.fetch)
        self._folders = [Path(entry.path).resolve() for entry in allow if entry.scheme == "file"]
        self.pool: Executor = ThreadPoolExecutor(config.parallel, thread_name_prefix="fetch")

    def fetch(self, reference: Reference, since: float | None = None) -> bytes:
        """The bytes behind a reference; waits for them.

        Args:
            reference: where.
            since: monotonic seconds, from when on `references.total_s` counts: when its batch was read; None: now.

        Raises:
            UnfetchableReference: with the reason; of what might work later, after trying for `references.total_s`.
        """
        started = time.monotonic()
        outcomes = self._metrics.references
        try:
            data = self._fetched(reference, (started if since is None else since) + self._config.total_s)
        except UnfetchableReference:
            outcomes.labels(scheme=reference.scheme, outcome="failed").inc()
            raise
        outcomes.labels(scheme=reference.scheme, outcome="fetched").inc()
        self._metrics.reference_seconds.observe(time.monotonic() - started)
        return data

    def close(self) -> None:
        """Drop what waits, and close the connections."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        for close in self._close:
            close()

    def _fetched(self, reference: Reference, deadline: float) -> bytes:
        self._rules.check(reference)
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return self._fetch[reference.scheme](reference)
            except TryAgain as error:
                wait_s = pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - so that not all ask again at once
                if time.monotonic() + wait_s > deadline:
                    raise UnfetchableReference(
                        f"{error}; tried for {self._config.total_s} s (`references.total_s`)"
                    ) from error
            self._metrics.references.labels(scheme=reference.scheme, outcome="retried").inc()
            self._sleep(wait_s)
            pause_s *= 2

    def _read(self, reference: Reference) -> bytes:
        """A file, wherever links lead, below a folder of the list."""
        try:
            path = Path(reference.path).resolve(strict=True)
            if not any(path.is_relative_to(folder) for folder in self._folders):
                raise UnfetchableReference(f"{reference} leads out of the folders that `references.allow` names")
            # A pipe is not waited for, and a link that was put there meanwhile is not followed.
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise UnfetchableReference(f"{reference} is not a file")
                return limited(iter(lambda: file.read(_CHUNK), b""), self._max_bytes, str(reference))
        except (
            FileNotFoundError,
            NotADirectoryError,
            PermissionError,
            RuntimeError,
        ) as error:  # the last: links in a ring
            raise UnfetchableReference(f"{reference}: {getattr(error, 'strerror', None) or error}") from error
        except OSError as error:  # a network drive
            raise TryAgain(f"{reference}: {error.strerror}") from error
