"""Workers with hooks and a short patience, for the tests of a worker's boot and of its end."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from connectors.local import machine
from tests.lab.cluster import Cluster

#: scratch of a worker, made by its hook: in a folder of each VM's own
SCRATCH = "/var/tmp/clues-scratch"

_SCRIPTS = {
    "scratch": f"mkdir -m 1777 {SCRATCH}\necho {SCRATCH} >/etc/clues/scratch\necho $CLUES_NODE >{SCRATCH}/made-for",
    "apps": "echo no such repository >&2\nexit 3",
}


def workers_section(folder: Path, dead_man: str) -> dict[str, Any]:
    """Write two hooks, of which the second fails; return what the configuration says of them."""
    folder.mkdir(exist_ok=True)
    for name, script in _SCRIPTS.items():
        (folder / f"{name}.sh").write_text(f"#!/bin/sh\nset -e\n{script}\n")
    hooks = [str(folder / "scratch.sh"), {"file": str(folder / "apps.sh"), "required": False}]
    return {"hooks": hooks, "dead_man": dead_man}


def only_vm(cluster: Cluster, site: str = "cesnet") -> Path:
    """The folder of a site's one VM."""
    (name,) = cluster.processes(site)
    return next(one for one in (cluster.folder / "sites" / site).rglob(name) if one.is_dir())


def run_inside(vm: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a VM as its root."""
    process = machine.process_of(vm)
    assert process is not None
    words = ["nsenter", f"--target={process.pid}", "--net", "--mount", "--pid", "--uts", "--ipc", "--", *argv]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=20)
