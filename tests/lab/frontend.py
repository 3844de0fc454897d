"""A private Slurm front-end inside the sandbox: munged and slurmctld on a bridge of their own.

The idea: everything that a cluster's front-end has, in one folder, and nothing of the machine's. Ports are chosen free
at each start; every process runs as the account `clues` (see connectors.local.sandbox). Waiting is always for a
condition, with a deadline, and a failed command says what Slurm said.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from connectors.local.sandbox import as_slurm_user, inside
from tests.lab import slurm_conf

T = TypeVar("T")


class LabError(Exception):
    """Something in the lab did not do what it must; the message holds what it said."""


def wait_for(what: str, condition: Callable[[], T | None], timeout: float, tell: Callable[[], object] = str) -> T:
    """Ask `condition` every 50 ms until it gives something. Raises LabError after `timeout` seconds, with `tell()`."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise LabError(f"waited {timeout:g} s for {what}; it is {tell()}")
        time.sleep(0.05)


class FrontEnd:
    """A Slurm front-end at `address` on `bridge`, in `folder`. The nodes and partitions come from `nodes_conf`.

    `extra_conf`: lines of slurm.conf that replace or follow the lab's own. A context manager; or start and stop it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        nodes_conf: str,
        gres_conf: str = "",
        extra_conf: str = "",
        bridge: str = "clues0",
        address: str = "10.77.0.1",
        prefix_length: int = 16,
    ) -> None:
        if inside() is None:
            raise LabError("the front-end runs in the sandbox only: python -m connectors.local.sandbox -- COMMAND")
        self.folder = folder.resolve()
        self.nodes_conf, self.gres_conf, self.extra_conf = nodes_conf, gres_conf, extra_conf
        self.bridge, self.address, self.prefix_length = bridge, address, prefix_length
        self.hostname = socket.gethostname()
        # Sockets lie in /run: the path of a UNIX socket may have 107 bytes only, and folders can be deep.
        self.run_folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/run"))
        # The folder by a name without blanks: a checkout may lie anywhere, and slurm.conf splits its lines at blanks.
        self.plain = self.run_folder / "front"
        self.plain.symlink_to(self.folder)
        self._munged: subprocess.Popen[bytes] | None = None
        self._slurmctld: subprocess.Popen[bytes] | None = None
        self._made_bridge = False
        self.ports: tuple[int, int] | None = None

    # --- life -----------------------------------------------------------------------------------------------------

    def __enter__(self) -> FrontEnd:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, timeout: float = 20.0) -> None:
        """Start munged and slurmctld and wait until it answers. Raises LabError with the end of its log."""
        for name in ("etc", "log", "state", "spool"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._make_bridge()
        self._start_munged(timeout)
        self._before_slurmctld(timeout)
        self.write_configuration()
        self._start_slurmctld(clean=False, timeout=timeout)

    def _before_slurmctld(self, timeout: float) -> None:
        """What slurmctld does not start without; munged runs."""

    def stop(self, timeout: float = 15.0) -> None:
        """Stop slurmctld and munged in order; take the bridge down if this made it. Repeating it is harmless."""
        for process in (self._slurmctld, self._munged):
            _end(process, signal.SIGTERM, timeout)
        self._slurmctld = self._munged = None
        self.ports = None
        if self._made_bridge:
            subprocess.run(["ip", "link", "delete", self.bridge], check=True)
            self._made_bridge = False

    def choose_ports(self) -> tuple[int, int]:
        """The ports of slurmctld and of every slurmd, free when they are first asked for after a stop."""
        self._make_bridge()
        if self.ports is None:
            self.ports = (free_port(self.address), free_port(self.address))
        return self.ports

    def write_configuration(self) -> None:
        """Write all of Slurm's files anew (at each start; before a reconfigure, if the nodes changed)."""
        ports = self.choose_ports()
        etc = self.folder / "etc"
        text = slurm_conf.render(
            folder=self.plain,
            run=self.run_folder,
            hostname=self.hostname,
            address=self.address,
            ports=ports,
            extra=self.extra_conf,
        )
        files = {
            "slurm.conf": text,
            "nodes.conf": self.nodes_conf,
            "gres.conf": self.gres_conf,
            # slurmd starts its cgroup plugin even if nothing uses it; v1's asks for nothing that a namespace lacks.
            "cgroup.conf": "CgroupPlugin=cgroup/v1\n",
            "plugstack.conf": "",
        }
        for name, content in files.items():
            (etc / name).write_text(content)

    def restart_slurmctld(
        self, *, clean: bool = False, how: signal.Signals = signal.SIGTERM, timeout: float = 20.0
    ) -> None:
        """End slurmctld with that signal and start it again; `clean` throws its state away (`slurmctld -c`)."""
        _end(self._slurmctld, how, timeout)
        self._start_slurmctld(clean=clean, timeout=timeout)

    def kill_slurmctld(self) -> None:
        """kill -9; `restart_slurmctld` brings it back."""
        _end(self._slurmctld, signal.SIGKILL, 10.0)
        self._slurmctld = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """slurmctld stands still (SIGSTOP): it takes connections and answers nothing, as under a great load."""
        if self._slurmctld is None:
            raise LabError("slurmctld is not running")
        self._slurmctld.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._slurmctld.send_signal(signal.SIGCONT)

    # --- commands -------------------------------------------------------------------------------------------------

    def as_user(self, argv: Sequence[str]) -> list[str]:
        """The command that runs `argv` as the user of jobs."""
        return as_slurm_user(argv)

    def as_daemon(self, argv: Sequence[str]) -> list[str]:
        """The command that runs munged or slurmctld as the user whom it belongs to."""
        return as_slurm_user(argv)

    @property
    def env(self) -> dict[str, str]:
        """The environment in which every command of Slurm finds this front-end."""
        return {**os.environ, "SLURM_CONF": str(self.plain / "etc" / "slurm.conf")}

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 15.0,
        check: bool = True,
        as_root: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a client command as the job user (or the sandbox's root). Raises LabError if it fails, with `check`."""
        words = list(argv) if as_root else self.as_user(argv)
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=timeout, cwd=home, env={**self.env, **(env or {})}
        )
        if check and done.returncode != 0:
            raise LabError(f"{' '.join(argv)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}")
        return done

    def sbatch(self, script: str, *options: str) -> int:
        """Submit `script` (what follows #!/bin/sh; output in home/slurm-JOB.out); the job's id. Raises LabError."""
        words = self.as_user(["sbatch", "--parsable", *options])
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        done = subprocess.run(
            words, input=f"#!/bin/sh\n{script}\n", capture_output=True, text=True, timeout=15, cwd=home, env=self.env
        )
        if done.returncode != 0:
            raise LabError(f"sbatch: {done.stderr.strip()}")
        return int(done.stdout.strip().split(";")[0])

    def scontrol(self, *words: str) -> str:
        """`scontrol WORDS` as SlurmUser; what it printed."""
        return self.run(["scontrol", *words]).stdout

    def update_node(self, node: str, *settings: str) -> None:
        """`scontrol update nodename=NODE SETTINGS`."""
        self.scontrol("update", f"nodename={node}", *settings)

    def node_flags(self, node: str) -> frozenset[str]:
        """A node's base state and flags, such as {IDLE, CLOUD, DRAIN, POWERED_DOWN}."""
        return frozenset(self.node_field(node, "State").split("+"))

    def node_field(self, node: str, field: str) -> str:
        """One field of `scontrol show node`, empty if it has none there."""
        text = self.scontrol("--oneliner", "show", "node", node)
        found = re.search(rf"(?:^|\s){re.escape(field)}=(\S*)", text)
        return found.group(1) if found else ""

    def job_state(self, job: int) -> str:
        """A job's state as Slurm spells it (PENDING, RUNNING, COMPLETED, …), also after its end."""
        return self.run(["squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T"]).stdout.strip()

    def wait_node(self, node: str, *flags: str, without: Sequence[str] = (), timeout: float = 20.0) -> frozenset[str]:
        """Wait until the node has all `flags` and none of `without`; what it then has. Raises LabError."""

        def seen() -> frozenset[str] | None:
            now = self.node_flags(node)
            return now if now.issuperset(flags) and now.isdisjoint(without) else None

        return wait_for(
            f"{node} to be {'+'.join(flags)} without {list(without)}", seen, timeout, lambda: self.node_flags(node)
        )

    def wait_job(self, job: int, *states: str, timeout: float = 60.0) -> str:
        """Wait until the job is in one of `states`; which. Raises LabError."""

        def seen() -> str | None:
            now = self.job_state(job)
            return now if now in states else None

        return wait_for(
            f"job {job} to be {' or '.join(states)}", seen, timeout, lambda: f"{self.job_state(job)}\n{self.log()}"
        )

    def log(self, name: str = "slurmctld.log", lines: int = 20) -> str:
        """The end of one of its logs."""
        path = self.folder / "log" / name
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else f"no {path}"

    # --- inside ---------------------------------------------------------------------------------------------------

    def _make_bridge(self) -> None:
        wanted = f"{self.address}/{self.prefix_length}"
        if _has_link(self.bridge):
            shown = subprocess.run(["ip", "-o", "address", "show", self.bridge], capture_output=True, text=True)
            if f" {wanted} " in shown.stdout:
                return
            # One that an earlier test's site has made and left: its range is not this front-end's.
            subprocess.run(["ip", "link", "delete", self.bridge], check=True)
        for words in (
            ["add", "name", self.bridge, "type", "bridge"],
            ["set", self.bridge, "up"],
        ):
            subprocess.run(["ip", "link", *words], check=True)
        subprocess.run(["ip", "address", "add", wanted, "dev", self.bridge], check=True)
        self._made_bridge = True

    def _start_munged(self, timeout: float) -> None:
        key = self.folder / "etc" / "munge.key"
        if not key.exists():
            descriptor = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(128))
        names = {
            "key-file": key,
            "socket": self.run_folder / "munge.sock",
            "pid-file": self.run_folder / "munged.pid",
            "seed-file": self.run_folder / "munged.seed",
            "log-file": self.folder / "log" / "munged.log",
        }
        words = ["munged", "--foreground", "--force", *(f"--{name}={path}" for name, path in names.items())]
        self._munged = self._spawn(words, "munged.out")
        socket_path = names["socket"]
        wait_for("munged's socket", lambda: socket_path.exists() or None, timeout, lambda: self.log("munged.log"))

    def _start_slurmctld(self, *, clean: bool, timeout: float) -> None:
        self._slurmctld = self._spawn(["slurmctld", "-D", *(["-c"] if clean else [])], "slurmctld.out")
        process = self._slurmctld

        def answers() -> bool | None:
            if process.poll() is not None:
                raise LabError(f"slurmctld ended with {process.returncode}:\n{self.log()}\n{self.log('slurmctld.out')}")
            done = self.run(["scontrol", "ping"], check=False)
            return True if " is UP" in done.stdout else None

        wait_for("slurmctld to answer", answers, timeout, lambda: self.log())

    def _spawn(self, words: Sequence[str], output: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log" / output).open("ab") as file:
            return subprocess.Popen(
                self.as_daemon(words), stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=self.env
            )


def _end(process: subprocess.Popen[bytes] | None, how: signal.Signals, timeout: float) -> None:
    """End a child by its id, which stays its own until it is waited for; after the deadline, by SIGKILL."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(how)
    process.send_signal(signal.SIGCONT)  # one that stands still hears nothing else
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _has_link(name: str) -> bool:
    return subprocess.run(["ip", "link", "show", name], capture_output=True).returncode == 0


def free_port(address: str) -> int:
    """A TCP port at `address` that is free now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port
