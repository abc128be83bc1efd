"""Buckets as they are: moto's S3, Azurite, and fake-gcs-server, where they are installed."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

import pytest

from stream_adapter.errors import ConfigError, NotInstalled, UnfetchableReference
from stream_adapter.events.reference import Reference
from tests.ports import free_port
from tests.references.servers import MAX_BYTES, PICTURE, references

pytest.importorskip("obstore", reason="install stream-adapter[s3]")

NODE = Path(__file__).parent / "javascript" / "node_modules" / ".bin"
# Azurite's, which everybody knows.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

NAMES = ["cat.jpg", "a b/ü.jpg", "a%20b.jpg", "q?x=1#f", "plus+sign"]


@contextlib.contextmanager
def running(command: list[str], port: int, folder: Path) -> Iterator[None]:
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert server.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.1)
            yield
        finally:
            server.kill()
            server.wait()


def put(url: str, body: bytes, method: str = "PUT", **headers: str) -> None:
    request = urllib.request.Request(url, body, {name.replace("_", "-"): value for name, value in headers.items()})
    request.method = method
    urllib.request.urlopen(request, timeout=10).close()


def check(scheme: str) -> None:
    """The same questions to each."""
    with references(f"{scheme}://pictures/", f"{scheme}://absent/", total_s=5.0) as fetching:
        for name in NAMES:
            assert fetching.fetch(Reference.parse(f"{scheme}://pictures/{name}")) == PICTURE + name.encode()
        with pytest.raises(UnfetchableReference, match=f"more than {MAX_BYTES:,}"):
            fetching.fetch(Reference.parse(f"{scheme}://pictures/large"))
        for missing in (f"{scheme}://pictures/missing", f"{scheme}://absent/cat.jpg"):
            started = time.monotonic()
            with pytest.raises(UnfetchableReference) as caught:
                fetching.fetch(Reference.parse(missing))
            assert "total_s" not in str(caught.value)  # not there is not tried again
            assert time.monotonic() - started < 4.0


@pytest.mark.slow
def test_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = shutil.which("moto_server", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip("no moto here: pip install 'moto[s3,server]'")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    for name, value in {
        "ACCESS_KEY_ID": "a",
        "SECRET_ACCESS_KEY": "b",
        "REGION": "us-east-1",
        "ENDPOINT_URL": url,
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with running([program, "-H", "127.0.0.1", "-p", str(port)], port, tmp_path):
        put(f"{url}/pictures", b"")
        for name in NAMES:
            put(f"{url}/pictures/{quote(name)}", PICTURE + name.encode(), Content_Type="image/jpeg")
        put(f"{url}/pictures/large", b"x" * (MAX_BYTES + 1), Content_Type="image/jpeg")
        check("s3")
    gone = pytest.raises(UnfetchableReference, match=r"tried for 1\.0 s")  # nobody is there any more
    with references("s3://pictures/", total_s=1.0) as fetching, gone:
        fetching.fetch(Reference.parse("s3://pictures/cat.jpg"))


@pytest.mark.slow
def test_azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = shutil.which("azurite-blob", path=str(NODE)) or shutil.which("azurite-blob")
    if program is None:
        pytest.skip("no Azurite here: run `npm install` in tests/references/javascript")
    port = free_port()
    url = f"http://127.0.0.1:{port}/{ACCOUNT}"
    for name, value in {"ACCOUNT_NAME": ACCOUNT, "ACCOUNT_KEY": KEY, "ENDPOINT": url}.items():
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", value)
    command = [program, "--blobPort", str(port), "--skipApiVersionCheck", "--silent", "--location", str(tmp_path)]

    def signed(method: str, path: str, length: int, query: str, **more: str) -> dict[str, str]:
        """Azure's shared key, which has no library here."""
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        kind = "application/octet-stream"
        listed = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        asked = "".join(f"\n{part.replace('=', ':')}" for part in query.split("&") if part)
        text = f"{method}\n\n\n{length or ''}\n\n{kind}\n\n\n\n\n\n\n{listed}/{ACCOUNT}/{ACCOUNT}{path}{asked}"
        signature = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
        return {
            **headers,
            "Content-Type": kind,
            "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(signature).decode()}",
        }

    with running(command, port, tmp_path):
        put(f"{url}/pictures?restype=container", b"", **signed("PUT", "/pictures", 0, "restype=container"))
        for name, body in [*((name, PICTURE + name.encode()) for name in NAMES), ("large", b"x" * (MAX_BYTES + 1))]:
            path = f"/pictures/{quote(name)}"
            put(f"{url}{path}", body, **signed("PUT", path, len(body), "", **{"x-ms-blob-type": "BlockBlob"}))
        check("az")


@pytest.mark.slow
def test_google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = shutil.which("fake-gcs-server", path=f"{os.environ['PATH']}{os.pathsep}{Path.home() / 'go' / 'bin'}")
    if program is None:
        pytest.skip("no fake-gcs-server here: go install github.com/fsouza/fake-gcs-server@latest")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    account = tmp_path / "account.json"
    account.write_text(
        json.dumps(
            {"gcs_base_url": url, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
        )
    )
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(account))
    command = [
        program,
        "-scheme",
        "http",
        "-host",
        "127.0.0.1",
        "-port",
        str(port),
        "-backend",
        "memory",
        "-public-host",
        f"127.0.0.1:{port}",
    ]
    with running(command, port, tmp_path):
        put(f"{url}/storage/v1/b", b'{"name": "pictures"}', "POST", Content_Type="application/json")
        for name, body in [*((name, PICTURE + name.encode()) for name in NAMES), ("large", b"x" * (MAX_BYTES + 1))]:
            upload = f"{url}/upload/storage/v1/b/pictures/o?uploadType=media&name={quote(name, safe='')}"
            put(upload, body, "POST", Content_Type="application/octet-stream")
        check("gs")


def test_a_store_that_cannot_be_opened_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with (
        pytest.raises(ConfigError, match=r"references\.allow: az://pictures cannot be used"),
        references("az://pictures/"),
    ):
        pass


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ModuleNotFoundError) as caught, references("s3://pictures/"):
        pass
    assert "pip install 'stream-adapter[s3]'" in str(NotInstalled.of(caught.value))
    with references("https://example.com/"):
        pass
