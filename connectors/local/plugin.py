"""What the entry point ``local`` names."""

from __future__ import annotations

from typing import Any

from clues.model import Resources
from clues.ports import PluginContext
from connectors.local.config import LocalConfig, flavors_from_config
from connectors.local.connector import LocalConnector


class LocalPlugin:
    """The connector of this machine, before it is told about a site."""

    Config: type[Any] = LocalConfig
    #: a site's ``network`` is a range of addresses, which `clues config check` holds against the overlay's
    network_is_cidr = True

    def build(self, config: LocalConfig, context: PluginContext) -> LocalConnector:
        """Return the connector of one site; the folder of the site is made, nothing else.

        :raises clues.errors.InvalidRequest: the folder cannot be made.
        """
        return LocalConnector(config, context)

    def flavors_from_config(self, config: LocalConfig) -> dict[str, Resources]:
        """Return what each flavor has, so that offers can be checked before anything runs."""
        return flavors_from_config(config)


PLUGIN = LocalPlugin()
