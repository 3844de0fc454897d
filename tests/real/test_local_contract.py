"""The local connector keeps the contract, with real VMs in the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from clues.testing.connector_contract import ConnectorContract
from tests.real.local_site import LocalSite

pytestmark = pytest.mark.real


class TestLocalConnector(ConnectorContract):
    QUOTA_VMS: ClassVar[int | None] = 4
    ERRORS: ClassVar[dict[str, tuple[str, ...]]] = {
        "launch": ("no-capacity", "quota", "auth", "throttled", "transient", "unknown-outcome"),
        "list": ("auth", "throttled", "transient"),
        "terminate": ("auth", "throttled", "transient", "unknown-outcome"),
        "quota": ("auth", "throttled", "transient"),
    }

    @pytest.fixture
    def site(self, tmp_path: Path) -> Iterator[LocalSite]:
        site = LocalSite(tmp_path)
        yield site
        site.clear()
