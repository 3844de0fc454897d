"""Keys for clients are made by OpenVPN from one server key, and lie nowhere else."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from clues.errors import ConfigError
from clues.places import Places
from vrouter import tls_crypt
from vrouter.tls_crypt import CLIENT, SERVER


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = Places(tmp_path / "state", tmp_path / "clues.sock")
    places.signer.mkdir(parents=True, mode=0o700)
    return places


def test_the_server_key_is_made_once_and_ours_alone(places: Places) -> None:
    key = tls_crypt.vaults(places)[SERVER].open("hub")
    assert tls_crypt.vaults(places)[SERVER].open("another") == key
    [path] = places.signer.iterdir()
    assert path.read_bytes() == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_each_client_key_is_another_one_and_holds_its_claim(places: Places) -> None:
    vault = tls_crypt.vaults(places)[CLIENT]
    first, second = vault.open("claim-1"), vault.open("claim-1")
    assert first != second
    # wrapped: key, launch key, tag and length, of which only the server can read the middle
    assert b"claim-1" not in base64.b64decode(b"".join(first.splitlines()[1:-1]))
    assert [path.name for path in places.signer.iterdir()] == ["tls-crypt-v2-server.key"]


def test_a_server_key_that_others_could_read_or_that_is_none_is_refused(places: Places) -> None:
    vaults = tls_crypt.vaults(places)
    vaults[SERVER].open("hub")
    [path] = places.signer.iterdir()
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 0600"):
        vaults[CLIENT].open("claim-1")
    path.chmod(0o600)
    path.write_bytes(b"secret words")
    with pytest.raises(ConfigError, match="is not a tls-crypt-v2 server key") as caught:
        vaults[CLIENT].open("claim-1")
    assert "secret words" not in str(caught.value)


@pytest.mark.parametrize("program", ["/nonexistent/openvpn", "/bin/false", "/bin/true"])
def test_an_openvpn_that_makes_none_is_told(places: Places, program: str) -> None:
    with pytest.raises(ConfigError, match=program):
        tls_crypt.vaults(places, program)[SERVER].open("hub")
    assert list(places.signer.iterdir()) == []
