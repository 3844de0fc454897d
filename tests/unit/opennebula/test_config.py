"""The site's section of clues.yaml, and the file with the credentials."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from clues.errors import AuthFailed
from clues.ports import PluginContext
from connectors.opennebula import credentials
from connectors.opennebula.config import OpenNebulaConfig
from connectors.opennebula.plugin import PLUGIN

URL = "https://one.example.org/RPC2"


def config(**given: Any) -> OpenNebulaConfig:
    """Return a configuration."""
    return OpenNebulaConfig.model_validate({"endpoint": URL, **given})


def test_an_endpoint_is_enough() -> None:
    found = config()
    assert found.pending.total_seconds() == 180
    assert (found.concurrency, found.virtual_network) == (6, "")


@pytest.mark.parametrize(
    "url", ["one.example.org", "ftp://one/RPC2", "https://", "https://user:secret@one/RPC2", "https://one/RPC2?x=1"]
)
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="not an endpoint"):
        config(endpoint=url)


def test_a_password_goes_over_tls_unless_that_is_waived_in_writing() -> None:
    plain = "http://one.example.org:2633/RPC2"
    with pytest.raises(ValidationError, match="plain_http"):
        config(endpoint=plain)
    assert config(endpoint=plain, plain_http=True).endpoint == plain
    assert not config(endpoint="http://127.0.0.1:2633/RPC2").plain_http


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"network": "clues-net"}, "clues-net"),
        ({"network": "10.77.2.0/24"}, ""),
        ({"network": "oneadmin/clues-net"}, "oneadmin/clues-net"),
        ({"network": "10.77.2.0/24", "vnet": "7"}, "7"),
        ({"vnet": "clues-net"}, "clues-net"),
    ],
)
def test_network_is_a_range_or_the_name_of_a_network(given: dict[str, str], expected: str) -> None:
    assert config(**given).virtual_network == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout": "0s"},
        {"pending": "0s"},
        {"ca": "ca.pem"},
        {"currency": "euro"},
        {"context": "vmware"},
        {"password": "x"},
        {"concurrency": 0},
        {"network": "one", "vnet": "another"},
        {"network": "10.77.2.5/24"},
        {"network": "10.77.2.0/33"},
    ],
)
def test_mistakes_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**wrong)


def test_every_key_says_what_it_is_for() -> None:
    assert all(field.description for field in OpenNebulaConfig.model_fields.values())


def test_building_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object) -> None:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr(socket.socket, "connect", nobody)
    PLUGIN.build(config(credentials=str(tmp_path / "missing")), PluginContext("c", "upv", tmp_path))


# --- credentials --------------------------------------------------------------------------------------------------


def secret_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    """Return a file with credentials."""
    path = folder / "one_auth"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_user_and_secret_are_parted_at_the_first_colon(tmp_path: Path) -> None:
    path = secret_file(tmp_path, "clues:pass:word\n")
    assert credentials.read(str(path)) == ("clues", "pass:word")


def test_without_a_reference_the_environment_s_file_is_read(tmp_path: Path) -> None:
    path = secret_file(tmp_path, "clues:secret\n")
    assert credentials.read("", {"ONE_AUTH": str(path)}) == ("clues", "secret")
    with pytest.raises(AuthFailed, match="ONE_AUTH"):
        credentials.read("", {})


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AuthFailed, match="chmod 600"):
        credentials.read(str(secret_file(tmp_path, "clues:secret", 0o640)))


@pytest.mark.parametrize("text", ["", "clues", "clues:", ":secret", "clues:sec\nother:x", "clues:sec\x07"])
def test_anything_else_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(AuthFailed, match="user:password") as caught:
        credentials.read(str(secret_file(tmp_path, text)))
    assert "sec" not in str(caught.value).removeprefix(str(tmp_path))


def test_a_configuration_is_checked_without_loading_libcloud() -> None:
    program = (
        "import sys, connectors.opennebula as one; sys.exit('libcloud' in sys.modules or one.PLUGIN.Config is None)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[3], check=False).returncode == 0
