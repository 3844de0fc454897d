"""A whole elastic cluster in the sandbox: a private Slurm front-end, all processes of clues, and two sites.

The demo, the real tests and the benchmarks all run this. Each process is one of its own, so that a test can kill it and
start it again; Slurm's configuration is what `clues slurm-config` prints, included as a site would include it.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from clues.cli.client import Client
from clues.cli.errors import CliError
from clues.config import load
from clues.ledger import Ledger, open_ledger
from clues.model import Claim
from clues.offline import build_lrms
from clues.places import Places
from clues.registry import find_plugins
from connectors.local import machine
from connectors.local.faults import Faults
from connectors.local.store import Store
from lrms.slurm.fragment import GRES_FILE, SLURM_FILE
from tests.lab import topology
from tests.lab.frontend import FrontEnd, LabError, free_port, wait_for
from tests.lab.internet import Internet
from tests.lab.processes import Processes
from tests.lab.topology import Plan

__all__ = ["Cluster", "Plan"]

#: What the lab's Slurm needs beside the fragment of clues: quick, and every path the same on the front-end and on VMs.
SLURM_EXTRA = """
AuthInfo=cred_expire=5
SlurmdSpoolDir=/var/spool/slurmd
SlurmdLogFile=/var/log/slurmd.log
SlurmdPidFile=/run/slurmd.pid
DefMemPerCPU=256
"""


class Cluster:
    """Front-end, sites and processes in one folder. A context manager: at the end nothing of it runs."""

    #: what makes its Slurm
    front_end: type[FrontEnd] = FrontEnd

    def __init__(self, folder: Path, plan: Plan | None = None) -> None:
        self.folder, self.plan = folder.resolve(), plan or Plan()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.home = self.folder / "front" / "home"
        self.state = self.folder / "state"
        self.config = self.folder / "clues.yaml"
        self.socket = Path("/run/clues") / f"{os.getpid()}-{self.folder.name}.sock"
        self.socket.parent.mkdir(exist_ok=True)
        self.places = Places(self.state, self.socket)
        self.client = Client(str(self.socket))
        self.front = self.front_end(
            self.folder / "front", nodes_conf="", extra_conf=SLURM_EXTRA, prefix_length=self.plan.prefix_length
        )
        self._enrolment_port = 0
        self.daemons = Processes(
            self.folder, self.config, self.places, lambda: (self.front.address, self._enrolment_port)
        )
        self._ground = ExitStack()
        self._internet: Internet | None = None

    # --- life ---

    def __enter__(self) -> Cluster:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, *, daemon: bool = True) -> None:
        """Start everything (cluesd only with *daemon*); wait until every node is closed."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.places.requests.mkdir(parents=True, exist_ok=True)  # on a real front-end it is SlurmUser's
        _default_munge_socket(self.front)
        self.front.choose_ports()
        self._enrolment_port = free_port(self.front.address)
        if self.plan.overlay:
            self._internet = self._ground.enter_context(topology.internet(self._enrolment_port))
        self.write_config()
        self.use_fragment()
        for name in self.helpers:
            self.daemons.launch(name)
        self.front.start()
        if daemon:
            self.start_daemon()
            for name in self.helpers:
                self.daemons.wait(name)
            self.wait_closed()

    def stop(self) -> None:
        """Stop the processes, end every VM, stop Slurm."""
        self.stop_daemon()
        for site in self.plan.vms:
            for process in self.processes(site).values():
                os.kill(process.pid, signal.SIGKILL)
        self.daemons.stop_all(reversed(self.helpers))
        if self._internet is not None:
            self.daemons.remove_rules()
        self._ground.close()
        self.front.stop()

    @property
    def internet(self) -> Internet:
        """What the sites hang on, in a cluster with the overlay."""
        if self._internet is None:
            raise LabError("this cluster is flat: no internet is between its sites")
        return self._internet

    # --- configuration ---

    def write_config(self, **changes: Any) -> None:
        """Write clues.yaml; *changes* replace top-level keys."""
        document = self.document() | changes
        self.config.write_text(yaml.safe_dump(document, sort_keys=False))

    def document(self) -> dict[str, Any]:
        """The configuration as a mapping."""
        front = self.front
        controller_port, worker_port = front.choose_ports()
        return topology.document(
            self.plan,
            topology.Front(
                state=self.state,
                socket=self.socket,
                sites=self.folder / "sites",
                home=self.home,
                slurm_conf=front.plain / "etc" / "slurm.conf",
                munge_key=front.folder / "etc" / "munge.key",
                slurmctld_port=controller_port,
                slurmd_port=worker_port,
                enrolment_port=self._enrolment_port,
            ),
        )

    def use_fragment(self) -> None:
        """Give Slurm what `clues slurm-config` prints; it reads that at its next start."""
        loaded = load(self.config, find_plugins())
        files = build_lrms(loaded, "").render_config(loaded.settings)
        self.front.nodes_conf = files[SLURM_FILE] + self.plan.slurm_conf
        self.front.gres_conf = files[GRES_FILE]
        etc = self.front.folder / "etc"
        etc.mkdir(parents=True, exist_ok=True)
        for name in files.keys() - {SLURM_FILE, GRES_FILE}:  # programs of eager pools
            (etc / name).write_text(files[name])
            (etc / name).chmod(0o755)

    # --- the processes ---

    @property
    def helpers(self) -> tuple[str, ...]:
        """The processes that run beside cluesd."""
        return ("signer", "enrol", "hub", "broker") if self.plan.overlay else ("signer", "enrol")

    def start_process(self, name: str, env: Mapping[str, str] | None = None) -> None:
        """Start one of the processes and wait until it serves."""
        if name == "cluesd":
            self.start_daemon(env=env)
        else:
            self.daemons.launch(name, env=env)
            self.daemons.wait(name)

    def stop_process(self, name: str) -> None:
        """End one of the processes in order."""
        self.daemons.stop(name)

    def kill(self, name: str) -> None:
        """End one of the processes with kill -9."""
        self.daemons.stop(name, signal.SIGKILL)

    # --- cluesd ---

    def start_daemon(self, command: Sequence[str] = (), env: Mapping[str, str] | None = None) -> None:
        """Start cluesd and wait until it answers."""
        self.launch_daemon(command, env)
        wait_for("cluesd to answer", self._answers, 20, lambda: self.daemon_log(30))

    def launch_daemon(self, command: Sequence[str] = (), env: Mapping[str, str] | None = None) -> None:
        """Start cluesd without waiting for anything."""
        self.daemons.launch("cluesd", command, env)

    def stop_daemon(self, how: signal.Signals = signal.SIGTERM, timeout: float = 20) -> int | None:
        """End cluesd with a signal; its exit code, None if it was not running."""
        return self.daemons.stop("cluesd", how, timeout)

    def signal_daemon(self, number: signal.Signals) -> None:
        """Send cluesd a signal (SIGHUP, SIGSTOP, ...)."""
        self.daemons.signal("cluesd", number)

    @property
    def daemon_ended(self) -> bool:
        """Whether the daemon's process has ended (or was never started)."""
        return self.daemons.ended("cluesd")

    def daemon_log(self, lines: int = 40) -> str:
        """The end of cluesd's log."""
        return self.daemons.log("cluesd", lines)

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
        """Wait until Slurm keeps every pool node closed, and those of eager pools off and open."""

        def closed() -> bool | None:
            nodes = self.nodes().values()
            settled = all(("DRAIN" in node["slurm"]) is (node["pool"] not in self.plan.eager) for node in nodes)
            return True if nodes and settled else None

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
