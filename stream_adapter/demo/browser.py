"""Opening the worker's page where somebody sits before it."""

import contextlib
import os
import sys
import threading
import time
import webbrowser

from stream_adapter.demo.loopback import open_loopback

_WAIT_S = 60.0


def somebody_is_there() -> bool:
    """Whether this runs in a terminal on a machine with a display, and not in CI."""
    if os.environ.get("CI") or not sys.stdout.isatty():
        return False
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_when_served(url: str) -> threading.Thread:
    """Open a browser on `url` as soon as it is served; returns at once, and gives up after a minute."""
    thread = threading.Thread(target=_open, args=(url,), name="browser", daemon=True)
    thread.start()
    return thread


def _open(url: str) -> None:
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), open_loopback(url):
            webbrowser.open(url)
            return
        time.sleep(0.2)
