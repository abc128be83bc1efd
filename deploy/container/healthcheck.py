"""The image's HEALTHCHECK: exit status 0 when `/healthz` answers 200, else 1 with the reason.

The standard library alone, so that asking every few seconds costs next to nothing. `STREAM_ADAPTER_PORT` is the
configuration's `service.port`.
"""

import http.client
import os
import sys

TIMEOUT_S = 4.0


def main() -> int:
    """Ask once."""
    port = os.environ.get("STREAM_ADAPTER_PORT", "8080")
    try:
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=TIMEOUT_S)
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    except (OSError, ValueError, http.client.HTTPException) as error:
        print(f"/healthz at port {port} does not answer: {error}")  # noqa: T201 - docker keeps it with the status
        return 1
    print(f"{answer.status} {text}")  # noqa: T201
    return 0 if answer.status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main())
