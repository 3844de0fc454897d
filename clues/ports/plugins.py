"""What the entry points of plugins name, and what a plugin is built from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from clues.model import (
    Pool,
    Settings,
)
from clues.places import Places
from clues.ports.connector import Connector
from clues.ports.lrms import Lrms
from clues.ports.overlay import Overlay
from clues.ports.provision import Vault


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What every plugin is given to build itself from, besides its own checked configuration."""

    cluster: str  # the cluster's UUID, the tag of everything it makes
    name: str  # of the site (connectors), else of the cluster
    state: Path  # folder of the daemon's state
    #: what the processes of the front-end share; None where only a configuration is looked at
    places: Places | None = None
    #: ports of the front-end that members may reach, as (protocol, first, last)
    services: tuple[tuple[str, int, int], ...] = ()
    #: the cluster's own range, whose packets a site's router carries; empty where the configuration names none
    network: str = ""


class ConnectorPlugin(Protocol):
    """What the entry point of a connector names."""

    #: pydantic model of the site's own keys (beside those that every site has)
    Config: type[Any]

    # A plugin may have ``spot_notices``: how a spot VM hears that it is to go. ``ec2``: by EC2's metadata service.
    #
    # It may have ``proof(config)``: what a VM brings of its provider's word about it when it enrols (``ec2``: the
    # signed instance identity document; empty: nothing), and ``doubt(config, instance_id, proof)``: why that does not
    # show that the VM is this instance, empty when it does.

    def build(self, config: Any, context: PluginContext) -> Connector: ...


class LrmsPlugin(Protocol):
    """What the entry point of an LRMS names."""

    Config: type[Any]

    def build(self, config: Any, context: PluginContext, pools: Sequence[Pool]) -> Lrms: ...

    def vaults(self, config: Any) -> Mapping[str, Vault]:
        """Return where the signer finds the batch system's secrets, by their names. A plugin may lack this."""
        ...


class OverlayPlugin(Protocol):
    """What the entry point of an overlay names."""

    Config: type[Any]

    def build(self, config: Any, context: PluginContext, settings: Settings) -> Overlay: ...

    def vaults(self, config: Any, places: Places) -> Mapping[str, Vault]:
        """Return where the signer finds or makes the overlay's secrets, by their names. A plugin may lack this."""
        ...
