"""Checks a plugin's part of the file against the plugin's own model.

A site's, the LRMS's and the overlay's mapping holds keys that every one of them has and keys of the plugin, side by
side. A plugin that needs one of the common keys (a site's ``network``) declares it in its ``Config`` too, and gets it.

Beside ``Config`` and ``build`` a plugin may tell more; what it does not tell is not checked:

``network_is_cidr``
    connectors: a site's ``network`` is a range such as ``10.77.1.0/24``, not a name.
``flavors_from_config(config)``
    connectors: what each of the site's flavors has, as ``{name: Resources}``, all of them.
``attaches``
    overlays: the values of a site's ``attach`` that it can carry.
``mistakes(config, settings)``
    overlays: what is wrong between its keys and the sites, as (place in the file, text) pairs.
``front(config)``
    overlays: the front-end's address as VMs behind a router reach it.
``services(config)``
    the LRMS and overlays: ports of the front-end that members reach, as (protocol, first, last).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from clues.config.mistakes import Mistakes, Place, near, one_of, show
from clues.config.section import PluginSection
from clues.config.sections import keys_of, refuse_unknown, told
from clues.model import Resources

#: Groups of entry points, and what a plugin of each is called.
CONNECTORS = "clues.connectors"
LRMS = "clues.lrms"
OVERLAYS = "clues.overlays"
_CALLED = {CONNECTORS: "connector", LRMS: "LRMS", OVERLAYS: "overlay"}

#: Installed plugins: group, then name, then the object that the entry point names.
Plugins = Mapping[str, Mapping[str, Any]]


def find_plugin(plugins: Plugins, group: str, name: str, place: Place, mistakes: Mistakes) -> Any:
    """Return the plugin of that name, or None after noting that there is none."""
    installed = plugins.get(group, {})
    if name not in installed:
        known = one_of(sorted(installed))
        mistakes.add(place, f"no {_CALLED[group]} {show(name)} is installed{near(name, installed)}; there are: {known}")
    return installed.get(name)


def read_config(plugin: Any, section: PluginSection, raw: object, place: Place, mistakes: Mistakes) -> Any:
    """Return the plugin's checked ``Config``, or None after noting what is wrong.

    :param section: the mapping as read, whose further keys are the plugin's.
    :param raw: the same mapping as it stands in the file.
    """
    model: type[BaseModel] = plugin.Config
    own = keys_of(model)
    common = keys_of(type(section))
    extra = section.model_extra or {}
    strangers = [] if model.model_config.get("extra") == "allow" else [name for name in extra if name not in own]
    refuse_unknown(strangers, [*common, *(name for name in own if name not in common)], place, mistakes)
    given: dict[str, Any] = {name: value for name, value in extra.items() if name not in strangers}
    if isinstance(raw, dict):
        # Only those that could be read: what is wrong with the others has been told.
        given |= {name: raw[name] for name in common if name in own and name in section.model_fields_set}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        told(error, model, place, mistakes)
    except Exception as error:  # noqa: BLE001 - a plugin is a stranger's code, and its fault is told like any other
        mistakes.add(place, f"the plugin failed to check its keys: {type(error).__name__}: {show(str(error))}")
    return None


def flavors_of(plugin: Any, config: Any, place: Place, mistakes: Mistakes) -> Mapping[str, Resources] | None:
    """Return what a site's flavors have, or None where its connector does not tell from the configuration."""
    told: Mapping[str, Resources] | None = tell(
        plugin, "flavors_from_config", None, config, place=place, mistakes=mistakes
    )
    return told


def tell(plugin: Any, what: str, nothing: Any, *arguments: Any, place: Place, mistakes: Mistakes) -> Any:
    """Return what the plugin's function *what* answers, or *nothing* where it has no such function or fails."""
    function = getattr(plugin, what, None)
    if function is None or any(argument is None for argument in arguments):
        return nothing
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001 - as above
        mistakes.add(place, f"the plugin failed to tell its {what}: {type(error).__name__}: {show(str(error))}")
        return nothing
