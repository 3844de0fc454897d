"""What the entry point ``openstack`` names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clues.ports import PluginContext
from connectors.openstack.config import OpenStackConfig

if TYPE_CHECKING:
    from connectors.openstack.connector import OpenStackConnector


class OpenStackPlugin:
    """The connector to OpenStack, before it is told about a site."""

    Config: type[Any] = OpenStackConfig
    #: a site's ``network`` may be a range or a name: which of them it is, is seen by its form
    network_is_cidr = False

    def build(self, config: OpenStackConfig, context: PluginContext) -> OpenStackConnector:
        """Return the connector of one site. Nobody is asked anything, and no credentials are read yet."""
        # a configuration can be checked without libcloud, which takes its time to load
        from connectors.openstack.connector import OpenStackConnector

        return OpenStackConnector(config, context)


PLUGIN = OpenStackPlugin()
