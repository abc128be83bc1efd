"""What may be fetched: what the operator's list names, from addresses of nobody's inner network, up to a size."""

import ipaddress
from collections.abc import Iterable, Sequence

from stream_adapter.errors import UnfetchableReference
from stream_adapter.events.reference import Reference

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")
# What Python's registry takes for public, or some versions of it: services of the cloud's own (Oracle's metadata in the
# first, Azure's in the second), and IPv6 addresses that carry an IPv4 one or are for examples.
_NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        ("192.0.0.0/24", "168.63.129.16/32", "192.88.99.0/24", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)


class TryAgain(Exception):
    """It may work later."""


class Rules:
    """The operator's lists (`references.allow`, `references.networks`).

    Args:
        allow: beginnings of references; of a host `*` stands for any, `*.` for whatever is below.
        networks: networks that are not public and may be reached all the same.
    """

    def __init__(self, allow: Sequence[Reference], networks: Sequence[Network]) -> None:
        self._allow = allow
        self._networks = networks

    def check(self, reference: Reference) -> None:
        """Refuse what is not on the list.

        Raises:
            UnfetchableReference: it says what would allow it.
        """
        if not any(_covers(entry, reference) for entry in self._allow):
            raise UnfetchableReference(
                f"{reference} is not on the list of what may be fetched; `references.allow` has "
                f"{', '.join(map(str, self._allow)) or 'nothing'}"
            )

    def check_address(self, text: str) -> None:
        """Refuse an address that is not public, unless its network is allowed.

        Args:
            text: as the resolver gave it.

        Raises:
            UnfetchableReference: with the address.
        """
        address: Address = ipaddress.ip_address(text.partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        address = mapped or address
        if not _is_public(address) and not any(address in network for network in self._networks):
            raise UnfetchableReference(
                f"{text} is no public address; where pictures may come from there, add its network to "
                "`references.networks`"
            )


def _covers(entry: Reference, reference: Reference) -> bool:
    """Whether an entry of the list stands for this reference: the same place, and the same path or one below."""
    if (entry.scheme, entry.port) != (reference.scheme, reference.port):
        return False
    if entry.host.startswith("*"):
        if not reference.host.endswith(entry.host[1:]):
            return False
    elif entry.host != reference.host:
        return False
    folder = entry.path if entry.path.endswith("/") else f"{entry.path}/"
    return reference.path == entry.path or reference.path.startswith(folder)


def _is_public(address: Address) -> bool:
    if address.version == 6 and address not in _GLOBAL_IPV6:
        return False
    special = address.is_multicast or address.is_reserved or any(address in network for network in _NOT_PUBLIC)
    return address.is_global and not special


def limited(chunks: Iterable[bytes], max_bytes: int, what: str) -> bytes:
    """All the bytes.

    Raises:
        UnfetchableReference: they are more than `max_bytes`; no more are read.
    """
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > max_bytes:
            raise UnfetchableReference(f"{what} has more than {max_bytes:,} bytes (`encoder.max_bytes`)")
    return bytes(data)
