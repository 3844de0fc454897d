"""One lab for all tests of this folder; each begins with an empty account."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.aws.lab import running
from tests.lab.aws.site import Account, prepare, write_keys


@pytest.fixture(scope="session")
def lab() -> Iterator[Account]:
    with running() as aws:
        yield prepare(aws)


@pytest.fixture
def account(lab: Account) -> Account:
    lab.aws.tell("reset")
    return lab


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return write_keys(tmp_path)
