"""Kinds of values in a configuration, read as people write them: numbers, paths, brokers, topics, class names."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

KAFKA_PORT = 9092

_EXPONENT = re.compile(r"[0-9]+(\.[0-9]*)?[eE]\+?[0-9]+")
_TOPIC_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_SERVER = re.compile(r"(\[[0-9a-fA-F:.]+(%\w+)?\]|[^\s:/\[\],]+)(:(?P<port>[0-9]{1,5}))?")
_BARE_IPV6 = re.compile(r"[0-9a-fA-F.]*:[0-9a-fA-F.]*:[0-9a-fA-F:.]*(%\w+)?")


def _whole_number(value: object) -> object:
    """`1e5` is text to YAML 1.1, and in a variable of the environment."""
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


# Every number has bounds: what lies beyond them is a slip of the pen, and some sum, clock or array could not hold it.
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
EXPONENT = BeforeValidator(_whole_number)
Count = Annotated[int, Field(ge=0, le=10**9), EXPONENT]
PositiveInt = Annotated[int, Field(ge=1, le=10**9), EXPONENT]
Threads = Annotated[int, Field(ge=1, le=1_024), EXPONENT]
Milliseconds = Annotated[int, Field(ge=1, le=2**31 - 1), EXPONENT]
"""As Kafka's protocol holds them."""
Seconds = Annotated[float, Field(gt=0.0, le=1e9)]
"""31 years at most, which is for ever."""
Patience = Annotated[float, Field(gt=0.0, le=86_400.0)]
"""Seconds that something is waited for, a day at most: the system's own waits hold no more than 24 days."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Deviation = Annotated[float, Field(ge=1e-3, le=1.0)]


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return path if folder is None else folder / path.expanduser()


def _checkpoint_beside_the_file(pretrained: str, info: ValidationInfo) -> str:
    """A hub tag stays as it is; a checkpoint is a file like any other."""
    is_file = Path(pretrained).suffix in {".safetensors", ".pt", ".pth", ".bin"}
    return str(_beside_the_file(Path(pretrained), info)) if is_file else pretrained


def _folder_beside_the_file(model: str, info: ValidationInfo) -> str:
    """A model in a folder of its own (`local-dir:…`) is a path as well."""
    schema, _, folder = model.partition(":")
    return f"local-dir:{_beside_the_file(Path(folder), info)}" if schema == "local-dir" and folder else model


FilePath = Annotated[Path, AfterValidator(_beside_the_file)]
ModelName = Annotated[str, AfterValidator(_folder_beside_the_file)]
TagOrCheckpoint = Annotated[str, AfterValidator(_checkpoint_beside_the_file)]


def _host(name: str) -> str:
    try:
        name.encode("idna")  # as the system does to look it up
    except UnicodeError as error:
        raise ValueError(f"is no host ({error}); expected an address or a name, such as 127.0.0.1") from error
    return name


def _client_option(value: str | int | float | bool) -> str | int | float | bool:
    if not isinstance(value, str) and not -(2**63) <= value < 2**63:  # not a number lies nowhere
        raise ValueError("must be a number that has 64 bits")
    return value


def _topic_name(name: str) -> str:
    """Kafka's own rule; to a client a topic that cannot be is one that does not answer."""
    if not _TOPIC_NAME.fullmatch(name) or name in (".", ".."):
        raise ValueError("is no name for a topic: 1 to 249 letters (a-z, A-Z), digits, dots, underscores or hyphens")
    return name


def _with_commas(value: object) -> object:
    """A list of brokers is read like text with commas."""
    if isinstance(value, list) and all(isinstance(server, str) for server in value):
        return ",".join(value)
    return value


def _with_ports(servers: str) -> str:
    return ",".join(_with_port(server.strip()) for server in servers.split(",") if server.strip())


def _with_port(given: str) -> str:
    server = f"[{given}]" if _BARE_IPV6.fullmatch(given) else given
    found = _SERVER.fullmatch(server)
    if found is None or not 0 < int(found["port"] or KAFKA_PORT) < 2**16:
        raise ValueError(f"{given!r} is no broker; expected host:port, such as localhost:{KAFKA_PORT}")
    return server if found["port"] else f"{server}:{KAFKA_PORT}"


Host = Annotated[str, AfterValidator(_host)]
ClientOption = Annotated[str | int | float | bool, AfterValidator(_client_option)]
"""An option of kafka-python's, which says itself what it takes."""
TopicName = Annotated[str, AfterValidator(_topic_name)]
Servers = Annotated[str, BeforeValidator(_with_commas), AfterValidator(_with_ports)]
"""`host:port` with commas between; written as a list, too, and 9092 where no port is given. May be empty."""
