"""Prolog and epilog between users: a user's last job takes along what they left, another job of theirs keeps it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clues import templates

#: whose files can be made here: as root anybody's
UID = 4242 if os.geteuid() == 0 else os.geteuid()


class Node:
    """A node in a folder. Its processes are those that a test starts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("tmp", "var/tmp", "dev/shm", "proc", "proc/sysvipc", "etc/clues", "tools", "scratch"):
            (root / folder).mkdir(parents=True)
        root.chmod(0o755)
        for name in ("prolog", "epilog"):
            (root / name).write_text(templates.read(f"slurm/{name}.sh"))
        self.program("id", "echo 0")  # slurmd is root on a node
        self.children: list[subprocess.Popen[bytes]] = []

    def program(self, name: str, script: str) -> None:
        file = self.root / "tools" / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def run(self, name: str, job: int, uid: int = UID, gpus: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", self.root / name],
            env={
                "PATH": f"{self.root}/tools:{os.environ['PATH']}",
                "CLUES_ROOT": str(self.root),
                "SLURM_JOB_UID": str(uid),
                "SLURM_JOB_ID": str(job),
                "SLURM_JOB_GPUS": gpus,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def leave(self, path: str, uid: int = UID) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("left")
        if os.geteuid() == 0:
            os.chown(file, uid, uid)
            if file.parent.name == "mine":
                os.chown(file.parent, uid, uid)
        return file

    def process(self) -> subprocess.Popen[bytes]:
        """A process of the user, seen in the node's /proc."""
        identity = ["setpriv", f"--reuid={UID}", "--clear-groups"] if os.geteuid() == 0 else []
        child = subprocess.Popen([*identity, "sleep", "60"])
        self.children.append(child)
        folder = self.root / "proc" / str(child.pid)
        folder.mkdir()
        if os.geteuid() == 0:
            os.chown(folder, UID, UID)
        return child


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    one = Node(tmp_path / "node")
    yield one
    for child in one.children:
        child.kill()
        child.wait()


def test_the_last_job_of_a_user_takes_everything_along(node: Node) -> None:
    (node.root / "etc/clues/scratch").write_text("/scratch\n")
    left = [node.leave(path) for path in ("tmp/a", "tmp/mine/b", "var/tmp/c", "dev/shm/d", "scratch/e")]
    assert node.run("prolog", 1).returncode == 0
    child = node.process()
    assert node.run("epilog", 1).returncode == 0
    assert [path for path in left if path.exists()] == []
    assert not (node.root / "tmp/mine").exists()
    assert child.wait(5) == -9
    assert not (node.root / f"run/clues-jobs/{UID}").exists()


def test_while_another_job_of_theirs_is_there_all_stays(node: Node) -> None:
    left = node.leave("tmp/a")
    for job in (1, 2):
        assert node.run("prolog", job).returncode == 0
    child = node.process()
    assert node.run("epilog", 1).returncode == 0
    assert left.exists()
    assert child.poll() is None
    assert node.run("epilog", 2).returncode == 0
    assert not left.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of somebody else")
def test_files_of_others_stay(node: Node) -> None:
    other, roots = node.leave("tmp/theirs", 4243), node.leave("tmp/roots", 0)
    inside = node.leave("tmp/mine/theirs", 4243)
    node.run("prolog", 1)
    node.run("epilog", 1)
    assert other.exists()
    assert roots.exists()
    assert inside.exists()


def test_what_is_mounted_below_is_not_of_this_node(node: Node) -> None:
    """As a home that is a part of the same file system: for `find -xdev` it is a folder like any other."""
    kept, left = node.leave("tmp/home/alice/thesis"), node.leave("tmp/home/other")
    mounted = kept.parent
    (node.root / "proc/self").mkdir()
    info = "36 35 98:0 /x {0} rw,noatime - ext4 /dev/root rw\n37 35 98:0 / {1} rw - ext4 /dev/root rw\n"
    (node.root / "proc/self/mountinfo").write_text(info.format(mounted, node.root / "tmp"))
    node.run("prolog", 1)
    assert node.run("epilog", 1).returncode == 0
    assert kept.exists()
    assert not left.exists()
    # a name that cannot be told apart from a pattern: rather nothing is cleaned there
    other = node.leave("tmp/other")
    (node.root / "proc/self/mountinfo").write_text(info.format(f"{node.root}/tmp/with\\040blank", node.root / "tmp"))
    node.run("prolog", 2)
    done = node.run("epilog", 2)
    assert "is not cleaned: something with a strange name is mounted there" in done.stderr
    assert other.exists()


def test_a_folder_that_other_nodes_have_too_is_left_alone(node: Node) -> None:
    left = node.leave("tmp/a")
    node.program("stat", "echo nfs")
    node.run("prolog", 1)
    assert node.run("epilog", 1).returncode == 0
    assert left.exists()


def test_folders_in_folders_go_as_well(node: Node) -> None:
    left = [node.leave(path) for path in ("tmp/mine/mine/mine/a", "tmp/mine/mine/b c\n*")]
    if os.geteuid() == 0:
        os.chown(node.root / "tmp/mine/mine", UID, UID)
        os.chown(node.root / "tmp/mine", UID, UID)
    node.run("prolog", 1)
    node.run("epilog", 1)
    assert [path for path in left if path.exists()] == []
    assert not (node.root / "tmp/mine").exists()


def test_a_link_leads_nowhere(node: Node, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    if os.geteuid() == 0:
        os.chown(outside / "kept", UID, UID)
    link = node.root / "tmp/link"
    link.symlink_to(outside)
    os.lchown(link, UID, UID if os.geteuid() == 0 else -1)
    node.run("prolog", 1)
    node.run("epilog", 1)
    assert (outside / "kept").exists()
    assert not link.is_symlink()


@pytest.mark.parametrize(
    ("uid", "job"), [("0", "1"), ("999", "1"), ("", "1"), ("4242", ""), ("4242; reboot", "1"), ("-1", "1")]
)
def test_of_root_and_services_and_what_is_no_user_nothing_is_touched(node: Node, uid: str, job: str) -> None:
    left = node.leave("tmp/a", 0)
    for name in ("prolog", "epilog"):
        done = subprocess.run(
            ["sh", node.root / name],
            env={
                "PATH": f"{node.root}/tools:{os.environ['PATH']}",
                "CLUES_ROOT": str(node.root),
                "SLURM_JOB_UID": uid,
                "SLURM_JOB_ID": job,
            },
            check=False,
        )
        assert done.returncode == 0
    assert left.exists()
    assert not (node.root / "run/clues-jobs").exists()


def test_a_slurmd_that_is_not_root_cleans_nothing(node: Node) -> None:
    node.program("id", "echo 1000")
    left = node.leave("tmp/a")
    node.run("prolog", 1)
    assert node.run("epilog", 1).returncode == 0
    assert left.exists()


# --- GPUs -------------------------------------------------------------------------------------------------------------

SMI = """case $* in
    *--query-compute-apps*) cat "$CLUES_ROOT/apps" ;;
    *) echo "$*" >>"$CLUES_ROOT/asked" ;;
esac"""


def test_a_gpu_is_left_without_processes_and_with_its_own_clocks(node: Node) -> None:
    node.program("nvidia-smi", SMI)
    node.run("prolog", 1)
    node.run("prolog", 2)  # another job of the user keeps its processes
    child, other = node.process(), node.process()
    (node.root / "apps").write_text(f"{child.pid}\n1\n")
    node.program("sleep", f'rm -rf "$CLUES_ROOT/proc/{child.pid}"')  # it is gone a moment later
    assert node.run("epilog", 1, gpus="0,1").returncode == 0
    assert child.wait(5) == -9
    assert other.poll() is None
    assert (node.root / "asked").read_text().splitlines() == [f"-i 0,1 {o}" for o in ("-rgc", "-rmc", "-rac", "-c 0")]


def test_a_process_that_stays_on_a_gpu_makes_the_epilog_fail(node: Node) -> None:
    node.program("nvidia-smi", SMI)
    node.program("sleep", "exit 0")
    node.run("prolog", 1)
    child = node.process()
    (node.root / "apps").write_text(f"{child.pid}\n")
    done = node.run("epilog", 1, gpus="0")
    assert done.returncode == 1
    assert f"process {child.pid} stays on GPU 0" in done.stderr


@pytest.mark.parametrize(("ends", "code"), [(0, 0), (1, 1)])
def test_a_gpu_that_is_unwell_after_a_job_gets_no_other(node: Node, ends: int, code: int) -> None:
    node.program("nvidia-smi", SMI)
    (node.root / "apps").write_text("")
    shutil.copy(node.root / "tools/nvidia-smi", node.root / "etc/clues/check-gpus")
    (node.root / "etc/clues/check-gpus").write_text(f"#!/bin/sh\necho GPU 0 has errors >&2\nexit {ends}\n")
    node.run("prolog", 1)
    done = node.run("epilog", 1, gpus="0")
    assert done.returncode == code
    assert ("GPU 0 has errors" in done.stderr) is bool(ends)
