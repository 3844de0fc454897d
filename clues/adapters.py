"""Plugins as they are built from a configuration, and kept from one reading of it to the next."""

from __future__ import annotations

from clues.config import CONNECTORS, LRMS, OVERLAYS, Loaded, Plugins
from clues.metrics import Meter, metered
from clues.ports import Connector, Lrms, Overlay, PluginContext


class Adapters:
    """Plugins built from a configuration; those whose part did not change are kept when it is read again."""

    def __init__(self, plugins: Plugins, cluster: str, meter: Meter) -> None:
        self._plugins, self._cluster, self._meter = plugins, cluster, meter
        self._sites: dict[str, tuple[tuple[object, str], Connector]] = {}

    def connectors(self, loaded: Loaded) -> dict[str, Connector]:
        """Return the sites' connectors by name."""
        built: dict[str, tuple[tuple[object, str], Connector]] = {}
        for site, part in loaded.sites.items():
            told = (part, loaded.overlay_network)
            kept = self._sites.get(site)
            if kept is not None and kept[0] == told:
                built[site] = kept
                continue
            context = PluginContext(self._cluster, site, loaded.state, network=loaded.overlay_network)
            connector = self._plugins[CONNECTORS][part[0]].build(part[1], context)
            built[site] = (told, metered(connector, site, self._meter))
        self._sites = built
        return {site: connector for site, (_, connector) in built.items()}

    def lrms(self, loaded: Loaded) -> Lrms:
        """Return the batch system's adapter."""
        name, config = loaded.lrms
        context = PluginContext(self._cluster, loaded.settings.cluster, loaded.state, places=loaded.places)
        built: Lrms = self._plugins[LRMS][name].build(config, context, tuple(loaded.settings.pools.values()))
        return built

    def overlay(self, loaded: Loaded) -> Overlay:
        """Return the overlay's adapter."""
        name, config = loaded.overlay
        context = PluginContext(
            self._cluster,
            loaded.settings.cluster,
            loaded.state,
            places=loaded.places,
            services=tuple((one.protocol, one.first, one.last) for one in loaded.services),
        )
        built: Overlay = self._plugins[OVERLAYS][name].build(config, context, loaded.settings)
        return built
