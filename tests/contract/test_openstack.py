"""The connector to OpenStack keeps the contract, over real HTTP through a proxy that plays faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from clues.testing.connector_contract import OURS
from clues.testing.wire_contract import WireContract
from tests.lab.openstack_fake.under_test import FAULTS, OpenStackSite


class TestOpenStack(WireContract):
    """One project with a quota of five VMs, three to a page."""

    QUOTA_VMS: ClassVar[int | None] = 5
    TELLS_PRICES: ClassVar[bool] = False
    PRICES_OFFERS: ClassVar[bool] = False
    CREDENTIALS_END: ClassVar[bool] = True
    #: nova shows ended servers to admins only
    SHOWS_ENDED: ClassVar[bool] = False
    PAGE_SIZE: ClassVar[int | None] = 3
    ERRORS: ClassVar[dict[str, tuple[str, ...]]] = {op: tuple(faults) for op, faults in FAULTS.items()}

    @pytest.fixture
    def site(self, tmp_path: Path) -> Iterator[OpenStackSite]:
        site = OpenStackSite(tmp_path)
        site.project.instances, site.state.page = 5, 3
        site.start()
        yield site
        site.wire.clear()
        try:
            assert site.left_behind(OURS) == []
        finally:
            site.stop()
