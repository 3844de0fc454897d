"""One VM's power: on, off, and whether it is on.

A VM is a process tree in namespaces of its own (network, UTS, IPC, mount, PID), with a shell as its process 1
(``vm/init.sh``); killing that one process is pulling the plug, since the kernel then ends everything inside. It belongs
to nobody: `setsid` forks it away from the process that launches it, so it lives on when that one is killed.

Who a VM is, is told by a file named ``process`` in its folder: process id, start time and the PID namespace these are
true in. The VM's own process 1 makes it, before it does anything else, under a name that can be made only once. So of
two starters one wins; a starter that died before leaves no VM; and no VM ever runs that nobody can find.

The namespaces are no wall against a hostile VM: they share the machine's kernel and files, as the user who runs this.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from connectors.local.image import FILES

PROGRAMS = ("setsid", "unshare", "nsenter", "ip", "mount", "umount", "hostname")
#: An ordinary user's PATH may lack where `ip` is.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: user-data goes through a pipe that must take all of it at once; clouds take 16 to 64 KiB.
USER_DATA_LIMIT = 65536
_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
#: What is written in place of a process when there will never be one.
_NEVER = "0 0 never"


class PowerFailure(Exception):
    """A VM could not be powered on; the text is the end of its console."""


@dataclass(frozen=True, slots=True)
class Process:
    """The process 1 of a VM as the outside sees it. ``start`` is in clock ticks since the machine's boot."""

    pid: int
    start: int
    room: str

    def lives(self) -> bool:
        """Return whether exactly this process runs; a zombie, or a stranger who got its id, does not count."""
        return self.room == room() and _start_time(self.pid) == self.start


def room() -> str:
    """Return what this process ids are true in: this boot of the machine, this PID namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"


def what_is_missing() -> str:
    """Return what this process lacks to make VMs, in words; empty when it can."""
    lacking = [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]
    if lacking:
        return f"these commands are not installed: {', '.join(lacking)}"
    status = Path("/proc/self/status").read_text(encoding="ascii")
    effective = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:")), 0)
    lacking = [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]
    return f"making namespaces and links needs {' and '.join(lacking)}" if lacking else ""


@dataclass(slots=True)
class Starter:
    """A VM that is being powered on."""

    folder: Path
    _word: int = field(repr=False)

    def wait(self, timeout: float) -> None:
        """Return when its cable is plugged in and its folders are mounted; user-data follows after its boot time.

        :raises PowerFailure: it did not come that far.
        :raises TimeoutError: it is not known whether it will.
        """
        deadline = time.monotonic() + timeout
        said = b""
        try:
            while not said.endswith(b"\n"):
                ready, _, _ = select.select([self._word], [], [], max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise TimeoutError(f"VM {self.folder.name} said nothing for {timeout:g} s")
                more = os.read(self._word, 64)
                if not more:
                    raise PowerFailure(console_end(self.folder))
                said += more
        finally:
            os.close(self._word)


def power_on(folder: Path, user_data: str, network: Path = Path("/proc/self/ns/net")) -> Starter:
    """Start the VM whose folder is ready. *user_data* goes to it through a pipe and is stored nowhere.

    :param network: the network namespace that its cable is plugged into.

    :raises ValueError: *user_data* is too long.
    :raises OSError: nothing was started.
    """
    data = user_data.encode()
    if len(data) > USER_DATA_LIMIT:
        raise ValueError(f"user-data has {len(data)} bytes; {USER_DATA_LIMIT} are allowed")
    with contextlib.ExitStack() as stack:
        data_out, data_in = os.pipe()
        stack.callback(os.close, data_out)
        # Written before anybody reads: a starter that outlives us has all of it, and never runs half a script.
        with os.fdopen(data_in, "wb", buffering=0) as pipe:
            os.set_blocking(data_in, False)
            if data and pipe.write(data) != len(data):
                raise OSError("this user has so many pipes that the kernel makes them too small for user-data")
        word_out, word_in = os.pipe()
        stack.callback(os.close, word_in)
        console = os.open(folder / "console.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        stack.callback(os.close, console)
        subprocess.run(
            ["setsid", "--fork", "sh", str(FILES / "power-on.sh"), str(FILES), str(network)],
            cwd=folder,
            env={"PATH": PATH, "LANG": "C.UTF-8"},
            stdin=data_out,
            stdout=word_in,
            stderr=console,
            check=True,
        )
    return Starter(folder, word_out)


def process_of(folder: Path) -> Process | None:
    """Return who the VM is; None while it is nobody yet."""
    try:
        pid, start, where = (folder / "process").read_text(encoding="ascii").split()
    except FileNotFoundError:
        return None
    return Process(int(pid), int(start), where)


def runs(folder: Path) -> bool:
    """Return whether the VM's boot time is over."""
    return (folder / "running").exists()


def forestall(folder: Path) -> Process | None:
    """Make sure that a VM which is nobody yet never will be; return who it is if that is too late."""
    mine = folder / f"process.never.{os.getpid()}.{time.monotonic_ns()}"
    try:
        mine.write_text(_NEVER, encoding="ascii")
    except FileNotFoundError:
        return None  # no folder: nothing was ever started, or all is cleared away
    try:
        os.link(mine, folder / "process")
    except FileExistsError:
        return process_of(folder)
    finally:
        mine.unlink(missing_ok=True)
    return None


def power_off(process: Process, timeout: float) -> None:
    """Pull the plug: kill everything in the VM, and return when it is dead.

    The descriptor holds on to one process, so its id cannot pass to a stranger between the check and the kill.

    :raises TimeoutError: it does not die (a process waits for a disk, say).
    """
    if process.room != room():
        return  # that one ended with its room; here the id belongs to somebody else
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if process.lives():
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            if not select.select([handle], [], [], timeout)[0]:
                raise TimeoutError(f"process {process.pid} does not die")
    finally:
        os.close(handle)


def console_end(folder: Path, lines: int = 8) -> str:
    """Return the last lines of a VM's console."""
    try:
        text = (folder / "console.log").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _start_time(pid: int) -> int | None:
    """Return when a process started; None if there is none, or only its corpse."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *others = stat.rpartition(")")[2].split()  # the name before may hold anything
    return None if state in "ZX" else int(others[18])
