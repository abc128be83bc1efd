"""What people try with a server that fetches what it is told to: it reaches nothing, and holds nothing up."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stream_adapter.errors import EventError
from stream_adapter.events.reference import Reference
from tests.references.servers import PICTURE, PictureServer, picture_server, references

# The server of good pictures is at 127.0.0.1, which is allowed, as is every host; nothing else is, by its address.
ALLOWED = "127.0.0.1"
NAMES: dict[str, list[str]] = {
    "good.test": [ALLOWED],
    "inner.test": ["127.0.0.2"],
    "metadata.test": ["169.254.169.254"],
    "mixed.test": [ALLOWED, "10.0.0.1"],
    "six.test": ["::1"],
    "mapped.test": ["::ffff:169.254.169.254"],
}

# {port}: of the good server, which every host may be asked at. {bad}: 127.0.0.2 at that port.
BY_ADDRESS = [
    "http://127.0.0.2:{port}/cat",
    "http://inner.test:{port}/cat",
    "http://inner.test.:{port}/cat",
    "http://INNER.test:{port}/cat",
    "http://0x7f.2:{port}/cat",
    "http://0177.0.0.2:{port}/cat",
    "http://127.2:{port}/cat",
    "http://2130706434:{port}/cat",
    "http://0x7f000002:{port}/cat",
    "http://①②⑦.⓪.⓪.②:{port}/cat",
    "http://127。0。0。2:{port}/cat",
    "http://0.0.0.0:{port}/cat",
    "http://0:{port}/cat",
    "http://[::1]:{port}/cat",
    "http://[::]:{port}/cat",
    "http://[::ffff:127.0.0.2]:{port}/cat",
    "http://[::ffff:7f00:2]:{port}/cat",
    "http://[::127.0.0.2]:{port}/cat",
    "http://[64:ff9b::7f00:2]:{port}/cat",
    "http://[64:ff9b:1::7f00:2]:{port}/cat",
    "http://[2002:7f00:2::]:{port}/cat",
    "http://[2001:0:7f00:2::]:{port}/cat",
    "http://[fd00:ec2::254]:{port}/latest/meta-data",
    "http://[fe80::1]:{port}/cat",
    "http://[fe80::1%25lo]:{port}/cat",
    "http://[ff02::1]:{port}/cat",
    "http://[fec0::1]:{port}/cat",
    "http://169.254.169.254:{port}/latest/meta-data",
    "http://metadata.test:{port}/computeMetadata/v1",
    "http://mapped.test:{port}/latest/meta-data",
    "http://six.test:{port}/cat",
    "http://mixed.test:{port}/cat",
    "http://10.0.0.1:{port}/cat",
    "http://172.16.0.1:{port}/cat",
    "http://192.168.0.1:{port}/cat",
    "http://100.64.0.1:{port}/cat",
    "http://192.0.0.192:{port}/opc/v1",
    "http://168.63.129.16:{port}/machine",
    "http://100.100.100.200:{port}/latest/meta-data",
    "http://[2001:db8::1]:{port}/cat",
    "http://198.18.0.1:{port}/cat",
    "http://224.0.0.1:{port}/cat",
    "http://255.255.255.255:{port}/cat",
    "http://good.test:{port}/redirect?http://127.0.0.2:{port}/cat",
    "http://good.test:{port}/redirect?http://169.254.169.254:{port}/",
    "http://good.test:{port}/redirect?http://good.test:{port}/redirect?http://inner.test:{port}/cat",
    "http://good.test:{port}/redirect?//inner.test:{port}/cat",
]
BY_FORM = [
    "http://good.test@127.0.0.2:{port}/cat",
    "http://good.test:{port}@127.0.0.2:{port}/cat",
    "http://good.test:{port}\\@127.0.0.2:{port}/cat",
    "http://127.0.0.2:{port}#@good.test:{port}/cat/../x",
    "http://good.test:{port}/cat\r\nHost: inner.test",
    "http://good.test:{port}/cat%0d%0aHost:%20inner.test",
    "http://good.test:{port} @127.0.0.2/cat",
    "http:/\\127.0.0.2:{port}/cat",
    "http:///127.0.0.2:{port}/cat",
    "http://good.test:{port}/public/../private",
    "http://good.test:{port}/public/%2e%2e/private",
    "http://good.test:{port}/public/..%2fprivate",
    "http://good.test:{port}/public/%252e%252e/private",
    "http://good.test:{port}/public/..;/private",
    "http://good.test:99999/cat",
    "http://[::1/cat",
    "gopher://127.0.0.2:{port}/_GET",
    "dict://127.0.0.2:{port}/info",
    "ftp://127.0.0.2/cat",
    "ldap://127.0.0.2/cat",
    "data:image/png;base64,AAAA",
    "jar:http://127.0.0.2!/cat",
    "unix:///var/run/docker.sock",
    "//127.0.0.2:{port}/cat",
    "/etc/passwd",
    "file:///etc/../etc/passwd",
    "file://inner.test/etc/passwd",
    "file:/etc/passwd",
    "s3://pictures/../other/cat",
    "s3://pictures",
    "s3://pictures@evil/cat",
    "s3://pictures//cat",
]
BY_LIST = [
    "http://good.test/cat",  # port 80 is not on the list
    "http://127.0.0.1:1/cat",
    "https://good.test:{port}/cat",
    "file:///etc/passwd",
    "file://{folder}-other/cat",
    "file://{folder}/link",
    "file://{folder}/%2e/../cat",
    "file://{folder}/pipe",
    "file://{folder}/folder",
    "file:///proc/self/environ",
    "file:///dev/zero",
    "s3://other/cat",
    "s3://pictures/private/cat",
    "gs://pictures/public/cat",
    "az://pictures/public/cat",
    "http://good.test:{port}/redirect?file:///etc/passwd",
    "http://good.test:{port}/redirect?file://{folder}/cat",
    "http://good.test:{port}/redirect?gopher://127.0.0.2:{port}/_x",
    "http://good.test:{port}/redirect?http://user@127.0.0.2:{port}/cat",
    "http://good.test:{port}/redirect?",
    "http://good.test:{port}/redirect?http://good.test/cat",
    "http://good.test:{port}/redirect?s3://pictures/public/cat",
]
BY_TIME_OR_SIZE = ["drip", "drip-headers", "drip-endless", "hang", "bomb", "large", "endless", "torn", "nonsense"]
TRICKS = [*BY_ADDRESS, *BY_FORM, *BY_LIST, *(f"http://good.test:{{port}}/{path}" for path in BY_TIME_OR_SIZE)]


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Where connections were tried to, other than the allowed address; none of them leaves."""
    tried: list[Any] = []
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def guarded(self: socket.socket, address: Any) -> None:
        if address[0] != ALLOWED:
            tried.append(address)
            raise ConnectionRefusedError("the test lets nothing leave")
        connect(self, address)

    def names(host: str, port: int, *arguments: Any, **keywords: Any) -> Any:
        if host not in NAMES:
            return resolve(host, port, *arguments, **{**keywords, "flags": socket.AI_NUMERICHOST})
        return [found for name in NAMES[host] for found in resolve(name, port, *arguments, **keywords)]

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", names)
    return tried


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with picture_server() as running:
        yield running


def folder_of_traps(root: Path) -> Path:
    folder = root / "pictures"
    (folder / "folder").mkdir(parents=True)
    (folder / "cat").write_bytes(PICTURE)
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    (root / "pictures-other").mkdir()
    (root / "pictures-other" / "cat").write_bytes(PICTURE)
    return folder


def test_there_are_enough_tricks() -> None:
    assert len(set(TRICKS)) == len(TRICKS) >= 100


def test_nothing_is_reached_and_nothing_held_up(tmp_path: Path, server: PictureServer, reached: list[Any]) -> None:
    folder = folder_of_traps(tmp_path)
    allow = (f"http://*:{server.server_port}/", f"file://{folder}/")
    tricks = [trick.format(port=server.server_port, folder=folder) for trick in TRICKS]
    good = f"http://good.test:{server.server_port}/cat"
    started = time.monotonic()
    with references(*allow, networks=(f"{ALLOWED}/32",), timeout_s=1.0, total_s=1.0) as fetching:

        def outcome(text: str) -> bytes | EventError:
            try:
                return fetching.fetch(Reference.parse(text))
            except EventError as error:
                return error

        mixed = [text for trick in tricks for text in (trick, good)]
        outcomes = list(fetching.pool.map(outcome, mixed))
    assert reached == []
    assert all(found == PICTURE for found in outcomes[1::2])
    unexpected = {text: found for text, found in zip(tricks, outcomes[::2], strict=True) if isinstance(found, bytes)}
    assert unexpected == {}
    assert time.monotonic() - started < 30.0  # of which none should take more than two


@pytest.mark.parametrize("trick", BY_ADDRESS)
def test_such_an_address_is_refused_for_what_it_is(trick: str, server: PictureServer, reached: list[Any]) -> None:
    text = trick.format(port=server.server_port)
    allow = f"http://*:{server.server_port}/"
    with references(allow, networks=(f"{ALLOWED}/32",)) as fetching, pytest.raises(EventError) as caught:
        fetching.fetch(Reference.parse(text))
    if "redirect" not in trick and "%25" not in trick:
        assert "is no public address" in str(caught.value)
    assert reached == []


def test_a_name_is_looked_up_once_and_the_connection_goes_to_what_was_checked(
    monkeypatch: pytest.MonkeyPatch, server: PictureServer, reached: list[Any]
) -> None:
    answers = [[ALLOWED], ["127.0.0.2"], ["127.0.0.2"]]
    looked_up = []

    class Rebinding(dict[str, list[str]]):
        def __getitem__(self, name: str) -> list[str]:
            looked_up.append(name)
            return answers[min(len(looked_up), len(answers)) - 1]

    monkeypatch.setattr(f"{__name__}.NAMES", Rebinding({"rebinding.test": []}))
    allow = f"http://rebinding.test:{server.server_port}/"
    with references(allow, networks=(f"{ALLOWED}/32",)) as fetching:
        assert fetching.fetch(Reference.parse(f"{allow}cat")) == PICTURE
    assert looked_up == ["rebinding.test"]
    assert reached == []


def test_without_a_list_nothing_is_fetched(server: PictureServer, reached: list[Any]) -> None:
    with references() as fetching, pytest.raises(EventError, match=r"`references\.allow` has nothing"):
        fetching.fetch(Reference.parse(f"{server.url}/cat"))
    assert not server.asked


def test_a_private_network_is_reached_where_it_is_allowed_and_no_other(server: PictureServer) -> None:
    allow = f"http://127.0.0.1:{server.server_port}/"
    with references(allow, networks=("10.0.0.0/8",)) as fetching, pytest.raises(EventError, match="no public address"):
        fetching.fetch(Reference.parse(f"{allow}cat"))
    with references(allow, networks=("127.0.0.0/8",)) as fetching:
        assert fetching.fetch(Reference.parse(f"{allow}cat")) == PICTURE
