"""Asking a server on this machine, which no proxy can reach."""

import urllib.request
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
