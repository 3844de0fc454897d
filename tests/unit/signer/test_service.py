"""Each call is for the users that need it, whoever else may use the socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clues.errors import AuthFailed, ConfigError
from clues.inventory import Reader
from clues.model import Kind
from clues.ports import Secret
from clues.signer.service import CALLERS, DAEMON, ENROL, HUB, Signer
from clues.signer.vaults import ALLOWED, Vaults
from tests.unit.signer.test_revocation import House

USERS = {DAEMON: 60001, ENROL: 60002, HUB: 60003}


class Canary:
    """A vault."""

    def open(self, launch_key: str) -> bytes:
        return f"secret of {launch_key}".encode()


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    house = House(tmp_path)
    tell: dict[str, Any] = {}
    return Signer(tmp_path / "desk", house.certificates, Vaults({}), Reader(tmp_path / "none"), lambda: tell)


def refused(signer: Signer, operation: str, user: int, users: dict[str, int]) -> bool:
    try:
        signer.handlers(users)[operation]({}, user)
    except AuthFailed as error:
        return "may not ask" in str(error)
    except KeyError:
        pass  # let in, and then something is missing
    return False


@pytest.mark.parametrize("operation", sorted(CALLERS))
def test_a_call_is_for_its_user_alone(signer: Signer, operation: str) -> None:
    allowed = {name for name, user in USERS.items() if not refused(signer, operation, user, USERS)}
    assert allowed == {CALLERS[operation]}
    assert not refused(signer, operation, 0, USERS)
    assert refused(signer, operation, 60002, {})


def test_every_call_has_its_users(signer: Signer) -> None:
    assert set(signer.handlers(USERS)) == set(CALLERS)


@pytest.mark.parametrize(
    ("kind", "name", "allowed"),
    [
        (Kind.WORKER, "munge", True),
        (Kind.ROUTER, "munge", False),
        (Kind.WORKER, "tls-crypt-v2", True),
        (Kind.ROUTER, "tls-crypt-v2", True),
        (Kind.WORKER, "tls-crypt-v2-server", False),
        (Kind.ROUTER, "tls-crypt-v2-server", False),
    ],
)
def test_a_kind_gets_its_own_secrets_only(kind: Kind, name: str, allowed: bool) -> None:
    vaults = Vaults({"munge": Canary(), "tls-crypt-v2": Canary(), "tls-crypt-v2-server": Canary()})
    secret = Secret(name, "/etc/x", 0o600)
    if allowed:
        assert vaults.for_member(kind, "claim-1", secret) == b"secret of claim-1"
    else:
        with pytest.raises(AuthFailed):
            vaults.for_member(kind, "claim-1", secret)


def test_every_kind_is_in_the_table() -> None:
    assert set(ALLOWED) == set(Kind)


def test_a_secret_that_no_plugin_has_is_told() -> None:
    with pytest.raises(ConfigError, match="no plugin"):
        Vaults({}).for_member(Kind.WORKER, "claim-1", Secret("munge", "/etc/x", 0o600))
