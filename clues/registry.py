"""What is installed: plugins by the group of their entry points and their name."""

from __future__ import annotations

from importlib.metadata import entry_points

from clues.config import CONNECTORS, LRMS, OVERLAYS, Plugins
from clues.errors import ConfigError


def find_plugins() -> Plugins:
    """Load every installed connector, LRMS and overlay.

    :raises ConfigError: one of them cannot be imported; its name and the reason are told.
    """
    found: dict[str, dict[str, object]] = {}
    for group in (CONNECTORS, LRMS, OVERLAYS):
        found[group] = {}
        for entry in entry_points(group=group):
            try:
                found[group][entry.name] = entry.load()
            except Exception as error:
                raise ConfigError(
                    f"plugin {entry.name!r} of {group} ({entry.value}) cannot be loaded: {error}"
                ) from error
    return found
