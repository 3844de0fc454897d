"""``clues.yaml``: read with the line of everything, checked as a whole, handed on as values.

``load`` gives the checked configuration or one error that lists all mistakes; ``check`` gives the list. The keys and
their meaning are in ``models.py``.
"""

from clues.config.loading import DEFAULT_FILE, Checked, Loaded, Summary, check, load
from clues.config.network_fields import Endpoint
from clues.config.plugins import CONNECTORS, LRMS, OVERLAYS, Plugins
from clues.config.values import (
    Accounts,
    FrontEnds,
    GpuChecks,
    Hook,
    Mail,
    Notify,
    Service,
    Share,
    Ssh,
    Webhook,
    Workers,
)
from clues.config.what_if import what_if

__all__ = [
    "CONNECTORS",
    "DEFAULT_FILE",
    "LRMS",
    "OVERLAYS",
    "Accounts",
    "Checked",
    "Endpoint",
    "FrontEnds",
    "GpuChecks",
    "Hook",
    "Loaded",
    "Mail",
    "Notify",
    "Plugins",
    "Service",
    "Share",
    "Ssh",
    "Summary",
    "Webhook",
    "Workers",
    "check",
    "load",
    "what_if",
]
