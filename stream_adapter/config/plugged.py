"""Settings of what is plugged in: each plug-in says with a model of its own which keys it takes.

They are validated with the rest of the file, by importing the plug-in; what is built in has sections of its own and is
not imported here.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import AfterValidator, BaseModel, ValidationError, ValidationInfo

from stream_adapter.config.explaining import Location, SettingsRefused
from stream_adapter.errors import PluginError
from stream_adapter.plugins import ENCODERS, LEARNERS, TRANSPORTS, Registry


def registered(registry: Registry) -> AfterValidator:
    """Lets names through under which something is registered; for others the message lists what is."""

    def check(name: str | None) -> str | None:
        try:
            if name is not None:
                registry.check(name)
        except PluginError as error:
            raise ValueError(str(error)) from error
        return name

    return AfterValidator(check)


def learner_sections(sections: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """The settings of methods that are plugged in, as `transport_sections`."""
    return _sections(LEARNERS, sections, {info.data.get("method"), info.data.get("shadow")}, info)


def transport_sections(sections: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """The settings of transports by name, each as its transport's own model.

    A transport in use is asked for its settings even where the file has none for it.

    Raises:
        ValueError: a name is not registered or a transport cannot be loaded, or (`SettingsRefused`) settings are not
            valid.
    """
    return _sections(TRANSPORTS, sections, {info.data.get("transport")}, info)


def _sections(
    registry: Registry, sections: dict[str, Any], used: set[str | None], info: ValidationInfo
) -> dict[str, Any]:
    plugged = sorted(name for name in used if name is not None and name not in registry.built_in)
    sections = {**{name: {} for name in plugged}, **sections}
    validated: dict[str, Any] = {}
    refused: list[tuple[Location, type[BaseModel], ValidationError]] = []
    for name, given in sections.items():
        if name in registry.built_in:
            raise ValueError(f"the settings of {name!r} are in the section `{name}` of the file")
        try:
            validated[name] = _validated(registry, name, given, info, (name,))
        except SettingsRefused as error:
            refused += error.refused
    if refused:
        raise SettingsRefused(refused)
    return validated


def encoder_options(options: Any, info: ValidationInfo) -> Any:
    """The options of an encoder that is plugged in, as its own model.

    Raises:
        ValueError: the encoder takes none or cannot be loaded, or (`SettingsRefused`) they are not valid.
    """
    name = info.data.get("type")
    if name is None:  # not valid itself, which is said already
        return options
    if name == "open_clip":  # loading it loads torch
        if options:
            raise ValueError(f"the encoder {name!r} has no options, its settings are the other keys of `encoder`")
        return options
    return _validated(ENCODERS, name, options, info, ())


def _validated(registry: Registry, name: str, given: Any, info: ValidationInfo, place: Location) -> BaseModel:
    if not isinstance(given, Mapping | BaseModel):
        raise ValueError(f"the settings of the {registry.kind} {name!r} must be a mapping of keys")
    try:
        model: type[BaseModel] = registry.load(name).Settings
    except PluginError as error:
        raise ValueError(str(error)) from error
    try:
        return model.model_validate(given, context=info.context)
    except ValidationError as error:
        raise SettingsRefused([(place, model, error)]) from error
