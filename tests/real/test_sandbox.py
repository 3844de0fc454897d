"""The sandbox leaves nothing behind, however it ends, and never starts by halves.

These tests make a sandbox inside the sandbox that they run in, so that they see everything that could be left of it.
"""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.local.sandbox import VARIABLE, as_slurm_user, inside, user_ids
from tests.lab.frontend import wait_for

pytestmark = pytest.mark.real

SANDBOX = [sys.executable, "-m", "connectors.local.sandbox"]

# A program with everything that could be left: a daemon of its own session, a machine, a link, a file.
FULL_HOUSE = """
trap 'echo INT >>"$1/heard"; sleep 0.2; echo in order >>"$1/heard"; exit 3' INT
trap 'echo TERM >>"$1/heard"; sleep 0.2; echo in order >>"$1/heard"; exit 4' TERM
setsid sleep 86400 &
ip link add name clues0 type bridge
unshare --net --uts --pid --fork sleep 86400 &
touch /tmp/file /run/file /var/log/file /dev/shm/file
readlink /proc/self/ns/net >"$1/namespace"
while :; do sleep 0.05; done
"""
DEAF = 'trap "" INT TERM; readlink /proc/self/ns/net >"$1/namespace"; while :; do sleep 0.05; done'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the inner sandbox, in a place of its own."""
    path = tmp_path / "house" / "folder"
    path.mkdir(parents=True)
    return path


def start(folder: Path, script: str, *options: str) -> subprocess.Popen[bytes]:
    words = [*SANDBOX, "--folder", str(folder), *options, "--", "bash", "-c", script, "bash", str(folder)]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    namespace = folder / "namespace"
    wait_for("the program", lambda: (namespace.exists() and namespace.read_text()) or None, 15)
    return process


def namespaces() -> Iterator[str]:
    """The network namespace of every process that can be seen."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield str((process / "ns" / "net").readlink())
        except OSError:  # it ended meanwhile
            continue


def surroundings(folder: Path) -> dict[str, list[str]]:
    """What could have been left: entries of shared directories and links."""
    places = [folder.parent, *(Path(name) for name in ("/run", "/tmp", "/dev/shm", "/var/log"))]
    links = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout.splitlines()
    left = {str(place): sorted(path.name for path in place.iterdir()) for place in places}
    return left | {"links": [line.split()[0] for line in links]}


@pytest.mark.parametrize(
    ("number", "code", "heard"),
    [
        (signal.SIGINT, 3, ["INT", "in order"]),
        (signal.SIGTERM, 4, ["TERM", "in order"]),
        (signal.SIGKILL, -9, []),
    ],
)
def test_nothing_is_left_when_the_outer_process_gets_a_signal(
    folder: Path, number: signal.Signals, code: int, heard: list[str]
) -> None:
    before = surroundings(folder)
    process = start(folder, FULL_HOUSE)
    inner = (folder / "namespace").read_text().strip()
    assert inner in namespaces()
    process.send_signal(number)
    assert process.wait(15) == code
    wait_for("its processes to be gone", lambda: inner not in namespaces() or None, 5)
    assert (folder / "heard").read_text().splitlines() if heard else not (folder / "heard").exists()
    if heard:
        assert (folder / "heard").read_text().splitlines() == heard
    assert surroundings(folder) == before
    assert not list(folder.glob("lifeline*"))


def test_a_program_that_hears_nothing_is_ended_after_the_grace(folder: Path) -> None:
    process = start(folder, DEAF, "--grace", "0.5")
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 128 + signal.SIGKILL


def test_ctrl_c_at_a_terminal_reaches_the_program_once(folder: Path) -> None:
    program = (
        "import signal, sys, time\n"
        "heard = []\n"
        "signal.signal(signal.SIGINT, lambda *_: heard.append(1))\n"
        "print('ready', flush=True)\n"
        "while not heard: time.sleep(0.02)\n"
        "time.sleep(0.3)\n"
        "sys.exit(40 + len(heard))\n"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [*SANDBOX, "--folder", str(folder), "--", sys.executable, "-c", program])  # noqa: S606
    output = b""
    while b"ready" not in output:
        output += os.read(terminal, 1024)
    os.write(terminal, b"\x03")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 41


def test_the_program_sees_a_machine_of_its_own(folder: Path) -> None:
    script = (
        "set -e; test ! -e /etc/slurm; test ! -e /run/clues-other; test $(id -u) = 0; test $(hostname) = head;"
        'test -z "$SLURM_CONF$http_proxy"; getent hosts head | grep -q 10.77.0.1; ping_lo=$(ip -br link show lo);'
        'case $ping_lo in *UP*) ;; *) exit 9;; esac; test "$2" = --; exit 7'
    )
    Path("/run/clues-other").touch()
    command = [*SANDBOX, "--folder", str(folder), "--", "bash", "-c", script, "bash", "x", "--"]
    environment = {**os.environ, "SLURM_CONF": "/etc/slurm/slurm.conf", "http_proxy": "http://192.0.2.1"}
    assert subprocess.run(command, env=environment, timeout=30).returncode == 7
    Path("/run/clues-other").unlink()
    user = subprocess.run(as_slurm_user(["id", "-un"]), capture_output=True, text=True, check=True)
    assert user.stdout == "clues\n"


def without_user_namespaces(words: list[str], path: str) -> subprocess.CompletedProcess[str]:
    """Run `words` where the kernel gives no user namespaces (a limit that counts in a user namespace and below)."""
    script = 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "sh", "-ec", script, "sh", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env={**os.environ, "PATH": path})


def test_a_refused_sandbox_says_which_setting_refused_it(folder: Path) -> None:
    done = without_user_namespaces([*SANDBOX, "--folder", str(folder), "--", "true"], os.environ["PATH"])
    assert done.returncode == 69
    assert "user.max_user_namespaces=0" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_ordinary_user_without_namespaces_is_sent_to_sudo_and_told_why(tmp_path: Path, folder: Path) -> None:
    # A sudo that only writes down what it was asked for: there may be none on this machine, or one with a password.
    sudo = tmp_path / "bin" / "sudo"
    sudo.parent.mkdir()
    sudo.write_text(f'#!/bin/sh\necho "$@" >>"{tmp_path}/asked"\n')
    sudo.chmod(0o755)
    # Not root, in a user namespace where no other may be made.
    script = (
        "import os, sys; from pathlib import Path; from connectors.local import sandbox; os.geteuid = lambda: 1001\n"
        f"sys.exit(sandbox.enter(['true'], folder=Path({str(folder)!r})))"
    )
    done = without_user_namespaces([sys.executable, "-c", script], f"{sudo.parent}:{os.environ['PATH']}")
    assert "max_user_namespaces=0" in done.stderr
    assert "by sudo" in done.stderr
    asked = (tmp_path / "asked").read_text().splitlines()
    assert "unshare --net --mount --pid" in asked[0]
    assert "--user" not in asked[0]
    assert "chown" in asked[1]


def test_the_variable_alone_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert inside() is not None
    monkeypatch.setenv(VARIABLE, "/somewhere/else")
    assert inside() is None
    monkeypatch.delenv(VARIABLE)
    assert inside() is None


def test_with_ids_there_are_several_users_inside_or_it_is_said_why_not(folder: Path) -> None:
    script = (
        "awk '{ n += $3 } END { print n }' /proc/self/uid_map; setpriv --reuid=2001 --regid=3001 --groups=3002 id -G"
    )
    words = [*SANDBOX, "--folder", str(folder), "--ids", "--", "bash", "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    if user_ids() >= 65536:
        assert done.stdout == "65536\n3001 3002\n"
    else:  # those that are not there cannot be handed on
        assert done.stdout == "1\n"
        assert "one user only inside" in done.stderr
        assert "/etc/subuid" in done.stderr
