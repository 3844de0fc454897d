"""What the entry point ``opennebula`` names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clues.ports import PluginContext
from connectors.opennebula.config import OpenNebulaConfig

if TYPE_CHECKING:
    from connectors.opennebula.connector import OpenNebulaConnector


class OpenNebulaPlugin:
    """The connector of OpenNebula, before it is told about a site."""

    Config: type[Any] = OpenNebulaConfig

    def build(self, config: OpenNebulaConfig, context: PluginContext) -> OpenNebulaConnector:
        """Return the connector of one site. Nobody is asked yet."""
        # a configuration can be checked without libcloud, which takes its time to load
        from connectors.opennebula.connector import OpenNebulaConnector

        return OpenNebulaConnector(config, context)


PLUGIN = OpenNebulaPlugin()
