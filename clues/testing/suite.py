"""From the name of a site under test to the suite that fits it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clues.testing.connector_contract import ConnectorContract
from clues.testing.connector_site import SiteUnderTest
from clues.testing.plugin import OPTION
from clues.testing.wire_contract import WireContract, WireSite


def load(spec: str | None, folder: str) -> type[Any]:
    """Return the class that ``module:Class`` names; modules of *folder* count as installed.

    :raises pytest.Collector.CollectError: there is none; the text says what to do.
    """
    module, _, name = (spec or "").partition(":")
    if not (module and name):
        raise pytest.Collector.CollectError(f"say which connector: {OPTION} mypkg:Mine (see `pytest --help`)")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        raise pytest.Collector.CollectError(f"{OPTION} {spec}: {error}") from error
    if not isinstance(found, type):
        raise pytest.Collector.CollectError(f"{OPTION} {spec}: {module} has no class {name}")
    return found


def suite_for(site: type[Any]) -> type[ConnectorContract]:
    """Return the suite that fits a site under test, with its declarations.

    :raises pytest.Collector.CollectError: it lacks members; the text names them.
    """
    wire = hasattr(site, "is_op")
    lacking = [name for name in members(WireSite if wire else SiteUnderTest) if not hasattr(site, name)]
    if lacking:
        raise pytest.Collector.CollectError(f"{site.__name__} is no site under test yet; it lacks {', '.join(lacking)}")
    suite = WireContract if wire else ConnectorContract

    def fixture(_: object, tmp_path: Path) -> Iterator[object]:
        with site(tmp_path) as one:
            yield one

    declared = {name: getattr(site, name) for name in dir(site) if name.isupper() and hasattr(suite, name)}
    return type("TestConnector", (suite,), {**declared, "site": pytest.fixture(fixture), "__module__": __name__})


def members(protocol: type[Any]) -> list[str]:
    """Return the methods that a protocol of sites asks for, and those of context managers."""
    asked = {name for base in protocol.__mro__ for name, value in vars(base).items() if callable(value)}
    return ["__enter__", "__exit__", *sorted(name for name in asked if not name.startswith("_"))]
