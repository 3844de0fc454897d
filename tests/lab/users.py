"""A lab cluster with several users: each daemon runs as whom it runs as on a real machine, and each job as its own.

The front-end knows more users than the VMs' image does. The private /etc of the sandbox is the front-end's; the image
has a ``passwd`` and ``group`` of its own. It needs a sandbox with a range of user ids (``--ids``).
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.local import sandbox
from tests.lab.cluster import Cluster
from tests.lab.frontend import FrontEnd, LabError
from tests.lab.topology import Plan

SLURM_UID, MUNGE_UID = 64030, 115

#: What the image has: munge under another number than on the front-end, and a user of its own.
IMAGE = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\n"
    "munge:x:117:117::/nonexistent:/usr/sbin/nologin\n"
    "debian:x:1500:1500:of the image:/home/debian:/bin/bash\n"
    "local:x:2100:2100:of the image:/home/local:/bin/bash\n"
    "slurm:x:{slurm}:{slurm}::/nonexistent:/usr/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "group": "root:x:0:\nmunge:x:117:\nslurm:x:{slurm}:\ndebian:x:1500:\nlocal:x:2100:\nnogroup:x:65534:\n",
}


def why_not() -> str:
    """Why there can be no several users here, with the cure; empty where there can."""
    found = sandbox.user_ids()
    if found > SLURM_UID:
        return ""
    return (
        f"this sandbox has {found} user id(s), and jobs of several users want 65536: enter it with "
        f"`python -m connectors.local.sandbox --ids -- ...`, and for that {sandbox.CURE}"
    )


@dataclass(frozen=True, slots=True)
class User:
    """Somebody on the front-end."""

    name: str
    uid: int
    gid: int
    home: Path

    @property
    def line(self) -> str:
        """The line in passwd."""
        return f"{self.name}:x:{self.uid}:{self.gid}:{self.name.title()} of the lab:{self.home}:/bin/sh\n"


class Book:
    """The users and groups of the front-end: the sandbox's /etc. At the end it is as it was before."""

    def __init__(self) -> None:
        self._before = {name: Path("/etc", name).read_text() for name in ("passwd", "group")}
        self._now = dict(self._before)

    def add(self, name: str, *lines: str) -> None:
        """Add lines to ``passwd`` or ``group``."""
        self._write(name, self._now[name] + "".join(lines))

    def remove(self, name: str, line: str) -> None:
        """Take a line out of ``passwd`` or ``group``."""
        self._write(name, self._now[name].replace(line, ""))

    @contextmanager
    def lost(self) -> Iterator[None]:
        """/etc/passwd is empty, as where a directory does not answer."""
        Path("/etc/passwd").rename("/etc/passwd.kept")
        Path("/etc/passwd").touch()
        try:
            yield
        finally:
            Path("/etc/passwd.kept").rename("/etc/passwd")

    def restore(self) -> None:
        """Put back what was there."""
        for name, text in self._before.items():
            self._write(name, text)

    def _write(self, name: str, text: str) -> None:
        new = Path("/etc", f"{name}.new")
        new.write_text(text)
        new.replace(Path("/etc", name))
        self._now[name] = text


def as_account(name: str, argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` as a user of the front-end, with all of their groups."""
    return ["setpriv", f"--reuid={name}", f"--regid={name}", "--init-groups", "--", *argv]


class UsersFrontEnd(FrontEnd):
    """slurmctld runs as slurm, munged as munge."""

    def __init__(self, folder: Path, *, extra_conf: str = "", **options: Any) -> None:
        super().__init__(folder, extra_conf=f"{extra_conf}\nSlurmUser=slurm\nSlurmdUser=root\n", **options)

    def start(self, timeout: float = 20.0) -> None:
        """Give the folders to whom they belong, and start."""
        self.run_folder.chmod(0o1777)
        for name, mode, user in (("etc", 0o755, 0), ("log", 0o1777, 0), ("state", 0o700, SLURM_UID)):
            path = self.folder / name
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(mode)
            os.chown(path, user, user)
        key = self.folder / "etc" / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        os.chown(key, MUNGE_UID, MUNGE_UID)
        super().start(timeout)

    def as_user(self, argv: Sequence[str]) -> list[str]:
        return as_account("slurm", argv)

    def as_daemon(self, argv: Sequence[str]) -> list[str]:
        return as_account("munge" if argv[0] == "munged" else "slurm", argv)


class UsersCluster(Cluster):
    """A lab cluster in which users exist on the front-end only. *slurm_uid*: what the image says of slurm."""

    front_end = UsersFrontEnd

    def __init__(self, folder: Path, plan: Plan, *, export: bool = True, slurm_uid: int = SLURM_UID) -> None:
        image = folder / "image"
        image.mkdir(parents=True)
        for name, text in IMAGE.items():
            (image / name).write_text(text.format(slurm=slurm_uid))
        plan.site = {**plan.site, "accounts": str(image)}
        super().__init__(folder, plan)
        for path in (folder, *folder.parents):
            if path != Path("/tmp") and path.is_relative_to("/tmp"):  # the sandbox's own
                path.chmod(path.stat().st_mode | 0o011)
        self.export = export
        self.book = Book()
        self.users: dict[str, User] = {}
        service = ":/nonexistent:/usr/sbin/nologin\n"
        self.book.add(
            "passwd", f"slurm:x:{SLURM_UID}:{SLURM_UID}:{service}", f"munge:x:{MUNGE_UID}:{MUNGE_UID}:{service}"
        )
        self.book.add("group", f"slurm:x:{SLURM_UID}:\n", f"munge:x:{MUNGE_UID}:\n")

    def stop(self) -> None:
        """Stop, and forget the users."""
        super().stop()
        self.book.restore()

    def document(self) -> dict[str, Any]:
        """The configuration as a mapping."""
        return super().document() | {"accounts": {"export": self.export, "uids": "2000-64999"}}

    def add_user(self, name: str, uid: int, gid: int, *groups: str) -> User:
        """Add a user with a home, as useradd would; *groups*: lines of group for them to be in."""
        user = User(name, uid, gid, self.home / name)
        user.home.mkdir(parents=True, exist_ok=True)
        os.chown(user.home, uid, gid)
        user.home.chmod(0o700)
        self.book.add("group", *groups)
        self.book.add("passwd", user.line)
        self.users[name] = user
        return user

    def submit(self, user: User, script: str, *options: str) -> int:
        """Submit a job as that user, from their home; its id."""
        words = ["setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--init-groups", "--"]
        done = subprocess.run(
            [*words, "sbatch", "--parsable", "--time=5", *options],
            input=f"#!/bin/sh\n{script}\n",
            capture_output=True,
            text=True,
            timeout=15,
            cwd=user.home,
            env={**self.front.env, "HOME": str(user.home), "USER": user.name, "LOGNAME": user.name},
        )
        if done.returncode != 0:
            raise LabError(f"sbatch: {done.stderr.strip()}")
        return int(done.stdout.strip())

    def output(self, user: User, job: int) -> dict[str, str]:
        """What a job wrote as NAME=VALUE lines."""
        lines = (user.home / f"slurm-{job}.out").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)
