"""What the core asks of the outside, as protocols.

A plugin is a module attribute named ``PLUGIN`` that an entry point names (groups ``clues.connectors``, ``clues.lrms``,
``clues.overlays``).  It exports its own pydantic ``Config`` model, so that ``clues.config`` can check the whole file at
once, and a ``build`` function that makes the adapter from a checked ``Config``.

All calls block and may be slow; the core makes them on its workers' threads, never on its own.
"""

from clues.ports.connector import Connector, batch_of
from clues.ports.control import Control
from clues.ports.lrms import Accounting, Lrms
from clues.ports.overlay import Lost, Overlay, Reservation, nothing_lost
from clues.ports.plugins import ConnectorPlugin, LrmsPlugin, OverlayPlugin, PluginContext
from clues.ports.provision import Provision, Secret, Vault
from clues.ports.running import Clock, Workers, ends, looks

__all__ = [
    "Accounting",
    "Clock",
    "Connector",
    "ConnectorPlugin",
    "Control",
    "Lost",
    "Lrms",
    "LrmsPlugin",
    "Overlay",
    "OverlayPlugin",
    "PluginContext",
    "Provision",
    "Reservation",
    "Secret",
    "Vault",
    "Workers",
    "batch_of",
    "ends",
    "looks",
    "nothing_lost",
]
