"""A site at the fake cloud, for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.openstack_fake.under_test import OpenStackSite


@pytest.fixture
def site(tmp_path: Path) -> Iterator[OpenStackSite]:
    site = OpenStackSite(tmp_path)
    site.start()
    yield site
    site.stop()
