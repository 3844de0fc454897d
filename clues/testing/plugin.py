"""Part of pytest wherever clues is installed: tells `clues.testing.connector` which connector is meant.

It has to be registered as an entry point (group ``pytest11``): a conftest.py is not read for a module that is named
by ``--pyargs``.
"""

from __future__ import annotations

import pytest

OPTION = "--connector"

# the suites are modules beside the test module: only so a failed assert shows its values
pytest.register_assert_rewrite(
    "clues.testing.connector_contract",
    "clues.testing.connector_site",
    "clues.testing.telling_contract",
    "clues.testing.wire_contract",
)


class Chosen:
    """What the command line says; a test module is imported with nothing in hand."""

    spec: str | None = None
    folder: str = ""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("clues").addoption(
        OPTION,
        metavar="MODULE:CLASS",
        help="site under test for `pytest --pyargs clues.testing.connector`: what the contract of connectors is run on",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Keep what was said."""
    Chosen.spec = config.getoption(OPTION)
    Chosen.folder = str(config.invocation_params.dir)
