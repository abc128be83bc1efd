"""Who may see the page, who sees pictures on it, who may delete anchors there, and who may ask for predictions."""

import base64
import binascii
import hmac
import ipaddress
from dataclasses import dataclass, field

from stream_adapter.config import LabelStudioConfig, PageConfig, PredictConfig

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class Access:
    """The `page` section, with what `auto` means at this address.

    On loopback only this machine's people can ask, so the page is there by default; elsewhere somebody has to want it.

    Attributes:
        enabled: whether there is a page at all.
        changes: whether anchors can be deleted, by whoever knows the token.
        pictures: whether pictures are shown.
        private: whether the token is needed to see anything but the empty page.
        hosts: names by which the page may be asked for, without port; None: any.
    """

    enabled: bool
    changes: bool
    pictures: bool
    private: bool
    hosts: frozenset[str] | None
    token: str | None = field(repr=False, default=None)

    @classmethod
    def of(cls, config: PageConfig, host: str) -> "Access":
        """What the configuration means on `service.host`."""
        local, token, mode = is_loopback(host), _secret(config), config.mode
        if mode == "auto":
            mode = ("full" if token else "read_only") if local else "off"
        return cls(
            enabled=mode != "off",
            changes=mode == "full",
            pictures=config.pictures == "on" or (config.pictures == "auto" and local),
            private=token is not None and not local,
            hosts=_hosts(config, local),
            token=token,
        )

    @classmethod
    def of_predictions(cls, config: PredictConfig | LabelStudioConfig, page: PageConfig, host: str) -> "Access":
        """Who may ask for predictions: those who know the token; without one, on loopback, whoever is there."""
        local, token = is_loopback(host), _secret(config)
        enabled = token is not None or local
        if isinstance(config, PredictConfig):
            enabled &= config.mode != "off"
        return cls(
            enabled, changes=False, pictures=False, private=token is not None, hosts=_hosts(page, local), token=token
        )

    def knows_host(self, host_header: str) -> bool:
        """Whether a request's `Host` is one of ours."""
        if self.hosts is None:
            return True
        name = host_header.rsplit(":", 1)[0] if not host_header.endswith("]") else host_header
        return name.lower() in self.hosts

    def is_token(self, authorization: str) -> bool:
        """Whether an `Authorization` header carries the token, as bearer or as a password.

        Takes as long for a near miss as for a wild guess.
        """
        scheme, _, given = authorization.partition(" ")
        known = given.strip().encode("latin-1", "backslashreplace")  # the bytes that came, as headers are read
        if scheme.lower() == "basic":  # whose user is anybody
            try:
                known = base64.b64decode(known, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif scheme.lower() != "bearer":
            return False
        return self.token is not None and hmac.compare_digest(known, self.token.encode())


def _secret(config: PageConfig | PredictConfig | LabelStudioConfig) -> str | None:
    return config.secret or None


def _hosts(config: PageConfig, local: bool) -> frozenset[str] | None:
    names = {name.lower() for name in config.hosts}
    # A page of another origin can point its own name at 127.0.0.1 and so ask in the visitor's browser (DNS rebinding);
    # the name that it asks by gives it away.
    return frozenset(names | set(_LOOPBACK_NAMES)) if local else (frozenset(names) or None)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens at this address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
