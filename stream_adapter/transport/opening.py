"""The configured transport, for the worker and for the commands beside it."""

from stream_adapter.config import Config
from stream_adapter.plugins import TRANSPORTS
from stream_adapter.transport.transport import Transport


def transport_of(config: Config) -> Transport:
    """The transport that `config.transport` names; nothing is opened yet.

    Raises:
        PluginError: it cannot be loaded.
    """
    transport: Transport = TRANSPORTS.load(config.transport)(config.transport_settings)
    return transport
