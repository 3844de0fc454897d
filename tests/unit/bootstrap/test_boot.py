"""What a VM does between its enrolment and its slurmd: hooks in order, each bounded and told; checks; secrets kept."""

from __future__ import annotations

import re
import stat
import time
from datetime import timedelta
from pathlib import Path

import pytest

from clues.bootstrap import boot, wire
from clues.config import GpuChecks, Hook, Workers
from clues.errors import ConfigError
from clues.model import Gpu, Kind, Resources
from tests.unit.bootstrap.boot_lab import Booting
from tests.unit.builders import NOW, make_claim

RELEASES = "set SLURMD_RELEASES 22.05.8 22.05 21.08 20.11"


def hook(folder: Path, name: str, script: str, *, required: bool = True, seconds: float = 20) -> Hook:
    """Write a hook on the front-end."""
    file = folder / f"{name}.sh"
    file.write_text(f"#!/bin/sh\n{script}\n")
    return Hook(name, file, timedelta(seconds=seconds), required)


def hooked(tmp_path: Path, *hooks: Hook) -> Booting:
    """A VM with these hooks."""
    (tmp_path / "vm").mkdir()
    return Booting.make(tmp_path / "vm", Workers(hooks=hooks))


@pytest.fixture
def vm(tmp_path: Path) -> Booting:
    return hooked(tmp_path)


def lives(pid: str) -> bool:
    """Whether this process runs still; its corpse does not count."""
    stat = Path("/proc", pid, "stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX"


# --- hooks ------------------------------------------------------------------------------------------------------------


def test_hooks_run_in_order_before_slurmd_and_each_is_told_with_its_time(tmp_path: Path) -> None:
    note = 'echo "$CLUES_NODE $CLUES_POOL $CLUES_SITE" >>"$CLUES_ROOT/started"; echo hello'
    vm = hooked(tmp_path, hook(tmp_path, "zfs", f"sleep 0.3; {note}"), hook(tmp_path, "apps", note))
    assert vm.run() == 0, vm.log
    assert vm.started == ["gpu-01 gpu cesnet", "gpu-01 gpu cesnet", "slurmd"]
    first, second = vm.told
    assert re.fullmatch(r"hook zfs 0\.[3-9] 0|hook zfs [1-9]\.\d 0", first)
    assert re.fullmatch(r"hook apps \d+\.\d 0", second)
    assert "hello" in vm.log
    assert stat.S_IMODE((vm.root / "etc/clues/hooks/01-zfs").stat().st_mode) == 0o700
    assert vm.step == ""


def test_a_required_hook_that_fails_ends_the_boot_with_its_words(tmp_path: Path) -> None:
    vm = hooked(tmp_path, hook(tmp_path, "scratch", "echo no disk >&2; exit 3"), hook(tmp_path, "later", ": >/never"))
    assert vm.run() != 0
    assert vm.step == "hook scratch"
    assert "no disk" in vm.log
    assert "hook scratch ended with 3 after" in vm.log
    assert vm.started == []


def test_a_hook_that_is_not_required_is_told_and_the_boot_goes_on(tmp_path: Path) -> None:
    secret = "A" * 50
    vm = hooked(tmp_path, hook(tmp_path, "apps", f"echo 'no net {secret}'; exit 4", required=False))
    assert vm.run() == 0
    assert vm.started == ["slurmd"]
    (told,) = vm.told
    assert re.fullmatch(r"hook apps \d+\.\d 4 no net \[\.\.\.\] ?", told)


@pytest.mark.parametrize("script", ["sleep 60", "trap '' TERM; sleep 60 & wait; wait; sleep 60"])
def test_a_hook_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path, script: str) -> None:
    vm = hooked(tmp_path, hook(tmp_path, "hangs", f"echo $$ >$CLUES_ROOT/pid; {script}", seconds=1))
    begun = time.monotonic()
    assert vm.run() != 0
    assert time.monotonic() - begun < 15
    assert "it had not ended after 1 s" in vm.log
    assert not lives(vm.read("pid").strip())


def test_a_hook_that_leaves_a_daemon_behind_is_not_waited_for(tmp_path: Path) -> None:
    vm = hooked(tmp_path, hook(tmp_path, "daemon", "sleep 8 & echo left"))
    begun = time.monotonic()
    assert vm.run() == 0
    assert time.monotonic() - begun < 6


def test_a_hook_takes_nothing_from_the_plan(tmp_path: Path) -> None:
    vm = hooked(tmp_path, hook(tmp_path, "reader", "cat"))
    assert vm.run("service slurmd", "service after") == 0
    assert vm.started == ["slurmd", "after"]


def test_hooks_go_where_they_are_meant_to_and_to_no_router(tmp_path: Path) -> None:
    here, there = hook(tmp_path, "here", "exit 0"), hook(tmp_path, "there", "exit 0")
    workers = Workers(hooks=(here, Hook("there", there.file, there.timeout, sites=("aws",))))

    def given(kind: Kind) -> list[str]:
        return [path for path, _, _ in boot.boot(make_claim(kind=kind), workers, timedelta(minutes=5)).files]

    assert [path for path in given(Kind.WORKER) if "/hooks/" in path] == ["/etc/clues/hooks/01-here"]
    assert [path for path in given(Kind.ROUTER) if "hook" in path] == []


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"echo no interpreter\n", "does not begin with #!"), (b"#!" + b"x" * 70_000, "larger than 64 KiB")],
)
def test_a_hook_that_no_vm_could_run_is_told_before_one_gets_it(tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "bad"
    file.write_bytes(content)
    one = Hook("bad", file, timedelta(seconds=5))
    with pytest.raises(ConfigError, match=told):
        boot.boot(make_claim(), Workers(hooks=(one,)), timedelta(minutes=5))
    assert boot.trouble_with_hooks([one, Hook("gone", tmp_path / "gone", timedelta(seconds=5))])[1].startswith(
        "hook gone cannot be read (workers.hooks)"
    )


def test_hooks_that_are_too_much_together_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "big"
    file.write_bytes(b"#!" + b"x" * 65_000)
    hooks = tuple(Hook(f"h{number}", file, timedelta(seconds=5)) for number in range(5))
    with pytest.raises(ConfigError, match="all hooks together"):
        boot.boot(make_claim(), Workers(hooks=hooks), timedelta(minutes=5))


def test_a_vm_takes_what_it_is_sent(tmp_path: Path) -> None:
    one = hook(tmp_path, "apps", "exit 0")
    workers = Workers(hooks=(one,), gpus=GpuChecks(names={"x": ("NVIDIA X",)}, driver="535"))
    claim = make_claim(shape=Resources(8, 1024, (Gpu("x", 1),)))
    sent = wire.encode_answer(boot.boot(claim, workers, timedelta(minutes=5)), NOW).decode()
    assert "\nset LIMIT 240\n" in sent
    for path in ("boot", "boot.conf", "guard", "hooks.list", "hooks/01-apps", "check-gpus", "gpus.conf"):
        assert f" /etc/clues/{path} " in sent


# --- what hangs -------------------------------------------------------------------------------------------------------


def test_the_step_that_hangs_is_known_when_the_boot_is_ended_from_outside(vm: Booting) -> None:
    vm.program("etc/clues/start", "exec sleep 60")
    boot_script = vm.root / "etc/clues/boot"
    boot_script.rename(vm.root / "etc/clues/boot.real")
    vm.program("etc/clues/boot", 'exec timeout 1 sh "$CLUES_ROOT/etc/clues/boot.real" "$@"')
    assert vm.run() == 124
    assert vm.step == "start slurmd"


# --- slurmd -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "says", ["slurm-wlm 22.05.8", "slurm 22.05.11", "slurm 21.08.8-2", "slurm-wlm 20.11.4", "slurm 22.05.0-rc1"]
)
def test_a_slurmd_of_a_release_that_slurmctld_takes_starts(vm: Booting, says: str) -> None:
    vm.program("tools/slurmd", f"echo '{says}'")
    assert vm.run(RELEASES, "service slurmd") == 0, vm.log
    assert vm.started == ["slurmd"]
    assert vm.told == [f"slurmd {says.partition(' ')[2]}"]


@pytest.mark.parametrize("says", ["slurm 23.02.1", "slurm 20.02.7", "slurm 22.051.1", "slurm 2.05", "what?"])
def test_another_slurmd_is_the_last_word(vm: Booting, says: str) -> None:
    vm.program("tools/slurmd", f"echo '{says}'")
    assert vm.run(RELEASES, "service slurmd") != 0
    assert vm.started == []
    assert vm.step == "check slurmd"
    if says != "what?":
        assert f"slurmd is {says.partition(' ')[2]} in this image, and slurmctld on the front-end 22.05.8" in vm.log
        assert "takes slurmd of 22.05 21.08 20.11 only" in vm.log


def test_where_slurmd_cannot_tell_its_version_its_packages_commands_do(vm: Booting) -> None:
    vm.program("tools/slurmd", "echo 'slurmd: fatal: Failed to drop supplementary groups' >&2; exit 1")
    vm.program("tools/scontrol", 'grep -q ClusterName "$SLURM_CONF" && echo slurm-wlm 23.11.4')
    assert vm.run(RELEASES, "service slurmd") != 0
    assert "slurmd is 23.11.4 in this image" in vm.log


def test_an_image_without_slurmd_says_so(vm: Booting) -> None:
    assert vm.run(RELEASES, "service slurmd") != 0
    assert "this image has no slurmd" in vm.log


def test_programs_of_slurm_have_to_be_there(vm: Booting) -> None:
    vm.program("etc/slurm/prolog.d/10-mount", "exit 0")
    vm.program("usr/sbin/nhc", "exit 0")
    programs = "set SLURM_PROGRAMS /etc/slurm/prolog.d/* /usr/sbin/nhc"
    assert vm.run(programs, "service slurmd") == 0, vm.log
    (vm.root / "usr/sbin/nhc").chmod(0o644)
    assert vm.run(programs, "service slurmd") != 0
    assert "slurm.conf names /usr/sbin/nhc, and this VM has no such program" in vm.log
    (vm.root / "usr/sbin/nhc").chmod(0o755)
    (vm.root / "etc/slurm/prolog.d/10-mount").unlink()
    assert vm.run(programs, "service slurmd") != 0
    assert "slurm.conf names /etc/slurm/prolog.d/*" in vm.log


# --- what users must not read -----------------------------------------------------------------------------------------

CONTEXT = {
    "var/lib/cloud/instances/i-1/user-data.txt": 0o644,
    "var/lib/cloud/instances/i-1/user-data.txt.i": 0o644,
    "var/lib/cloud/instances/i-1/scripts/part-001": 0o755,
    "run/one-context/one_env": 0o644,
    "mnt/context.sh": 0o644,
}


def test_files_with_user_data_are_roots_alone(vm: Booting) -> None:
    for path, mode in CONTEXT.items():
        vm.write(path, "ticket", mode)
    vm.write("var/lib/cloud/instances/i-1/other", "x", 0o644)
    assert vm.run() == 0
    for path in CONTEXT:
        assert stat.S_IMODE((vm.root / path).stat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE((vm.root / "var/lib/cloud/instances/i-1/other").stat().st_mode) == 0o644


def test_without_a_firewall_it_is_told_that_users_reach_the_metadata(vm: Booting) -> None:
    (vm.root / "tools/nft").unlink()
    assert vm.run() == 0
    assert vm.told == ["warning users reach the metadata service: there is no nft, and no iptables"]


def test_iptables_serves_where_there_is_no_nft(vm: Booting) -> None:
    (vm.root / "tools/nft").unlink()
    for program in ("iptables", "ip6tables"):
        vm.program(f"tools/{program}", f'case $* in *-C*) exit 1 ;; esac; echo "{program} $*" >>"$CLUES_ROOT/rules"')
    assert vm.run() == 0
    assert vm.told == []
    rules = vm.read("rules").splitlines()
    assert "iptables -w -I OUTPUT -d 169.254.169.254 -p tcp ! --dport 53 -m owner ! --uid-owner 0 -j REJECT" in rules
    assert "iptables -w -I FORWARD -d 169.254.169.254 -p tcp ! --dport 53 -j REJECT" in rules


def test_a_site_may_leave_the_metadata_to_everybody(vm: Booting) -> None:
    (vm.root / "etc/clues/guard").unlink()
    vm.give(Workers(guard_metadata=False))
    vm.program("tools/nft", 'echo asked >>"$CLUES_ROOT/started"')
    assert vm.run() == 0
    assert vm.started == ["slurmd"]
