"""The second part of a VM's boot in a folder: the real script with its files, and an image of small programs."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from clues.bootstrap import boot
from clues.config import Workers
from clues.model import Claim
from tests.unit.builders import make_claim

#: what a VM's image has, beside the shell
TOOLS = "awk cat chmod chown date dmesg env grep head id mkdir mktemp mv rm sed sleep tail timeout tr umount".split()


@dataclass
class Booting:
    """A VM that has enrolled. ``root`` is its root folder, ``state`` where its plan and its log are."""

    root: Path
    claim: Claim

    @classmethod
    def make(cls, root: Path, workers: Workers | None = None, **claim: Any) -> Booting:
        """Lay it out as user-data would have."""
        vm = cls(root, make_claim(node="gpu-01", **claim))
        vm.program("etc/clues/start", 'echo "$*" >>"$CLUES_ROOT/started"')
        (root / "tools").mkdir()
        for tool in TOOLS:
            # Debian's own awk, where there is a choice: it is the strictest.
            found = (shutil.which("mawk") if tool == "awk" else None) or shutil.which(tool)
            (root / "tools" / tool).symlink_to(found or tool)
        (root / "tools" / "sh").symlink_to(shutil.which("dash") or "/bin/sh")
        vm.program("tools/nft", "exit 0")
        vm.program("tools/dmesg", "exit 0")
        vm.state.mkdir(parents=True)
        vm.give(workers or Workers())
        return vm

    @property
    def state(self) -> Path:
        return self.root / "var/lib/clues/key"

    def give(self, workers: Workers) -> None:
        """Write the files that the answer to its enrolment holds."""
        for path, mode, content in boot.boot(self.claim, workers, timedelta(minutes=5)).files:
            self.write(path.removeprefix("/"), content.decode(), mode)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def program(self, path: str, script: str) -> None:
        """Put a program somewhere."""
        self.write(path, f"#!/bin/sh\n{script}\n", 0o755)

    def run(self, *plan: str, timeout: float = 30) -> int:
        """Run the boot with this plan; return how it ended."""
        self.write("var/lib/clues/key/plan", "".join(f"{line}\n" for line in plan or ("service slurmd",)))
        for name in ("told", "step"):
            (self.state / name).unlink(missing_ok=True)
        with (self.state / "log").open("ab") as log, open(os.devnull, "wb") as console:  # noqa: PTH123
            ended = subprocess.run(
                ["sh", "-c", 'exec sh "$@" 3>&1', "sh", self.root / "etc/clues/boot", self.state],
                env={"PATH": str(self.root / "tools"), "CLUES_ROOT": str(self.root), "HOME": os.devnull},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=log,
                check=False,
                timeout=timeout,
            )
        return ended.returncode

    def read(self, path: str) -> str:
        file = self.root / path
        return file.read_text() if file.exists() else ""

    @property
    def log(self) -> str:
        return self.read("var/lib/clues/key/log")

    @property
    def told(self) -> list[str]:
        """What it would report when it has started."""
        return self.read("var/lib/clues/key/told").splitlines()

    @property
    def step(self) -> str:
        return self.read("var/lib/clues/key/step").strip()

    @property
    def started(self) -> list[str]:
        return self.read("started").splitlines()
