"""The cloud that anybody has: this machine.

A VM is a set of Linux namespaces; a site is a folder. The plugin is imported on first use, because
`connectors.local.sandbox` has to start with nothing but the standard library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connectors.local.plugin import LocalPlugin


def __getattr__(name: str) -> LocalPlugin:
    if name == "PLUGIN":
        from connectors.local.plugin import PLUGIN

        return PLUGIN
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
