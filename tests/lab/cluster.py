"""A whole elastic cluster in the sandbox: a private Slurm front-end, cluesd, and two sites of the local connector.

The demo, the real tests and the benchmarks all run this. The daemon is a process of its own, so that a test can kill it
and start it again; Slurm's configuration is what `clues slurm-config` prints, included as a site would include it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from clues.cli.client import Client
from clues.cli.errors import CliError
from clues.config import load
from clues.ledger import Ledger, open_ledger
from clues.model import Claim
from clues.offline import build_lrms
from clues.registry import find_plugins
from connectors.local import machine
from connectors.local.faults import Faults
from connectors.local.store import Store
from lrms.slurm.fragment import GRES_FILE, SLURM_FILE
from tests.lab.frontend import FrontEnd, LabError, free_port, wait_for

#: What the lab's Slurm needs beside the fragment of clues: quick, and every path the same on the front-end and on VMs.
SLURM_EXTRA = """
AuthInfo=cred_expire=5
SlurmdSpoolDir=/var/spool/slurmd
SlurmdLogFile=/var/log/slurmd.log
SlurmdPidFile=/run/slurmd.pid
DefMemPerCPU=256
"""

FLAVORS = {
    "small": {"cpus": 4, "memory": "4GiB"},
    "gpu.small": {"cpus": 4, "memory": "4GiB", "gpus": "a10:1"},
}


@dataclass
class Plan:
    """What differs from one lab cluster to the next; the defaults are the demo's."""

    boot_time: str = "0s"
    idle: str = "4s"
    vms: Mapping[str, int] = field(default_factory=lambda: {"cesnet": 5, "upv": 4})
    cpu_nodes: str = "cpu-[01-08]"
    gpu_nodes: str = "gpu-[01-02]"
    pace: Mapping[str, Any] = field(default_factory=dict)
    pool: Mapping[str, Any] = field(default_factory=dict)
    site: Mapping[str, Any] = field(default_factory=dict)
    #: lines of slurm.conf behind the fragment, where a site has its own nodes; the last value of a key counts
    slurm_conf: str = ""


PACE = {
    "look": "3s",
    "listing": "3s",
    "look_busy": "500ms",
    "listing_busy": "1s",
    "poke": "500ms",
    "retry_offer": "3s",
    "retry_offer_longest": "20s",
    "vanished_after": "3s",
    "quarantine": "5s",
    "misread_after": "20s",
}


class Cluster:
    """Front-end, sites and daemon in one folder. A context manager: at the end nothing of it runs."""

    def __init__(self, folder: Path, plan: Plan | None = None) -> None:
        self.folder, self.plan = folder.resolve(), plan or Plan()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.home = self.folder / "front" / "home"
        self.state = self.folder / "state"
        self.config = self.folder / "clues.yaml"
        self.socket = Path("/run/clues") / f"{os.getpid()}-{self.folder.name}.sock"
        self.socket.parent.mkdir(exist_ok=True)
        self.client = Client(str(self.socket))
        self.front = FrontEnd(self.folder / "front", nodes_conf="", extra_conf=SLURM_EXTRA)
        self._daemon: subprocess.Popen[bytes] | None = None
        self._enrolment_port = 0

    # --- life ---

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, *, daemon: bool = True) -> None:
        """Start the front-end and, with *daemon*, cluesd; wait until every node is closed."""
        self.home.mkdir(parents=True, exist_ok=True)
        _default_munge_socket(self.front)
        self.front.choose_ports()
        self._enrolment_port = free_port(self.front.address)
        self.write_config()
        self.use_fragment()
        self.front.start()
        if daemon:
            self.start_daemon()
            self.wait_closed()

    def stop(self) -> None:
        """Stop the daemon, end every VM, stop Slurm."""
        self.stop_daemon()
        for site in self.plan.vms:
            for process in self.processes(site).values():
                os.kill(process.pid, signal.SIGKILL)
        self.front.stop()

    # --- configuration ---

    def write_config(self, **changes: Any) -> None:
        """Write clues.yaml; *changes* replace top-level keys."""
        document = self.document() | changes
        self.config.write_text(yaml.safe_dump(document, sort_keys=False))

    def document(self) -> dict[str, Any]:
        """The configuration as a mapping."""
        plan, front = self.plan, self.front
        controller_port, _ = front.choose_ports()
        sites = {
            site: {
                "connector": "local",
                "network": f"10.77.{number}.0/24",
                "folder": str(self.folder / "sites" / site),
                "flavors": {name: dict(flavor) for name, flavor in FLAVORS.items()},
                "shared": [str(self.home)],
                "boot_time": plan.boot_time,
                "limits": {"vms": vms},
                **deepcopy(dict(plan.site)),
            }
            for number, (site, vms) in enumerate(plan.vms.items(), start=1)
        }
        both = list(plan.vms)
        shape = {"cpus": 4, "memory": "2GiB"}
        return {
            "cluster": "demo",
            "state": str(self.state),
            "socket": str(self.socket),
            "overlay": {"network": "10.77.0.0/16", "public": front.address},
            "enrolment": {
                "listen": f"{front.address}:{self._enrolment_port}",
                "address": f"{front.address}:{self._enrolment_port}",
            },
            "lrms": {
                "conf": str(front.plain / "etc" / "slurm.conf"),
                "munge_key": str(front.folder / "etc" / "munge.key"),
                "slurmctld": f"{front.address}:{controller_port}",
                "default_partition": "cpu",
                # pretended GPUs: slurmd wants a device file for each
                "gpu_devices": ["/dev/null", "/dev/zero"],
            },
            "sites": sites,
            "pools": {
                "cpu": {
                    "nodes": plan.cpu_nodes,
                    "shape": shape,
                    "idle": plan.idle,
                    "offers": [{"site": site, "flavor": "small", "image": "here"} for site in both],
                    **deepcopy(dict(plan.pool)),
                },
                "gpu": {
                    "nodes": plan.gpu_nodes,
                    "shape": {**shape, "gpus": "a10:1"},
                    "idle": plan.idle,
                    "offers": [{"site": site, "flavor": "gpu.small", "image": "here"} for site in reversed(both)],
                    **deepcopy(dict(plan.pool)),
                },
            },
            "pace": {**PACE, **plan.pace},
        }

    def use_fragment(self) -> None:
        """Give Slurm what `clues slurm-config` prints; it reads that at its next start."""
        loaded = load(self.config, find_plugins())
        files = build_lrms(loaded, "").render_config(loaded.settings)
        self.front.nodes_conf = files[SLURM_FILE] + self.plan.slurm_conf
        self.front.gres_conf = files[GRES_FILE]

    # --- the daemon ---

    def start_daemon(self, command: Sequence[str] = ("-m", "clues.main"), env: Mapping[str, str] | None = None) -> None:
        """Start cluesd and wait until it answers."""
        self.launch_daemon(command, env)
        wait_for("cluesd to answer", self._answers, 20, lambda: self.daemon_log(30))

    def launch_daemon(
        self, command: Sequence[str] = ("-m", "clues.main"), env: Mapping[str, str] | None = None
    ) -> None:
        """Start cluesd without waiting for anything."""
        words = [sys.executable, *command, "--config", str(self.config)]
        environment = {**os.environ, **(env or {})}
        with (self.folder / "cluesd.log").open("ab") as log:
            self._daemon = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    def stop_daemon(self, how: signal.Signals = signal.SIGTERM, timeout: float = 20) -> int | None:
        """End cluesd with a signal; its exit code, None if it was not running."""
        daemon, self._daemon = self._daemon, None
        if daemon is None:
            return None
        if daemon.poll() is None:
            daemon.send_signal(how)
        try:
            return daemon.wait(timeout)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
            raise LabError(f"cluesd did not end:\n{self.daemon_log(30)}") from None

    def signal_daemon(self, number: signal.Signals) -> None:
        """Send cluesd a signal (SIGHUP, SIGSTOP, ...)."""
        assert self._daemon is not None
        self._daemon.send_signal(number)

    @property
    def daemon_ended(self) -> bool:
        """Whether the daemon's process has ended (or was never started)."""
        return self._daemon is None or self._daemon.poll() is not None

    def daemon_log(self, lines: int = 40) -> str:
        """The end of cluesd's log."""
        path = self.folder / "cluesd.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def _answers(self) -> bool | None:
        if self.daemon_ended:
            raise LabError(f"cluesd ended:\n{self.daemon_log(30)}")
        try:
            return True if self.get("status") else None
        except CliError:
            return None

    # --- looking ---

    def get(self, path: str, **query: str | int | float) -> Any:
        """The JSON that the API answers."""
        return json.loads(self.client.get(path, list(query.items())))

    def post(self, path: str, body: object = None) -> Any:
        """Send the API an order."""
        return json.loads(self.client.post(path, body))

    def nodes(self) -> dict[str, dict[str, Any]]:
        """All pool nodes as the API shows them."""
        return {node["name"]: node for node in self.get("nodes")["nodes"]}

    def wait_closed(self, timeout: float = 30) -> None:
        """Wait until Slurm keeps every pool node closed."""

        def closed() -> bool | None:
            nodes = self.nodes()
            return True if nodes and all("DRAIN" in node["slurm"] for node in nodes.values()) else None

        wait_for("all nodes to be closed", closed, timeout, lambda: self.daemon_log(20))

    def wait_empty(self, timeout: float = 60) -> None:
        """Wait until no node has a VM, in the daemon's view and in truth."""

        def empty() -> bool | None:
            gone = all(node["state"] == "off" for node in self.nodes().values())
            return True if gone and not self.living() else None

        wait_for(
            "the cluster to be empty", empty, timeout, lambda: [n for n in self.nodes().values() if n["state"] != "off"]
        )

    def living(self) -> list[str]:
        """Instances that really live, at all sites, by asking the sites' own folders."""
        return [f"{site}/{name}" for site in self.plan.vms for name in self.processes(site)]

    def processes(self, site: str) -> dict[str, machine.Process]:
        """The living VMs of a site by their instance id, whoever's they are: by their processes, not by any record."""
        found = {}
        for folder in Store(self.folder / "sites" / site).vm_folders():
            process = machine.process_of(folder)
            if process is not None and process.lives():
                found[folder.name] = process
        return found

    def pull_the_plug(self, site: str, instance_id: str) -> None:
        """End a VM as a power failure does, behind the connector's back."""
        os.kill(self.processes(site)[instance_id].pid, signal.SIGKILL)

    def faults(self, site: str) -> Faults:
        """A site's programmed faults."""
        return Faults(self.folder / "sites" / site)

    def calls(self, site: str) -> list[dict[str, Any]]:
        """Every call that the site's connector got, with its time."""
        path = self.folder / "sites" / site / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def ledger(self) -> Ledger:
        """The daemon's ledger, opened beside it; close it."""
        return open_ledger(self.state / "ledger.db")

    def claims(self) -> list[Claim]:
        """Every claim that there ever was."""
        ledger = self.ledger()
        try:
            return list(ledger.all_claims())
        finally:
            ledger.close()


def _default_munge_socket(front: FrontEnd) -> None:
    """Commands without AuthInfo's socket look for the default one: link it to the lab's."""
    default = Path("/run/munge/munge.socket.2")
    default.parent.mkdir(exist_ok=True)
    default.unlink(missing_ok=True)
    default.symlink_to(front.run_folder / "munge.sock")
