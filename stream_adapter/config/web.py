"""The sections about being a service, and about who may ask it what over HTTP."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from stream_adapter.config.model import Section
from stream_adapter.config.values import Host, Patience, PositiveInt, Seconds

TOKEN_LENGTH = 16


class ServiceConfig(Section):
    """Being a service: HTTP, shutdown, logs."""

    host: Host = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    http: bool = True
    drain_s: Patience = 20.0
    stuck_after_s: Seconds = 60.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "human", "json"] = "auto"


def _words(value: object) -> object:
    """YAML reads a bare `on` or `off` as a truth value."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


class _WithToken(Section):
    """What only those may do who know a token."""

    token: SecretStr | None = None

    @property
    def secret(self) -> str:
        """The token, without the line end that a file of it leaves, which no header carries; empty: there is none."""
        return "" if self.token is None else self.token.get_secret_value().strip()

    @model_validator(mode="after")
    def _token_is_long_enough(self) -> "_WithToken":
        # Checked here and not at the key, whose error would show what was found.
        if 0 < len(self.secret) < TOKEN_LENGTH:
            raise ValueError(f"`token` is too short to be safe; take at least {TOKEN_LENGTH} random characters")
        return self


class PageConfig(_WithToken):
    """The live page at `/`: who sees it and what on it, and who may delete anchors and label there."""

    mode: Annotated[Literal["auto", "off", "read_only", "full"], BeforeValidator(_words)] = "auto"
    hosts: tuple[str, ...] = ()
    pictures: Annotated[Literal["auto", "on", "off"], BeforeValidator(_words)] = "auto"
    pictures_per_s: Annotated[float, Field(ge=1e-3, le=1_000.0)] = 4.0
    keep_pictures: PositiveInt = 500

    @model_validator(mode="after")
    def _token_where_it_protects(self) -> "PageConfig":
        if self.mode == "full" and not self.secret:
            raise ValueError("`mode: full` lets people delete anchors and label; set a `token` that they must know")
        return self


class PredictConfig(_WithToken):
    """`POST /predict`: who may ask, and how much."""

    mode: Annotated[Literal["auto", "off", "on"], BeforeValidator(_words)] = "auto"
    share: Annotated[float, Field(ge=1e-3, le=1.0)] = 0.25
    max_batch: PositiveInt = 16
    max_waiting: PositiveInt = 64

    @model_validator(mode="after")
    def _token_where_it_protects(self) -> "PredictConfig":
        if self.mode == "on" and not self.secret:
            raise ValueError("`mode: on` answers anybody who reaches the port; set a `token`, or `mode: auto`")
        return self


class LabelStudioConfig(_WithToken):
    """Label Studio's backend and webhook below `/label-studio`; there with a token only."""
