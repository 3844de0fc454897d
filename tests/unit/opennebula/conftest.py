"""The emulated cloud in both versions, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.opennebula import Cloud, Emulator
from tests.lab.opennebula.cloud import VERSIONS
from tests.unit.opennebula.client import Client
from tests.unit.opennebula.emulated import Site


@pytest.fixture(params=VERSIONS)
def cloud(request: pytest.FixtureRequest) -> Cloud:
    return Cloud(request.param)


@pytest.fixture
def emulator(cloud: Cloud) -> Iterator[Emulator]:
    with Emulator(cloud) as running:
        yield running


@pytest.fixture
def one(emulator: Emulator) -> Client:
    return Client(emulator.url)


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with Emulator(Cloud(getattr(request, "param", VERSIONS[-1]))) as emulator:
        yield Site(tmp_path, emulator)
