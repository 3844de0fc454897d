"""The overlay ``openvpn`` as a plugin: its keys, what it checks before anything starts, and how it is built.

With local sites only there is nothing to carry: no central point is needed, and what is left is to give out addresses
and to write the inventory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from clues.errors import ConfigError
from clues.inventory import Inventory
from clues.model import Settings
from clues.places import Places
from clues.ports import PluginContext, Vault
from vrouter import addressing, options, tls_crypt
from vrouter.host_routes import read_routes
from vrouter.options import OpenVpnConfig
from vrouter.overlay import OpenVpnOverlay
from vrouter.router import settings_lines


class OpenVpnPlugin:
    """What the entry point names."""

    Config = OpenVpnConfig
    attaches = frozenset({"local", "router", "direct"})

    def build(self, config: OpenVpnConfig, context: PluginContext, settings: Settings) -> OpenVpnOverlay:
        """Return the overlay.

        :raises ConfigError: ranges clash with each other or with a route of this machine; all of them are named.
        """
        wrong = [*self.mistakes(config, settings), *self._host_mistakes(config, context, settings)]
        if wrong:
            raise ConfigError("\n".join(f"{'.'.join(str(step) for step in place)}: {text}" for place, text in wrong))
        places = context.places or Places(context.state, context.state / "clues.sock")
        return OpenVpnOverlay(config, settings, places, context.cluster, context.services)

    def mistakes(self, config: OpenVpnConfig, settings: Settings) -> Iterable[addressing.Mistake]:
        """Yield what is wrong between the overlay's keys and the sites, by place in the configuration."""
        return options.mistakes(config, settings)

    def front(self, config: OpenVpnConfig) -> str:
        """Return where VMs behind a router find the front-end: the central point's own address."""
        points = config.central_points()
        return points[0].address if points else ""

    def services(self, config: OpenVpnConfig) -> list[tuple[str, int, int]]:
        """Return the ports of the front-end that the configuration opens to members besides."""
        return [options.parse_service(one) for one in config.services]

    def listens(self, config: OpenVpnConfig, settings: Settings) -> Sequence[tuple[str, int]]:
        """Return the central points of this front-end by name, with the UDP port of each; none without tunnels."""
        return [(one.name, one.port) for one in config.central_points()] if options.has_remote(settings) else []

    def settings_lines(self, config: OpenVpnConfig, inventory: Inventory, key: str) -> Sequence[str]:
        """Return what a member is told of the overlay besides the names of all hosts."""
        return settings_lines(inventory, key)

    def vaults(self, config: OpenVpnConfig, places: Places) -> Mapping[str, Vault]:
        """Return the secrets of tunnels, for the signer."""
        return tls_crypt.vaults(places)

    def _host_mistakes(
        self, config: OpenVpnConfig, context: PluginContext, settings: Settings
    ) -> Iterable[addressing.Mistake]:
        if not options.has_remote(settings) or config.tunnels is None:
            return ()
        own = f"ovpn-{context.cluster[:8]}" if context.cluster else ""
        front = options.front_networks(config, settings)
        return addressing.host_clashes(settings, config.whole, config.tunnels, read_routes(own), front)


PLUGIN = OpenVpnPlugin()
