"""The boot log by SSH: from the VM that enrolled, and from nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from clues.config import Ssh
from clues.errors import AuthFailed, InvalidRequest, NotFound, Transient
from clues.model import Claim, Facts
from clues.vmlogs.ssh import read_boot_log
from tests.unit.builders import make_claim
from tests.unit.vmlogs.sshd import Sshd, fingerprint


def new_key(folder: Path, name: str) -> tuple[Path, paramiko.PKey]:
    """Make a key as ssh-keygen does."""
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    path = folder / name
    path.write_bytes(pem)
    path.chmod(0o600)
    return path, paramiko.Ed25519Key.from_private_key_file(str(path))


@pytest.fixture
def vm(tmp_path: Path) -> Iterator[Sshd]:
    _, host_key = new_key(tmp_path, "host")
    _, allowed = new_key(tmp_path, "identity")
    with Sshd(host_key, allowed).serve() as serving:
        yield serving


@pytest.fixture
def ssh(vm: Sshd, tmp_path: Path) -> Ssh:
    return Ssh(str(tmp_path / "identity"), port=vm.port)


def claim(*host_keys: str) -> Claim:
    return make_claim("gpu-01", key="0b5c4f0e-gpu-01-8", address="127.0.0.1", facts=Facts(host_keys=host_keys))


def test_the_log_of_the_vm_that_enrolled_is_read(vm: Sshd, ssh: Ssh) -> None:
    assert read_boot_log(claim("SHA256:other", fingerprint(vm.host_key)), ssh) == "clues: enrolled\n"
    assert vm.commands == ["tail -c 65536 /var/lib/clues/0b5c4f0e-gpu-01-8/log"]


def test_one_that_is_not_root_uses_sudo(vm: Sshd, ssh: Ssh) -> None:
    vm.user = "ubuntu"
    read_boot_log(claim(fingerprint(vm.host_key)), replace(ssh, user="ubuntu"))
    assert vm.commands[0].startswith("sudo -n tail ")


def test_who_shows_another_host_key_gets_nothing(vm: Sshd, ssh: Ssh, tmp_path: Path) -> None:
    _, other = new_key(tmp_path, "other")
    with pytest.raises(AuthFailed, match="is not gpu-01"):
        read_boot_log(claim(fingerprint(other)), ssh)
    assert (vm.tried, vm.commands) == ([], [])


@pytest.mark.parametrize("one", [claim(), replace(claim(), facts=None)], ids=["none told", "not enrolled"])
def test_a_vm_that_told_no_host_key_is_not_even_called(vm: Sshd, ssh: Ssh, one: Claim) -> None:
    with pytest.raises(InvalidRequest, match="no SSH host keys"):
        read_boot_log(one, ssh)
    assert vm.tried == []


def test_a_key_that_is_not_let_in_is_told(vm: Sshd, ssh: Ssh, tmp_path: Path) -> None:
    path, _ = new_key(tmp_path, "stranger")
    with pytest.raises(AuthFailed, match="does not let root in"):
        read_boot_log(claim(fingerprint(vm.host_key)), replace(ssh, identity=str(path)))


def test_a_vm_without_a_log_is_told(vm: Sshd, ssh: Ssh) -> None:
    vm.log = None
    with pytest.raises(NotFound, match="no boot log"):
        read_boot_log(claim(fingerprint(vm.host_key)), ssh)


def test_a_vm_that_does_not_answer_is_told(ssh: Ssh) -> None:
    with pytest.raises(Transient, match="does not answer"):
        read_boot_log(claim("SHA256:x"), replace(ssh, port=1))


def test_a_log_without_end_is_cut(vm: Sshd, ssh: Ssh) -> None:
    vm.log = b"x" * 2_000_000
    assert len(read_boot_log(claim(fingerprint(vm.host_key)), ssh)) < 400_000


def test_a_private_key_that_others_can_read_is_refused(vm: Sshd, ssh: Ssh, tmp_path: Path) -> None:
    (tmp_path / "identity").chmod(0o644)
    with pytest.raises(AuthFailed, match="chmod 600"):
        read_boot_log(claim(fingerprint(vm.host_key)), ssh)
    assert vm.tried == []


def test_a_private_key_that_is_none_or_is_not_there_is_told(ssh: Ssh, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "text").chmod(0o600)
    for identity, told in (("text", "not a private key"), ("nothing", "No such file")):
        with pytest.raises(AuthFailed, match=told):
            read_boot_log(claim("SHA256:x"), replace(ssh, identity=str(tmp_path / identity)))


def test_a_bare_name_is_a_credential_of_systemds(vm: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "identity").chmod(0o440)  # as systemd gives it, with an ACL
    assert read_boot_log(claim(fingerprint(vm.host_key)), Ssh("identity", port=vm.port)) == "clues: enrolled\n"
