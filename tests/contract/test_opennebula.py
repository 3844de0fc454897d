"""The connector to OpenNebula keeps the contract on the wire, with the manners of 6.10 and of 7.4."""

from __future__ import annotations

import xmlrpc.client
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from clues.model import Instance, InstanceState, Kind, LaunchRequest, Offer, Resources
from clues.ports import PluginContext
from clues.testing.wire import FaultyProxy
from clues.testing.wire_contract import WireContract
from clues.testing.wire_faults import WireFault
from connectors.opennebula.connector import OpenNebulaConnector
from connectors.opennebula.plugin import PLUGIN
from tests.lab.opennebula import Cloud, Emulator
from tests.lab.opennebula.machine import LCM_STATES
from tests.lab.opennebula.template import Template

PASSWORD = "s3cret:with colon"
FOREIGN = Template([("DESCRIPTION", "not yours")])

#: How each is called in a request.
METHODS = {
    "list": "one.vmpool.infoextended",
    "launch": "one.template.instantiate",
    "terminate": "one.vm.action",
    "quota": "one.user.info",
}


def refusal(code: int, words: str) -> WireFault:
    """Return how OpenNebula refuses."""
    body = xmlrpc.client.dumps(([False, words, code, -1, -1],), methodresponse=True)
    return WireFault.status(200, body, "text/xml", says=words)


class Site:
    """The emulator behind a proxy, with an account that may have four VMs."""

    name = "upv"
    QUOTA_VMS: ClassVar[int] = 4
    ERRORS: ClassVar[dict[str, tuple[str, ...]]] = {
        "launch": ("no-capacity", "quota", "throttled", "auth", "transient", "invalid", "unknown-outcome"),
        "list": ("auth", "throttled", "transient"),
        "terminate": ("auth", "throttled", "transient", "unknown-outcome"),
        "quota": ("auth", "throttled", "transient"),
    }
    REFUSALS: ClassVar[dict[str, WireFault]] = {
        "no-capacity": refusal(0x4000, "[one.template.instantiate] Cannot get IP/MAC lease from virtual network 1."),
        "quota": refusal(0x200, "[one.template.instantiate] group [100] limit of 4 reached for VMS quota in VM."),
        "auth": refusal(0x200, "[one.vm] User [2] : Not authorized to perform MANAGE VM [17]."),
        "throttled": WireFault.TOO_MANY,
        "transient": refusal(0x800, "[one.vm.action] This action is not available for state BOOT"),
        "invalid": refusal(0x4000, "[one.template.instantiate] Image with ID: 99 does not exist"),
        "unknown-outcome": WireFault.LOST_REPLY,
    }

    def __init__(self, folder: Path, version: str, *, token: bool) -> None:
        # no step takes any time
        self.cloud = Cloud(version, pace=0.0)
        user = self.cloud.users[2]
        user.quotas.limit("VMS", self.QUOTA_VMS)
        secret = PASSWORD
        if token:
            secret = "0c7ad1e5ab0e4b0fbe7d2f0d9e1a6b2c"
            user.tokens[secret] = int(self.cloud.now()) + 7 * 86400
        self.secrets = (secret,)
        self.file = folder / "one_auth"
        self.file.touch(mode=0o600)
        self.file.write_text(f"{user.name}:{secret}\n")
        self.emulator = Emulator(self.cloud)
        self.wire = FaultyProxy(self.emulator.url)

    def __enter__(self) -> Site:
        self.emulator.__enter__()
        self.wire.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.stop()
        self.emulator.__exit__()

    # --- every connector ------------------------------------------------------------------------------------------

    def _connect(self, cluster: str, timeout: str) -> OpenNebulaConnector:
        config = {
            "endpoint": self.wire.url + "/RPC2",
            "credentials": str(self.file),
            "network": "10.77.2.0/24",
            "currency": "EUR",
            "timeout": timeout,
            "calls_per_second": 1000.0,
        }
        context = PluginContext(cluster, self.name, self.file.parent)
        # no VM boots here for any time; that an end is tried again meanwhile has a test of its own
        return OpenNebulaConnector(PLUGIN.Config.model_validate(config), context, boot_patience=0.0)

    def connect(self, cluster: str) -> OpenNebulaConnector:
        return self._connect(cluster, "20s")

    def impatient(self, cluster: str) -> OpenNebulaConnector:
        return self._connect(cluster, "1s")

    def request(self, cluster: str, number: int) -> LaunchRequest:
        return LaunchRequest(
            cluster=cluster,
            launch_key=f"key-{cluster[-1]}-{number}",
            kind=Kind.WORKER,
            node=f"cpu-{number:03}",
            pool="cpu",
            generation=1,
            offer=Offer(self.name, "priced", "clues-worker"),
            shape=Resources(4, 8192),
            user_data='#!/bin/sh\n[ "$HOME" ] && echo "it\'s $NAME]"\n',
            address=f"10.77.2.{10 + number}",
        )

    def fail_next(self, op: str, code: str) -> None:
        twice = code == "auth"  # the connector reads its credentials again, and tries once more
        self.wire.next(self.REFUSALS[code], lambda *request: self.is_op(op, *request), times=2 if twice else 1)

    def pull_the_plug(self, instance: Instance) -> None:
        self.cloud.set_state(int(instance.id), "POWEROFF")

    def public_bytes(self) -> Iterable[tuple[str, bytes]]:
        for path in self.file.parent.rglob("*"):
            if path.is_file() and path.stat().st_mode & 0o077:
                yield str(path), path.read_bytes()
        for machine in self.cloud.machines.values():
            yield machine.name, machine.user_template.xml().encode()

    # --- over HTTP ------------------------------------------------------------------------------------------------

    def is_op(self, op: str, method: str, path: str, body: bytes) -> bool:
        return f"<methodName>{METHODS[op]}</methodName>".encode() in body

    def add_foreign(self, like: LaunchRequest) -> str:
        return str(self.cloud.add_machine(self.cloud.users[2], like.node, FOREIGN.copy()).id)

    def foreign_is_untouched(self, instance_id: str) -> bool:
        machine = self.cloud.machines[int(instance_id)]
        return self.cloud.state_of(machine.id) == "RUNNING" and machine.user_template.pairs == FOREIGN.pairs

    def strip_tags(self, instance: Instance) -> None:
        self.cloud.machines[int(instance.id)].user_template = Template()

    def transient_states(self) -> Mapping[str, InstanceState]:
        failures = {name: InstanceState.ERROR for name in LCM_STATES if name.endswith("_FAILURE")}
        return failures | {
            "PENDING": InstanceState.PENDING,
            "HOLD": InstanceState.STOPPED,
            "LCM_INIT": InstanceState.PENDING,
            "PROLOG": InstanceState.PENDING,
            "BOOT": InstanceState.PENDING,
            "SHUTDOWN": InstanceState.STOPPING,
            "EPILOG": InstanceState.STOPPING,
            "CLEANUP_DELETE": InstanceState.STOPPING,
            "MIGRATE": InstanceState.RUNNING,
            "SUSPENDED": InstanceState.STOPPED,
            "UNKNOWN": InstanceState.UNKNOWN,
            "CLONING_FAILURE": InstanceState.ERROR,
            "3/99": InstanceState.UNKNOWN,
            "7/0": InstanceState.UNKNOWN,
        }

    def put_in_state(self, instance: Instance, state: str) -> None:
        machine = self.cloud.machines[int(instance.id)]
        if state:
            self.cloud.set_state(machine.id, state)
        elif not machine.done:
            self.cloud.set_state(machine.id, "RUNNING")
            machine.stuck = False

    def refuse_terminate(self, times: int) -> None:
        self.cloud.terminates_refused = times

    def ignore_terminate(self, times: int) -> None:
        self.cloud.terminates_ignored = times

    def list_twice(self) -> None:
        self.cloud.listed_twice = True

    def hostile_names(self) -> None:
        odd = "\x1b[2J\r\n\x00'\";]]><script>&#0;&lt;%s{}\u202e" + "x" * 10_000
        for machine in self.cloud.machines.values():
            machine.name = odd
            for name in ("DESCRIPTION", "ERROR", "SCHED_MESSAGE"):
                machine.user_template.put(name, odd)
            for nic in machine.template.vectors("NIC"):
                nic |= {"IP": "10.0.0.1\x1b]0;owned\x07", "MAC": odd}

    def alive(self) -> int:
        self.cloud.catch_up()
        return self.cloud.alive()


class _OpenNebulaContract(WireContract):
    FORMAT = "xml"
    QUOTA_VMS = Site.QUOTA_VMS
    TELLS_CONSOLE = False
    SHOWS_ENDED = False
    ERRORS = Site.ERRORS
    UNAUTHORIZED = refusal(0x100, "[one.x] User couldn't be authenticated, aborting call.")


class TestOpenNebula610(_OpenNebulaContract):
    @pytest.fixture
    def site(self, tmp_path: Path) -> Iterator[Site]:
        with Site(tmp_path, "6.10.0", token=False) as site:
            yield site


class TestOpenNebula74(_OpenNebulaContract):
    CREDENTIALS_END = True

    @pytest.fixture
    def site(self, tmp_path: Path) -> Iterator[Site]:
        with Site(tmp_path, "7.4.0", token=True) as site:
            yield site
