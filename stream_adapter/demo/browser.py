"""Asking the worker's page on this machine, and opening it where somebody sits before it."""

import contextlib
import os
import sys
import threading
import time
import urllib.request
import webbrowser
from http.client import HTTPResponse


def open_loopback(url: str | urllib.request.Request, timeout_s: float = 5.0) -> HTTPResponse:
    """Ask for a page of this machine, whatever proxy the environment names.

    Raises:
        OSError: nobody answers, or not with the page.
    """
    # urllib obeys `http_proxy` for 127.0.0.1 too, unless `no_proxy` names it, and few machines' does.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    answer: HTTPResponse = direct.open(url, timeout=timeout_s)
    return answer


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
