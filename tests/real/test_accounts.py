"""Who a user is on a worker: jobs of users whom the image has never heard of, with real ids, groups and homes."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cluster import Plan
from tests.lab.frontend import wait_for
from tests.lab.users import IMAGE, MUNGE_UID, SLURM_UID, UsersCluster, why_not

pytestmark = [pytest.mark.real, pytest.mark.skipif(bool(why_not()), reason=why_not())]

LOG = "var/log/clues-agent.log"

#: A job that tells who it is. The accounts of the VM are asked, not what sbatch sent along.
WHO = """
echo "user=$(id -un) $(id -u)"
echo "group=$(id -gn) $(id -g)"
echo "groups=$(id -Gn | tr ' ' '\\n' | sort | tr '\\n' ' ')"
echo "numbers=$(id -G | tr ' ' '\\n' | sort -n | tr '\\n' ' ')"
echo "pwd=$(pwd)"
echo "home=$HOME"
echo "account_home=$(getent passwd "$(id -un)" | cut -d: -f6)"
echo "written by a job" >"$HOME/from-$SLURM_JOB_ID"
"""


def plan() -> Plan:
    return Plan(vms={"cesnet": 2}, cpu_nodes="cpu-[01-02]", gpu_nodes="gpu-01", idle="60s")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UsersCluster]:
    cluster = UsersCluster(tmp_path_factory.mktemp("users"), plan())
    with cluster:
        yield cluster


def vm_file(cluster: UsersCluster, path: str) -> str:
    """A file of the VM that all these jobs run on."""
    (claim,) = [one for one in cluster.claims() if one.node.startswith("cpu")]
    folder = next(one for one in (cluster.folder / "sites" / "cesnet").rglob(claim.instance_id) if one.is_dir())
    return (folder / path).read_text()


def owners(program: str) -> set[int]:
    """As whom the processes of this name run, on the front-end and in VMs."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if (process / "comm").read_text().strip() == program:
                found.add(process.stat().st_uid)
    return found


@pytest.mark.parametrize("environment", ["ALL", "NONE"])
def test_a_job_of_a_user_whom_the_image_does_not_know(cluster: UsersCluster, environment: str) -> None:
    alice = cluster.users.get("alice") or cluster.add_user(
        "alice", 2001, 3001, "physics:x:3001:\n", "gpuers:x:3002:alice\n"
    )
    # NONE: nothing comes along from where sbatch was; slurmd asks the VM's accounts, by su
    job = cluster.submit(alice, WHO, f"--export={environment}")
    cluster.front.wait_job(job, "COMPLETED", "FAILED", timeout=40)
    assert cluster.output(alice, job) == {
        "user": "alice 2001",
        "group": "physics 3001",
        "groups": "gpuers physics ",
        "numbers": "3001 3002 ",
        "pwd": str(alice.home),
        "home": str(alice.home),
        "account_home": str(alice.home),
    }
    written = (alice.home / f"from-{job}").stat()
    assert (written.st_uid, written.st_gid) == (2001, 3001)


def test_the_daemons_run_as_whom_they_run_on_a_real_machine(cluster: UsersCluster) -> None:
    assert owners("slurmctld") == {SLURM_UID}
    assert owners("slurmd") == {0}
    assert owners("munged") == {MUNGE_UID, 117}  # of the front-end, of the image: its number is in no message


def test_a_user_who_came_after_the_vm_can_work_within_seconds_and_one_who_left_is_gone(cluster: UsersCluster) -> None:
    vms = set(cluster.processes("cesnet"))
    bob = cluster.add_user("bob", 2002, 3003, "chemistry:x:3003:\n")
    begun = time.monotonic()
    wait_for("bob on the VM", lambda: "\nbob:" in vm_file(cluster, "etc/passwd") or None, 10)
    took = time.monotonic() - begun
    job = cluster.submit(bob, WHO)
    cluster.front.wait_job(job, "COMPLETED", "FAILED", timeout=20)
    told = cluster.output(bob, job)
    assert (told["user"], told["group"], told["account_home"]) == ("bob 2002", "chemistry 3003", str(bob.home))
    assert took < 5
    cluster.book.remove("passwd", bob.line)
    wait_for("the end of bob", lambda: "\nbob:" not in vm_file(cluster, "etc/passwd") or None, 10)
    assert set(cluster.processes("cesnet")) == vms


def test_a_new_group_is_in_the_next_job(cluster: UsersCluster) -> None:
    dora = cluster.add_user("dora", 2004, 3004, "geology:x:3004:\n")
    cluster.book.add("group", "biology:x:3005:dora\n")
    wait_for("the group on the VM", lambda: "biology:" in vm_file(cluster, "etc/group") or None, 10)
    job = cluster.submit(dora, WHO)
    cluster.front.wait_job(job, "COMPLETED", "FAILED", timeout=20)
    assert cluster.output(dora, job)["groups"] == "biology geology "


def test_root_slurm_and_strange_numbers_are_never_handed_out_and_the_image_stays_as_it_is(
    cluster: UsersCluster,
) -> None:
    cluster.book.add(
        "passwd",
        "toor:x:0:0::/root:/bin/sh\n",
        "service:x:700:700::/srv:/bin/sh\n",
        "far:x:65001:65001::/home/far:/bin/sh\n",
        "ctld:x:2007:2007::/home/ctld:/bin/sh\n",
        "debian:x:2005:2005::/home/other:/bin/sh\n",  # a name of the image
        "mallory:x:2100:2100::/home/mallory:/bin/sh\n",  # a number of the image
        "zoe:x:2006:2006::/home/zoe:/bin/sh\n",
    )
    wait_for("zoe on the VM", lambda: "\nzoe:" in vm_file(cluster, "etc/passwd") or None, 10)
    image = IMAGE["passwd"].format(slurm=SLURM_UID)
    found = vm_file(cluster, "etc/passwd")
    assert found.startswith(image)
    names = {line.split(":")[0] for line in found.removeprefix(image).splitlines() if ":x:" in line or ":*:" in line}
    assert names == {"clues", "alice", "dora", "ctld", "zoe"}
    settings = "var/lib/clues/agent/settings"  # kept a moment after they are applied
    wait_for("the settings", lambda: "account ctld:" in vm_file(cluster, settings) or None, 10)
    told = vm_file(cluster, settings)
    assert not re.search(r"^(account|group) (root|toor|service|far|slurm|munge):", told, re.MULTILINE)
    log = vm_file(cluster, LOG)
    assert "the image has these otherwise, by name or number: debian 2005 mallory 2100" in log


def test_while_the_front_end_cannot_tell_its_users_those_that_are_there_stay(cluster: UsersCluster) -> None:
    before = vm_file(cluster, "etc/passwd")
    cluster.stop_process("enrol")
    with cluster.book.lost():
        cluster.start_process("enrol")
        wait_for("the front's word", lambda: "does not tell its users" in cluster.daemons.log("enrol") or None, 10)
        wait_for("the agent's try", lambda: "no settings (503)" in vm_file(cluster, LOG) or None, 20)
        assert vm_file(cluster, "etc/passwd") == before
    dave = cluster.add_user("dave", 2008, 3001)
    wait_for("the end of it", lambda: f"\n{dave.name}:" in vm_file(cluster, "etc/passwd") or None, 20)


def test_an_image_with_another_number_for_slurm_gets_no_secret_and_says_so(cluster: UsersCluster) -> None:
    image = cluster.folder / "image" / "passwd"
    image.write_text(IMAGE["passwd"].format(slurm=64031))
    alice = cluster.users["alice"]
    cluster.submit(alice, "true", "--partition=gpu", "--gres=gpu:1")
    wait_for("the failure", lambda: [one for one in cluster.claims() if one.failure] or None, 30)
    (failed, *_) = [one for one in cluster.claims() if one.failure]
    assert failed.failure == "boot"
    assert "slurm has uid 64031 here and 64030 on the front-end: the image must have it with the same" in failed.reason
    image.write_text(IMAGE["passwd"].format(slurm=SLURM_UID))


def test_without_the_export_nothing_of_the_image_is_touched(cluster: UsersCluster) -> None:
    cluster.export = False
    cluster.write_config()
    cluster.stop_process("enrol")
    cluster.start_process("enrol")
    wait_for("the end of alice", lambda: "alice" not in vm_file(cluster, "etc/passwd") or None, 20)
    assert vm_file(cluster, "etc/passwd").startswith(IMAGE["passwd"].format(slurm=SLURM_UID))
    alice = cluster.users["alice"]
    job = cluster.submit(alice, WHO)
    cluster.front.wait_job(job, "COMPLETED", "FAILED", timeout=20)
    told = cluster.output(alice, job)
    # Slurm sends the numbers with every job; names and homes are the image's business now, its sssd's for example
    assert (told["user"], told["numbers"], told["account_home"]) == ("2001 2001", "3001 3002 ", "")
