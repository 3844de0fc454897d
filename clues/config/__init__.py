"""``clues.yaml``: read with the line of everything, checked as a whole, handed on as values.

``load`` gives the checked configuration or one error that lists all mistakes; ``check`` gives the list. The keys and
their meaning are in ``models.py``.
"""

from clues.config.fields import Endpoint
from clues.config.loading import DEFAULT_FILE, Checked, Loaded, Summary, check, load
from clues.config.plugins import CONNECTORS, LRMS, OVERLAYS, Plugins

__all__ = [
    "CONNECTORS",
    "DEFAULT_FILE",
    "LRMS",
    "OVERLAYS",
    "Checked",
    "Endpoint",
    "Loaded",
    "Plugins",
    "Summary",
    "check",
    "load",
]
