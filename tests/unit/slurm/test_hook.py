"""What slurmctld runs for eager pools: it asks durably, quickly, and never fails; and cluesd believes nothing of it."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from clues.poked import Door
from lrms.slurm import spool
from lrms.slurm_hook import MOST_REQUESTS, main

POOL = frozenset({"gpu-1", "gpu-2"})


def hook(folder: Path, *words: str, socket: str = "/nonexistent") -> int:
    return main(["--spool", str(folder), "--socket", socket, *words])


def test_a_request_is_spooled_read_and_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "resume.json"
    told.write_text('{"jobs":[{"job_id":7,"nodes":"gpu-[1-2]"}],"all_nodes":"gpu-[1-2]"}')
    monkeypatch.setenv("SLURM_RESUME_FILE", str(told))
    folder = tmp_path / "requests"
    folder.mkdir()
    old = os.umask(0o077)
    try:
        assert hook(folder, "resume", "gpu-[1-2],rack-1") == 0
    finally:
        os.umask(old)
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    (request,) = spool.read(folder, POOL)
    assert (request.verb, request.nodes, request.jobs) == ("resume", ("gpu-1", "gpu-2"), ("7",))
    spool.forget(folder, [request.id])
    assert list(folder.iterdir()) == []
    spool.forget(folder, [request.id])  # again, after a crash


@pytest.mark.parametrize(
    "words",
    [("resume", "gpu-1"), ("explode", "gpu-1"), (), ("--help",)],
    ids=["no folder", "no verb", "nothing", "help"],
)
def test_slurm_is_never_told_of_a_failure(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert hook(tmp_path / "missing", *words) == 0


def test_a_daemon_that_is_away_for_long_does_not_fill_the_disk(tmp_path: Path) -> None:
    for number in range(MOST_REQUESTS):
        (tmp_path / f"{number:020d}-1.json").touch()
    hook(tmp_path, "suspend", "gpu-1")
    assert len(list(tmp_path.iterdir())) == MOST_REQUESTS


FORGED = {
    "no json": b"{",
    "nested": b"[" * 60000,
    "no object": b"[]",
    "another verb": b'{"verb":"rm","nodes":"gpu-1","jobs":[]}',
    "too many nodes": b'{"verb":"resume","nodes":"n[1-999999999]","jobs":[]}',
    "jobs of text": b'{"verb":"resume","nodes":"gpu-1","jobs":["7; rm"]}',
    "too large": b" " * 70000,
    "not text": b"\xff\xfe",
}


@pytest.mark.parametrize("content", FORGED.values(), ids=FORGED.keys())
def test_what_the_hook_did_not_write_asks_for_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / f"{1:020d}-1.json").write_bytes(content)
    (request,) = spool.read(tmp_path, POOL)
    assert (request.nodes, request.jobs) == ((), ())


def test_links_pipes_and_other_names_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(json.dumps({"verb": "resume", "nodes": "gpu-1", "jobs": []}))
    folder = tmp_path / "requests"
    folder.mkdir()
    (folder / f"{1:020d}-1.json").symlink_to(secret)
    os.mkfifo(folder / f"{2:020d}-1.json")
    (folder / "other.json").symlink_to(secret)
    assert [one.nodes for one in spool.read(folder, POOL)] == [(), ()]
    spool.forget(folder, [f"{1:020d}-1.json", "../secret", "other.json"])
    assert secret.exists()
    assert (folder / "other.json").is_symlink()


def test_the_hook_imports_next_to_nothing_and_takes_little_time(tmp_path: Path) -> None:
    """Its aim is 50 ms of CPU; the bound here is generous, since it counts the start of Python on any machine."""
    code = (
        "import sys; before = set(sys.modules); from lrms.slurm_hook import main;"
        f"main(['--spool', {str(tmp_path)!r}, '--socket', '/nonexistent', 'resume', 'gpu-1']);"
        "print(*sorted(name.partition('.')[0] for name in set(sys.modules) - before))"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    heavy = {
        "pydantic",
        "fastapi",
        "asyncio",
        "argparse",
        "logging",
        "subprocess",
        "clues",
        "yaml",
        "pathlib",
        "typing",
    }
    assert heavy & set(done.stdout.split()) == set()
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5
    assert len(list(tmp_path.iterdir())) == 1


def test_a_knock_counts_only_while_there_is_a_request(tmp_path: Path) -> None:
    folder = tmp_path / "requests"
    folder.mkdir()
    knocks = threading.Semaphore(0)
    path = Path(f"/tmp/clues-knock-{os.getpid()}.sock")
    door = Door(path, folder, knocks.release)
    door.knocked()
    assert not knocks.acquire(blocking=False), "anybody on this machine could keep cluesd busy"
    door.start()
    try:
        hook(folder, "resume", "gpu-1", socket=str(path))
        assert knocks.acquire(timeout=10)
    finally:
        door.stop()
    assert not path.exists()
