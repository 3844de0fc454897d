"""A local site that tests can handle from behind: the connector's own, with its folder, its faults and its VMs."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from clues.model import Instance, Kind, LaunchRequest, Offer, Resources
from clues.ports import PluginContext
from clues.testing.connector_contract import OURS, THEIRS
from connectors.local import PLUGIN, machine
from connectors.local.connector import LocalConnector
from connectors.local.faults import Faults

FAULT_OF = {
    "no-capacity": "no-capacity",
    "quota": "quota",
    "auth": "auth",
    "throttled": "throttled",
    "transient": "api-error",
    "unknown-outcome": "timeout-after-effect",
}


class LocalSite:
    """A site in a folder of its own, with a quota of four VMs. Clear it at the end."""

    name = "here"

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder / "site"
        self.state = folder / "state"
        flavors = {
            "small": {"cpus": 2, "memory": "2GiB", "price": "0.05 EUR"},
            "gpu": {"cpus": 4, "memory": "8GiB", "gpus": "a10:2", "price": "0.90 EUR"},
        }
        self.config = PLUGIN.Config.model_validate(
            {"folder": self.folder, "flavors": flavors, "quota": {"vms": 4}, "show_ended": "60s", **settings}
        )
        self.faults = Faults(self.folder)

    def connect(self, cluster: str) -> LocalConnector:
        return PLUGIN.build(self.config, PluginContext(cluster, self.name, self.state))

    def request(
        self, cluster: str, number: int, user_data: str = "#!/bin/sh\n", flavor: str = "small"
    ) -> LaunchRequest:
        offer = Offer(self.name, flavor, "an-image")
        return LaunchRequest(
            cluster=cluster,
            launch_key=f"key-{cluster[-1]}-{number}",
            kind=Kind.WORKER,
            node=f"node-{number}",
            pool="pool",
            generation=1,
            offer=offer,
            shape=Resources(1, 1024),
            user_data=user_data,
            address=f"10.77.1.{10 + number}",
        )

    def fail_next(self, op: str, code: str) -> None:
        self.faults.add(op, FAULT_OF[code])

    def vm(self, instance: Instance) -> Path:
        return self.folder / "vms" / instance.id

    def console(self, instance: Instance) -> str:
        return (self.vm(instance) / "console.log").read_text()

    def process(self, instance: Instance) -> machine.Process:
        process = machine.process_of(self.vm(instance))
        assert process is not None
        return process

    def pull_the_plug(self, instance: Instance) -> None:
        os.kill(self.process(instance).pid, signal.SIGKILL)

    def public_bytes(self) -> Iterable[tuple[str, bytes]]:
        for path in self.folder.rglob("*"):
            # Others could only read what every folder on the way lets them; that is not counted upon here.
            if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077:
                yield str(path), path.read_bytes()
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                yield str(command), command.read_bytes()
                yield str(command.with_name("environ")), command.with_name("environ").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue

    def clear(self) -> None:
        self.faults.clear()
        for cluster in (OURS, THEIRS):
            connector = self.connect(cluster)
            for instance in connector.list_instances().instances:
                connector.terminate(instance.id)


def until(what: str, true: Callable[[], object], timeout: float = 20.0) -> None:
    """Wait until *true* is."""
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, f"waited {timeout:g} s for {what}"
        time.sleep(0.02)
