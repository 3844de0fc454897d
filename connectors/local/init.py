"""PID 1 of the sandbox: lays out its private file system, starts the main program, and buries the dead.

The idea: this process *is* the sandbox. The kernel ends every process of a PID namespace when its PID 1 ends, so
nothing that runs inside can outlive it, however it detached itself; namespaces, links and mounts go with the last
process. It ends when the main program does, with its exit code, or when the *lifeline* breaks: a FIFO whose writing end
only the outer process holds. A byte on the lifeline is the number of a signal for the main program; its end means that
the outer process is gone, also by kill -9.

Runs by its path, with `python -S`, before anything of the project can be imported: standard library only.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

MS_BIND, MS_REC = 4096, 16384
MARKER = "/run/clues-sandbox"

# What is the machine's own and is covered: by a directory below the sandbox's folder, or by a tmpfs (None).
COVERED: tuple[tuple[str, str | None], ...] = (
    ("/run", None),
    ("/dev/shm", None),  # noqa: S108 - covered, not used
    ("/etc", "etc"),
    ("/tmp", "tmp"),  # noqa: S108
    ("/var/tmp", "var/tmp"),  # noqa: S108
    ("/var/log", "var/log"),
    ("/var/spool", "var/spool"),
    ("/var/lib/munge", "var/lib/munge"),
    ("/var/lib/slurm", "var/lib/slurm"),
)
UNTOUCHED_BY_PID_1 = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """mount(2), not mount(8): the source may be a /proc/self/fd link, which mount(8) would resolve to a path.

    Raises OSError with the target.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind, options)]
    if libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount: {os.strerror(number)}", target)


def lay_out(folder: Path, keep: list[Path]) -> None:
    """Cover the machine's directories; paths to keep that lie below a covered one are put back where they were."""
    covered = [(target, below) for target, below in COVERED if Path(target).is_dir()]
    # Opened before anything is covered: a path may not lead there any more afterwards.
    handles = {below: os.open(folder / below, os.O_PATH) for _, below in covered if below}
    returning = {
        path: os.open(path, os.O_PATH)
        for path in sorted(set(keep))
        if any(path.is_relative_to(target) for target, _ in covered)
        and not any(other != path and path.is_relative_to(other) for other in keep)
    }
    for target, below in covered:
        if below is None:
            mount("tmpfs", target, "tmpfs", 0, "mode=0755" if target == "/run" else "mode=1777")
        else:
            mount(f"/proc/self/fd/{handles[below]}", target, None, MS_BIND)
    for path, handle in returning.items():
        path.mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{handle}", str(path), None, MS_BIND | MS_REC)
    for handle in (*handles.values(), *returning.values()):
        os.close(handle)
    Path(MARKER).write_text(f"{folder}\n")


def start(argv: list[str], *, own_group: bool) -> int:
    """Start the main program; its process id. Exit code 127 if there is no such program."""
    pid = os.fork()
    if pid:
        return pid
    if own_group:
        os.setpgid(0, 0)
    for number in (*UNTOUCHED_BY_PID_1, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted
    except OSError as error:
        print(f"sandbox: {argv[0]}: {error.strerror}", file=sys.stderr)
        os._exit(127)


def reap(main: int) -> int | None:
    """Bury every child that has ended; the main program's exit code if it was among them, in the shell's way."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return None
        if pid == main:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def attend(main: int, lifeline: int, wakeup: int) -> int:
    """Reap and pass signals on until the main program ends; its exit code, or 137 when the lifeline broke."""
    while True:
        ready, _, _ = select.select([lifeline, wakeup], [], [])
        if wakeup in ready:
            os.read(wakeup, 4096)
        if lifeline in ready:
            numbers = os.read(lifeline, 64)
            if not numbers:
                return 128 + signal.SIGKILL
            for number in numbers:
                os.kill(main, number)
        code = reap(main)
        if code is not None:
            return code


def main() -> int:
    parser = argparse.ArgumentParser(description="PID 1 of the sandbox; started by sandbox.py")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--lifeline", type=Path, required=True)
    parser.add_argument("--hostname", required=True)
    parser.add_argument("--keep", type=Path, action="append", default=[])
    parser.add_argument("--own-group", action="store_true", help="no terminal: the main program gets a process group")
    parser.add_argument("argv", nargs="+")
    options = parser.parse_args()
    for number in UNTOUCHED_BY_PID_1:
        signal.signal(number, signal.SIG_IGN)
    # Without a writer, a FIFO opened without waiting reads as ended: an outer process that died meanwhile is noticed.
    lifeline = os.open(options.lifeline, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    options.lifeline.unlink()  # open at both ends by now: no later kill leaves it behind
    wakeup, notify = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(notify)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # the wakeup pipe tells
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    here = Path.cwd()
    socket.sethostname(options.hostname)
    ip = shutil.which("ip") or "/usr/sbin/ip"
    subprocess.run([ip, "link", "set", "lo", "up"], check=True)
    lay_out(options.folder, [options.folder, *options.keep])
    os.chdir(here)  # the directory of that name that is now in place
    return attend(start(options.argv, own_group=options.own_group), lifeline, wakeup)


if __name__ == "__main__":
    sys.exit(main())
