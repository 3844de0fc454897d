"""A container with systemd as PID 1, made of this machine's own files: `/usr` is mounted, the rest is a folder's.

Nothing is downloaded and nothing of the machine is changed.  When the process that holds it ends, by whatever means,
the kernel ends all of it.  It needs root, as systemd has to own a cgroup tree and its units want mounts and users.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

CHECKOUT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("container.sh")
NAMESPACES = ("--mount", "--uts", "--ipc", "--net")

#: Of this machine's /etc, what programs do not start without.
ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "os-release", "localtime", "protocols", "services")
#: What no test needs, or what a container has no place for.
MASKED = (
    "dbus.service",
    "dbus.socket",
    "systemd-logind.service",
    "getty.target",
    "systemd-networkd-wait-online.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "systemd-journal-flush.service",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
)
PACKAGES = ("clues", "connectors", "lrms", "vrouter", "templates", "systemd", "tests/lab/opennebula")
FOLDERS = (
    "usr dev proc sys old tmp run root home opt/clues/src opt/clues/venv opt/clues/bin etc/systemd/system etc/munge "
    "var/log/munge var/lib/munge var/log/journal"
)
#: Those that Debian's packages of munge and Slurm make, too.
USERS = (
    "root:x:0:0:root:/root:/bin/bash\nmunge:x:990:990::/nonexistent:/usr/sbin/nologin\n"
    "slurm:x:64030:64030::/nonexistent:/usr/sbin/nologin\nnobody:x:65534:65534::/:\n"
)
GROUPS = "root:x:0:\nmunge:x:990:\nslurm:x:64030:\nnogroup:x:65534:\n"


class Container:
    """The container, whose root is *root* below this machine's; a context manager that ends it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._cgroup = f"clues-boot-{os.getpid()}-{time.monotonic_ns()}"
        self._holder: subprocess.Popen[bytes] | None = None
        self._init = 0
        self._lay_out()

    def _lay_out(self) -> None:
        root = self.root
        for name in FOLDERS.split():
            (root / name).mkdir(parents=True, exist_ok=True)
        root.chmod(0o755)
        (root / "tmp").chmod(0o1777)
        for name in ("bin", "sbin", "lib", "lib64"):
            (root / name).symlink_to(f"usr/{name}")
        for name in ETC:
            source = Path("/etc") / name
            if source.exists():
                subprocess.run(["cp", "-a", "--", source, root / "etc"], check=True)
        (root / "etc/passwd").write_text(USERS)
        (root / "etc/group").write_text(GROUPS)
        (root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
        (root / "etc/hosts").write_text("127.0.0.1 localhost\n10.77.0.1 head\n")
        (root / "etc/hostname").write_text("head\n")
        # Without an id it would be a first boot, at which every service of the machine is switched on.
        (root / "etc/machine-id").write_text("c1ae5" + "0" * 27 + "\n")
        for name in MASKED:
            (root / "etc/systemd/system" / name).symlink_to("/dev/null")
        (root / "etc/systemd/system/default.target").symlink_to("/lib/systemd/system/multi-user.target")
        self._munge()
        self._copy()
        for program in entry_points(group="console_scripts"):
            if program.dist is not None and program.dist.name == "clues":
                self._program(program.name, program.module, program.attr)

    def _munge(self) -> None:
        key = self.root / "etc/munge/munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        for path in (key, key.parent, self.root / "var/log/munge", self.root / "var/lib/munge"):
            os.chown(path, 990, 990)
            if path.is_dir():
                path.chmod(0o700)

    def _copy(self) -> None:
        """The packages are copied and compiled, as where they are installed: else each start takes seconds more."""
        source = self.root / "opt/clues/src"
        for name in PACKAGES:
            shutil.copytree(CHECKOUT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run([sys.executable, "-m", "compileall", "-q", "-j", "0", source], check=True)

    def _program(self, name: str, module: str, function: str) -> None:
        """A virtual environment's programs name its place; these name the one where it is mounted."""
        path = self.root / "opt/clues/bin" / name
        path.write_text(
            "#!/opt/clues/venv/bin/python\nimport sys\n\nsys.path.insert(0, '/opt/clues/src')\n"
            f"from {module} import {function}\n\nsys.exit({function}())\n"
        )
        path.chmod(0o755)

    def unit(self, name: str, text: str, *, wanted: bool = False) -> None:
        """Write a unit, or part of one; *wanted*: it is started at boot."""
        path = self.root / "etc/systemd/system" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        if wanted:
            self.enable(name, path=f"/etc/systemd/system/{name}")

    def enable(self, name: str, path: str = "") -> None:
        """Have a unit started at boot."""
        folder = self.root / "etc/systemd/system/multi-user.target.wants"
        folder.mkdir(exist_ok=True)
        (folder / name).symlink_to(path or f"/lib/systemd/system/{name}")

    def __enter__(self) -> Container:
        command = ["unshare", *NAMESPACES, "--kill-child", "--fork", str(SCRIPT)]
        words = [str(self.root), sys.prefix, self._cgroup]
        with (self.root / "boot.log").open("wb") as log:
            self._holder = subprocess.Popen([*command, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._init = self.wait_for("PID 1", self._find_init, 20)
            self.wait_for("systemd", self._is_up, 40)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._holder is not None:
            self._holder.kill()
            self._holder.wait()
            self._holder = None
        # The kernel may still be ending its processes; their cgroups are in use until then.
        tidy = f'mount -t cgroup2 cgroup2 "$1" && find "$1/{self._cgroup}" -depth -type d -exec rmdir {{}} +'
        for _turn in range(100):
            command = ["unshare", "--mount", "sh", "-c", tidy, "sh", str(self.root / "sys")]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)
        shutil.rmtree(self.root, ignore_errors=True)

    def _find_init(self) -> int | None:
        """Return systemd's process id out here: it is the last in a line of only children."""
        assert self._holder is not None
        if self._holder.poll() is not None:
            raise AssertionError(f"the container did not start: {(self.root / 'boot.log').read_text()}")
        pid = self._holder.pid
        while True:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            if name == "systemd":
                return pid
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            if not children:
                return None
            pid = int(children[0])

    def _is_up(self) -> str | None:
        state = self.run("systemctl", "is-system-running", check=False).strip()
        return state if state in {"starting", "running", "degraded"} else None

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command inside, as root, and return what it printed."""
        enter = ["nsenter", f"--target={self._init}", "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd=/"]
        clean = ["env", "-i", "PATH=/opt/clues/bin:/usr/sbin:/usr/bin", "LANG=C.UTF-8"]
        done = subprocess.run([*enter, *clean, *command], capture_output=True, text=True, check=False, timeout=60)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def show(self, unit: str, *names: str) -> list[str]:
        """Return properties of a unit."""
        said = self.run("systemctl", "show", unit, *(f"--property={name}" for name in names))
        found = dict(line.split("=", 1) for line in said.splitlines())
        return [found[name] for name in names]

    def journal(self, unit: str) -> str:
        """Return what a unit and systemd said about it."""
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit, check=False)

    def wait_for(self, what: str, condition: Callable[[], T | None], timeout: float, units: Sequence[str] = ()) -> T:
        """Ask *condition* until it gives something true, with a deadline."""
        deadline = time.monotonic() + timeout
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() > deadline:
                told = "\n".join(f"--- {unit}\n{self.journal(unit)[-3000:]}" for unit in units)
                raise AssertionError(f"waited {timeout:g} s for {what}\n{told}")
            time.sleep(0.1)
