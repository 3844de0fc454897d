"""The munge key is read by whoever may, refused when others may, and never quoted."""

from __future__ import annotations

from pathlib import Path

import pytest

from clues.errors import ConfigError
from clues.ports import Vault
from lrms.slurm import PLUGIN
from lrms.slurm.plugin import SlurmConfig
from lrms.slurm.worker import MungeKey

KEY = b"k" * 128


def vault(path: Path, content: bytes = KEY, mode: int = 0o600) -> Vault:
    path.write_bytes(content)
    path.chmod(mode)
    return PLUGIN.vaults(SlurmConfig.model_validate({"munge_key": path}))["munge"]


def test_the_key_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "munge.key"
    found = vault(path)
    assert found.open("a-claim") == KEY
    path.write_bytes(b"n" * 64)
    assert found.open("a-claim") == b"n" * 64
    assert "kkk" not in repr(found)


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [(KEY, 0o644, "open to other users"), (KEY, 0o620, "open to other users"), (b"short", 0o600, "at least 32")],
)
def test_a_key_that_is_no_secret_is_not_handed_out(tmp_path: Path, content: bytes, mode: int, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        vault(tmp_path / "munge.key", content, mode).open("a-claim")
    assert "kkk" not in str(caught.value)


def test_a_key_that_is_not_there_is_told_with_the_setting_that_names_it(tmp_path: Path) -> None:
    found = vault(tmp_path / "munge.key")
    (tmp_path / "munge.key").unlink()
    with pytest.raises(ConfigError, match=r"lrms\.munge_key"):
        found.open("a-claim")


def test_a_credential_of_systemd_comes_before_the_configured_file(tmp_path: Path) -> None:
    configured = tmp_path / "configured.key"
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert MungeKey.find(configured, environment).path == configured
    (tmp_path / "munge.key").write_bytes(KEY)
    (tmp_path / "munge.key").chmod(0o440)  # as systemd gives it
    assert MungeKey.find(configured, environment).open("a-claim") == KEY
    assert MungeKey.find(configured, {}).path == configured
