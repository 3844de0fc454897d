"""`clues ssh`: the system's ssh, against a server that speaks SSH; only the VM that enrolled is spoken to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from clues.model import SshWay
from tests.unit.api.serving import Api, serve
from tests.unit.builders import hybrid
from tests.unit.cli.running import clues
from tests.unit.vmlogs.sshd import Sshd, fingerprint
from tests.unit.vmlogs.test_ssh import new_key

pytestmark = pytest.mark.skipif(shutil.which("ssh-keyscan") is None, reason="needs openssh-client")


@pytest.fixture
def vm(tmp_path: Path) -> Iterator[Sshd]:
    _, host_key = new_key(tmp_path, "host")
    _, allowed = new_key(tmp_path, "identity")
    with Sshd(host_key, allowed).serve() as serving:
        yield serving


@pytest.fixture
def api() -> Iterator[Api]:
    with serve(hybrid()) as served:
        yield served


def way(vm: Sshd, folder: Path, *host_keys: str) -> SshWay:
    return SshWay("gpu-01", "gpu-01-1", "127.0.0.1", host_keys, "root", str(folder / "identity"), vm.port)


def test_the_vm_that_enrolled_is_logged_in_to(api: Api, vm: Sshd, tmp_path: Path) -> None:
    api.control.ssh = way(vm, tmp_path, "SHA256:other", fingerprint(vm.host_key))
    result = clues("ssh", "gpu-01", "tail", "-c", "5", "log", socket=api.path, HOME=str(tmp_path))
    assert (result.code, result.out) == (0, "clues: enrolled\n"), result.err
    assert vm.commands == ["tail -c 5 log"]


def test_who_shows_another_host_key_gets_nothing(api: Api, vm: Sshd, tmp_path: Path) -> None:
    api.control.ssh = way(vm, tmp_path, "SHA256:other")
    result = clues("ssh", "gpu-01", "id", socket=api.path, HOME=str(tmp_path))
    assert (result.code, result.out) == (1, "")
    assert "is not gpu-01" in result.err
    assert (vm.tried, vm.commands) == ([], [])


def test_without_a_vm_it_says_so(api: Api) -> None:
    result = clues("ssh", "gpu-01", socket=api.path)
    assert (result.code, result.err) == (1, "clues: gpu-01 has no VM now\n")
