"""Writes the lock: ``./dev lock`` takes in what ``pyproject.toml`` wants now, with ``--upgrade`` newer releases, too.

uv resolves, with the hashes of all files that a release has. Without ``--upgrade`` the versions that are locked stay.
Neither an index's host nor a path of this machine is written.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from package.locked import BACKENDS, BUILD, CLUES, CONSTRAINTS, DEV, ROOT, faults, pins

#: The oldest Python that clues runs on, and what front-ends run.
TARGET = ("--python-version", "3.11", "--python-platform", "x86_64-unknown-linux-gnu")
HEADER = "# Written by `./dev lock`: what is installed, by release and by the SHA-256 of its files.\n"
CONSTRAINTS_HEADER = """\
# The release of each package, as `lock/dev.txt` has it with hashes. Written by `./dev lock`: after a change of the
# dependencies in pyproject.toml, or with `--upgrade` to take newer releases; then `./dev test`.
"""


def compile_(sources: list[str], stdin: str, upgrade: bool) -> str:
    """Return the lock of *sources* and of the requirements in *stdin*.

    :raises SystemExit: it cannot be resolved, or a release of it was yanked by its makers.
    """
    command = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-emit-index-url", "--generate-hashes", *TARGET]
    command += [] if upgrade else ["--constraint", CONSTRAINTS]
    done = subprocess.run([*command, *sources, "-"], input=stdin, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode or "yanked" in done.stderr:
        sys.exit(f"lock: {done.stderr}")
    text = re.sub(r"^ +# (via|  ) ?-c .*\n", "", done.stdout, flags=re.MULTILINE)
    return re.sub(r"^    # via\n(?! +#  )", "", text, flags=re.MULTILINE)


def main() -> None:
    """Write all files of the lock."""
    upgrade = sys.argv[1:] == ["--upgrade"]
    if sys.argv[1:] and not upgrade:
        sys.exit("usage: ./dev lock [--upgrade]")
    backends = "\n".join(BACKENDS)
    dev = compile_(["pyproject.toml", "--extra", "dev"], backends, upgrade)
    (ROOT / CONSTRAINTS).write_text(CONSTRAINTS_HEADER + "".join(f"{one.name}=={one.version}\n" for one in pins(dev)))
    for file, text in (
        (DEV, dev),
        (CLUES, compile_(["pyproject.toml"], "", False)),
        (BUILD, compile_([], backends, False)),
    ):
        path = Path(ROOT, file)
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEADER + text)
    if wrong := faults():
        sys.exit("\n".join(["lock: it was written, and does not hold:", *wrong]))
    print("lock:", ", ".join((DEV, CLUES, BUILD, CONSTRAINTS)))


if __name__ == "__main__":
    main()
