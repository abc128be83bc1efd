"""Pictures in object stores, by obstore; endpoint and credentials are the environment's, as for the stores' tools."""

from collections.abc import Iterable
from typing import Any

from stream_adapter.errors import ConfigError, UnfetchableReference
from stream_adapter.events.reference import Reference
from stream_adapter.references.rules import TryAgain, limited


class StoredPictures:
    """Fetches from the buckets that are named at the start; used by many threads at once.

    Args:
        buckets: scheme and name of each; nothing is asked before the first picture.
        timeout_s: seconds for one attempt.
        max_bytes: of a picture.

    Raises:
        ConfigError: the environment does not say what a store needs.
    """

    def __init__(self, buckets: Iterable[tuple[str, str]], *, timeout_s: float, max_bytes: int) -> None:
        import obstore
        from obstore import exceptions, store

        self._get, self._errors = obstore.get, exceptions
        self._max_bytes = max_bytes
        kinds: dict[str, Any] = {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}
        self._buckets = {}
        for scheme, name in buckets:
            try:
                self._buckets[scheme, name] = kinds[scheme](
                    name,
                    # Without TLS only where the endpoint that the environment names says so.
                    client_options={"timeout": f"{int(timeout_s * 1000)}ms", "allow_http": True},
                    retry_config={"max_retries": 0},  # `References` tries again
                )
            except (exceptions.BaseError, ValueError) as error:
                raise ConfigError([f"references.allow: {scheme}://{name} cannot be used: {error}"]) from error

    def fetch(self, reference: Reference) -> bytes:
        """The bytes behind a reference into one of the buckets.

        Raises:
            UnfetchableReference: it is not there, not allowed, or too large.
            TryAgain: the store or the network is in trouble.
        """
        try:
            found = self._get(self._buckets[reference.scheme, reference.host], reference.path[1:])
            size = found.meta["size"]
            if size > self._max_bytes:
                raise UnfetchableReference(
                    f"{reference} has {size:,} bytes, more than {self._max_bytes:,} (`encoder.max_bytes`)"
                )
            return limited(map(bytes, found.stream()), self._max_bytes, str(reference))
        except (self._errors.GenericError, self._errors.JoinError) as error:
            raise TryAgain(f"{reference}: {_first_line(error)}") from error
        except (self._errors.BaseError, FileNotFoundError, PermissionError, ValueError) as error:
            raise UnfetchableReference(f"{reference}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """What failed; obstore goes on with how it looks inside."""
    return str(error).strip().partition("\n")[0]
