"""The agent on a worker, as a process with a root folder of its own: names, accounts, certificate, what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.lab.agent_vm import GROUP, HOSTS, PASSWD, AgentVm
from tests.lab.vpn_ca import LabCa
from tests.lab.vpn_tools import wait_for

BEGIN, END = "# clues: begin (kept by /etc/clues/agent)\n", "# clues: end\n"


@pytest.fixture
def vm(tmp_path: Path) -> Iterator[AgentVm]:
    """A worker whose agent is not started yet."""
    one = AgentVm(tmp_path)
    yield one
    one.stop()


def has(vm: AgentVm, path: str, text: str) -> bool:
    return text in vm.read(path)


def test_names_of_hosts_are_kept_in_a_block_before_the_rest(vm: AgentVm) -> None:
    vm.tell("tag a", "host 10.77.1.10 cpu-01", "host 10.77.2.10 cpu-02")
    vm.start()
    block = f"{BEGIN}10.77.1.10 cpu-01\n10.77.2.10 cpu-02\n{END}"
    wait_for("the names", partial(has, vm, "etc/hosts", "cpu-02"))
    assert vm.read("etc/hosts") == block + HOSTS
    vm.put("etc/hosts", vm.read("etc/hosts") + "192.0.2.1 printer\n")
    vm.tell("tag b", "host 10.77.1.10 cpu-01")
    wait_for("the change", lambda: "cpu-02" not in vm.read("etc/hosts"))
    assert vm.read("etc/hosts") == f"{BEGIN}10.77.1.10 cpu-01\n{END}{HOSTS}192.0.2.1 printer\n"


def test_a_block_without_an_end_hides_nothing(vm: AgentVm) -> None:
    vm.put("etc/hosts", f"{HOSTS}{BEGIN}10.77.9.9 old\n192.0.2.1 printer\n")
    vm.tell("tag a", "host 10.77.1.10 cpu-01")
    vm.start()
    wait_for("the names", partial(has, vm, "etc/hosts", "cpu-01\n# clues: end"))
    assert vm.read("etc/hosts").endswith(f"{HOSTS}10.77.9.9 old\n192.0.2.1 printer\n")


def test_accounts_are_added_and_none_of_the_image_is_changed(vm: AgentVm) -> None:
    vm.tell(
        "tag a",
        "account alice:x:2001:2001:Alice A.:/home/alice:/bin/bash",
        "account slurm:x:3000:3000::/home/slurm:/bin/bash",  # the name is the image's
        "account mallory:x:64030:64030::/home/m:/bin/bash",  # the number is
        "account alice:x:2002:2002::/home/again:/bin/bash",
        "group staff:x:2001:alice",
        "group slurm:x:2002:alice",
    )
    vm.start()
    wait_for("the accounts", partial(has, vm, "etc/passwd", "alice"))
    assert vm.read("etc/passwd") == f"{PASSWD}{BEGIN}alice:*:2001:2001:Alice A.:/home/alice:/bin/bash\n{END}"
    assert vm.read("etc/group") == f"{GROUP}{BEGIN}staff:*:2001:alice\n{END}"
    vm.tell("tag b")
    wait_for("their end", lambda: vm.read("etc/passwd") == PASSWD and vm.read("etc/group") == GROUP)


@pytest.mark.parametrize(
    "wrong",
    [
        "account toor:x:0:0::/root:/bin/bash",
        "account daemon2:x:42:42::/:/bin/sh",
        "account a:x:2000:2000:/home/a:/bin/sh",
        "account a b:x:2000:2000::/home/a:/bin/sh",
        "group wheel:x:0:alice",
        "host 127.0.0.1 cpu-09",
        "host 10.77.1.300 cpu-09",
        "host 10.77.1.9 localhost",
        "host 10.77.1.9 cpu;09",
        "forward 52:54:00:00:00 10.77.1.9",
        "forward 52:54:00:00:00:0A 10.77.1.9",
        "peer listen k - AB 10.77.2.0/24 10.77.252.10 10.77.252.11 1194",
        "run /bin/sh",
        "trust abc",
        "host 10.77.1.9 cpu-09\x07",
        "",
    ],
)
def test_one_line_that_is_not_known_spoils_the_whole_answer(vm: AgentVm, wrong: str) -> None:
    vm.tell("tag a", "host 10.77.1.10 cpu-01", wrong)
    vm.start()
    wait_for("the refusal", partial(has, vm, "log", "is not of a known form"))
    assert vm.read("etc/hosts") == HOSTS
    assert vm.read("etc/passwd") == PASSWD


@pytest.mark.parametrize("end", [1, 99])
def test_an_answer_with_lines_missing_is_not_applied(vm: AgentVm, end: int) -> None:
    vm.tell("tag a", "host 10.77.1.10 cpu-01", end=end)
    vm.start()
    wait_for("the refusal", partial(has, vm, "log", "line 4 of the settings"))
    assert vm.read("etc/hosts") == HOSTS
    vm.tell("tag b", "host 10.77.1.10 cpu-01")
    wait_for("the names", partial(has, vm, "etc/hosts", "cpu-01\n# clues: end"))


def test_the_certificate_is_renewed_at_half_of_its_life_and_kept_by_the_key(vm: AgentVm) -> None:
    vm.certify(timedelta(hours=23))  # it began a day ago
    before = vm.read("etc/clues/tls/cert.pem")
    vm.tell("tag a")
    vm.start()
    wait_for("the new one", lambda: vm.read("etc/clues/tls/cert.pem") != before)
    wait_for("the settings", partial(has, vm, "log", "settings a applied"))
    assert vm.front.renewed == ["key-1"]
    assert vm.read("etc/clues/tls/ca.pem") == vm.ca.pem.decode()


def test_a_young_certificate_is_left_alone(vm: AgentVm) -> None:
    vm.certify(timedelta(hours=25))
    vm.tell("tag a")
    vm.start()
    wait_for("the settings", partial(has, vm, "log", "settings a applied"))
    assert vm.front.renewed == []


def test_a_front_end_of_another_cluster_is_not_believed(vm: AgentVm) -> None:
    vm.put("etc/clues/tls/ca.pem", LabCa("other").pem.decode())
    vm.tell("tag a", "host 10.77.1.10 cpu-01")
    vm.start()
    wait_for("the refusal", partial(has, vm, "log", "no settings (000)"))
    assert vm.read("etc/hosts") == HOSTS


def test_it_lives_on_when_nothing_can_be_written(vm: AgentVm) -> None:
    (vm.root / "etc/hosts").unlink()
    (vm.root / "etc/hosts").mkdir()
    vm.tell("tag a", "account alice:x:2001:2001::/home/alice:/bin/bash")
    vm.start()
    wait_for("its word", partial(has, vm, "log", "could not be applied: hosts"))
    assert "alice" in vm.read("etc/passwd"), "the rest is applied"
    (vm.root / "etc/hosts").rmdir()
    vm.put("etc/hosts", HOSTS)
    wait_for("the settings", partial(has, vm, "log", "settings a applied"))
