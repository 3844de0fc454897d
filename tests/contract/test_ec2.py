"""The connector of EC2 keeps the contract on the wire, against moto behind the lab's front (`tests/lab/aws`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs

import pytest

from clues.model import Instance, InstanceState, LaunchRequest
from clues.testing.wire import FaultyProxy, WireFault
from clues.testing.wire_contract import WireContract
from connectors.ec2.connector import Ec2Connector
from tests.lab.aws.answers import refusal
from tests.lab.aws.lab import KEYS, running
from tests.lab.aws.site import Account, config, connect, prepare, request, write_keys

#: EC2's refusals for what goes wrong in the contract
REFUSALS = {
    "no-capacity": "InsufficientInstanceCapacity",
    "quota": "VcpuLimitExceeded",
    "auth": "UnauthorizedOperation",
    "throttled": "RequestLimitExceeded",
    "invalid": "InvalidParameterValue",
}
ACTIONS = {"list": "DescribeInstances", "launch": "RunInstances", "terminate": "TerminateInstances"}


def wire_refusal(code: str) -> WireFault:
    """Return how AWS refuses, as a fault on the wire."""
    answer = refusal(code)
    return WireFault.status(answer.status, answer.body, answer.content_type, says=code)


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with running() as aws:
        yield prepare(aws)


class Site:
    """An account behind a proxy."""

    name = "aws"
    secrets = (KEYS[1],)

    def __init__(self, account: Account, folder: Path) -> None:
        self.account, self.aws, self.folder = account, account.aws, folder
        self.keys = write_keys(folder)
        self.aws.tell("reset")
        self.aws.tell("set", page=2)
        self.wire = FaultyProxy(self.aws.url)
        self.wire.start()
        self.strangers: dict[str, object] = {}

    def _connect(self, cluster: str, timeout: str) -> Ec2Connector:
        return connect(config(self.account, self.keys, self.wire.url, timeout=timeout), cluster)

    # --- every connector ------------------------------------------------------------------------------------------

    def connect(self, cluster: str) -> Ec2Connector:
        return self._connect(cluster, "20s")

    def request(self, cluster: str, number: int) -> LaunchRequest:
        return request(cluster, number)

    def fail_next(self, op: str, code: str) -> None:
        if code == "unknown-outcome":
            self.wire.next(WireFault.LOST_REPLY, lambda *asked: self.is_op(op, *asked))
            return
        aws = REFUSALS.get(code) or {"list": "InternalError"}.get(op, "IncorrectInstanceState")
        # keys that are refused are read anew, and the call is made once more
        for _ in range(2 if code == "auth" else 1):
            self.aws.tell("refuse", action=ACTIONS[op], code=aws, detail=True)

    def pull_the_plug(self, instance: Instance) -> None:
        self.aws.tell("state", instance_id=instance.id, state="stopped", code="Client.InstanceInitiatedShutdown")

    def public_bytes(self) -> Iterable[tuple[str, bytes]]:
        """URLs end in the logs of proxies."""
        yield "URLs", "\n".join(path for _, path, _ in self.wire.requests).encode()
        for path in self.folder.rglob("*"):
            if path.is_file() and path.stat().st_mode & 0o077:
                yield str(path), path.read_bytes()

    # --- on the wire ----------------------------------------------------------------------------------------------

    def impatient(self, cluster: str) -> Ec2Connector:
        return self._connect(cluster, "1s")

    def is_op(self, op: str, method: str, path: str, body: bytes) -> bool:
        form = parse_qs(body.decode("latin-1"))
        if form.get("Action") != [ACTIONS.get(op, "")]:
            return False
        # one VM is looked for by its id or its token
        return op != "list" or form.get("Filter.1.Name") == ["tag:clues-cluster"]

    def add_foreign(self, like: LaunchRequest) -> str:
        made = self.aws.client().run_instances(
            ImageId=self.account.image,
            InstanceType=like.offer.flavor,
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": like.node}]}],
        )
        instance_id = str(made["Instances"][0]["InstanceId"])
        self.strangers[instance_id] = self._shown(instance_id)
        return instance_id

    def foreign_is_untouched(self, instance_id: str) -> bool:
        return self._shown(instance_id) == self.strangers[instance_id]

    def strip_tags(self, instance: Instance) -> None:
        ec2 = self.aws.client()
        tags = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [instance.id]}])["Tags"]
        ec2.delete_tags(Resources=[instance.id], Tags=[{"Key": tag["Key"]} for tag in tags])

    def transient_states(self) -> Mapping[str, InstanceState]:
        return {
            "pending": InstanceState.PENDING,
            "stopping": InstanceState.STOPPED,
            "stopped": InstanceState.STOPPED,
            "shutting-down": InstanceState.STOPPING,
            "hibernating-in-spring": InstanceState.UNKNOWN,
        }

    def put_in_state(self, instance: Instance, state: str) -> None:
        self.aws.tell("state", instance_id=instance.id, state=state)

    def refuse_terminate(self, times: int) -> None:
        self.aws.tell("refuse", action="TerminateInstances", code="OperationNotPermitted", times=times)

    def ignore_terminate(self, times: int) -> None:
        self.aws.tell("set", ignore_terminate=times)

    def list_twice(self) -> None:
        self.aws.tell("set", twice=1)

    def hostile_names(self) -> None:
        hostile = "\t\n\x85\u202e\"'<script>&amp;]]>\u2028" + "x" * 10_000
        for instance_id in self.aws.tell("alive"):
            self.aws.tell("state", instance_id=instance_id, state="running", code="Server.Odd", message=hostile)
            self.aws.tell("tags", instance_id=instance_id, tags={"Name": hostile, "clues-odd": hostile})

    def alive(self) -> int:
        return len(self.aws.tell("alive"))

    def _shown(self, instance_id: str) -> object:
        told = self.aws.client().describe_instances(InstanceIds=[instance_id])
        instance = told["Reservations"][0]["Instances"][0]
        return {name: instance.get(name) for name in ("State", "Tags", "SecurityGroups", "SourceDestCheck")}


class TestEc2(WireContract):
    FORMAT: ClassVar[str] = "xml"
    PAGE_SIZE: ClassVar[int | None] = 2
    QUOTA_ON_WIRE: ClassVar[bool] = False
    BATCH: ClassVar[int] = 40
    UNAUTHORIZED: ClassVar[WireFault] = wire_refusal("AuthFailure")
    ERRORS: ClassVar[dict[str, tuple[str, ...]]] = {
        "launch": ("no-capacity", "quota", "auth", "throttled", "transient", "invalid", "unknown-outcome"),
        "list": ("auth", "throttled", "transient"),
        "terminate": ("auth", "throttled", "transient", "unknown-outcome"),
    }

    @pytest.fixture
    def site(self, account: Account, tmp_path: Path) -> Iterator[Site]:
        site = Site(account, tmp_path)
        yield site
        site.wire.stop()
