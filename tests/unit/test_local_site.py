"""A local site's bookkeeping: configuration, records, admission, faults. No VM is started here."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from clues.errors import CloudError, InvalidRequest, NoCapacity, QuotaExceeded, Transient
from clues.model import Gpu, InstanceState, Kind, LaunchRequest, Offer, Resources
from clues.ports import PluginContext
from connectors.local import PLUGIN, machine, network
from connectors.local.admission import admit
from connectors.local.config import LocalConfig, parse_gpus
from connectors.local.connector import LocalConnector
from connectors.local.faults import FAULTS, Faults
from connectors.local.image import Hardware, prepare
from connectors.local.store import Record, Store

CLUSTER = "the-cluster"


def config(folder: Path, **settings: Any) -> LocalConfig:
    flavors = {"small": {"cpus": 2, "memory": "2GiB"}, "gpu": {"cpus": 8, "memory": "16GiB", "gpus": "a10:2"}}
    return LocalConfig.model_validate({"folder": folder, "flavors": flavors, **settings})


def context(cluster: str = CLUSTER) -> PluginContext:
    return PluginContext(cluster, "here", Path("/nonexistent"))


def request(number: int, flavor: str = "small", cluster: str = CLUSTER, **changes: Any) -> LaunchRequest:
    offer = Offer("here", flavor, "an-image")
    made = LaunchRequest(
        cluster, f"key-{number}", Kind.WORKER, f"n{number}", "pool", 1, offer, Resources(), "", f"10.77.1.{number}"
    )
    return replace(made, **changes)


# --- configuration --------------------------------------------------------------------------------------------------


def test_amounts_are_read_with_their_units(tmp_path: Path) -> None:
    checked = config(
        tmp_path,
        flavors={"a": {"cpus": 4, "memory": "30GiB", "gpus": "t4:2,a10:1", "price": "0.49 USD"}},
        capacity={"vms": 3, "memory": "64GiB"},
        boot_time="90s",
    )
    flavor = checked.flavors["a"]
    assert flavor.resources == Resources(4, 30720, (Gpu("a10", 1), Gpu("t4", 2)))
    assert str(flavor.price) == "0.49 USD"
    assert checked.capacity.limits.memory_mib == 65536
    assert checked.boot_time.total_seconds() == 90
    assert PLUGIN.flavors_from_config(checked) == {"a": flavor.resources}


@pytest.mark.parametrize(
    "wrong",
    [
        {"folder": "relative/path"},
        {"flavors": {}},
        {"flavors": {"a": {"cpus": 0, "memory": "1GiB"}}},
        {"flavors": {"a": {"cpus": 1, "memory": "1"}}},
        {"flavors": {"a": {"cpus": 1, "memory": "1GiB", "gpus": "a10:x"}}},
        {"capacity": {"vms": -1}},
        {"quota": {"vm": 1}},
        {"boot_time": "soon"},
        {"boot_time": 5},
        {"bridge": "a-name-that-is-too-long"},
        {"bridge": "x y"},
        {"prefix": 31},
        {"color": "blue"},
        {"shared": ["home"]},
    ],
)
def test_a_mistake_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    config(tmp_path)
    with pytest.raises(ValidationError):
        config(wrong.pop("folder", tmp_path), **wrong)


@pytest.mark.parametrize(
    ("text", "gpus"), [(2, (Gpu("", 2),)), (0, ()), ("a10:1", (Gpu("a10", 1),)), ("3", (Gpu("", 3),))]
)
def test_gpus_are_read(text: object, gpus: tuple[Gpu, ...]) -> None:
    assert parse_gpus(text) == gpus


@pytest.mark.parametrize("text", [True, -1, 1.5, "", "a10", "a10:", "a10:1,", "a10:1;rm", "A b:1", None])
def test_what_is_no_number_of_gpus_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="a10:1"):
        parse_gpus(text)


# --- records --------------------------------------------------------------------------------------------------------


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    record = admit(request(10, "gpu"), config(tmp_path), Store(tmp_path), context())
    assert Store(tmp_path).records() == [record]
    ended = replace(record, stopping=True, gone_at=datetime.now(UTC))
    assert Record.from_json(ended.to_json()) == ended


@pytest.mark.parametrize("damage", ["", "{}", "[]", "null", "\x00", '{"id": "x", "resources": {"gpus": 3}}'])
def test_an_unreadable_record_makes_the_listing_an_error(tmp_path: Path, damage: str) -> None:
    connector = LocalConnector(config(tmp_path), context())
    record = admit(request(10), config(tmp_path), Store(tmp_path), context())
    assert [one.id for one in connector.list_instances().instances] == [record.id]
    (tmp_path / "instances" / f"{record.id}.json").write_text(damage)
    with pytest.raises(Transient):
        connector.list_instances()


def test_records_and_folders_are_for_us_alone(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    store = Store(folder)
    admit(request(10), config(folder), store, context())
    for path in (folder, folder / "instances", folder / "vms", *(folder / "instances").iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_folder_that_cannot_be_made_is_an_invalid_request(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidRequest, match="folder"):
        PLUGIN.build(config(tmp_path / "file" / "site"), context())


def test_an_instance_that_was_never_started_is_stopped_after_a_while(tmp_path: Path) -> None:
    store = Store(tmp_path)
    record = admit(request(10), config(tmp_path), store, context())
    store.write(replace(record, created_at=datetime(2020, 1, 1, tzinfo=UTC)))
    (instance,) = LocalConnector(config(tmp_path), context()).list_instances().instances
    assert (instance.state, instance.fault) == (InstanceState.STOPPED, "never started")


@pytest.mark.parametrize("name", ["", "../instances", "vm-1", "vm-0123456789ab/..", "i-0123456789ab"])
def test_an_id_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequest):
        LocalConnector(config(tmp_path), context()).terminate(name)


# --- admission ------------------------------------------------------------------------------------------------------


def refusal(site: LocalConfig, wanted: LaunchRequest) -> type[CloudError]:
    with pytest.raises(CloudError) as caught:
        admit(wanted, site, Store(site.folder), context())
    return type(caught.value)


@pytest.mark.parametrize(
    ("bounds", "wanted"),
    [
        ({"vms": 1}, request(2)),
        ({"cpus": 3}, request(2)),
        ({"memory": "3GiB"}, request(2)),
        ({"gpus": 1}, request(2, "gpu")),
    ],
)
def test_each_bound_of_capacity_and_quota_holds(tmp_path: Path, bounds: dict[str, Any], wanted: LaunchRequest) -> None:
    for name, error in (("capacity", NoCapacity), ("quota", QuotaExceeded)):
        site = config(tmp_path / name, **{name: bounds})
        admit(request(11), site, Store(site.folder), context())
        assert refusal(site, replace(wanted, address="10.77.1.12")) is error


def test_what_is_gone_takes_no_room(tmp_path: Path) -> None:
    site, store = config(tmp_path, capacity={"vms": 1}), Store(tmp_path)
    first = admit(request(11), site, store, context())
    store.write(replace(first, gone_at=datetime.now(UTC)))
    assert admit(request(12, address="10.77.1.11"), site, store, context()).address == "10.77.1.11"


@pytest.mark.parametrize("address", ["10.78.0.5", "10.77.0.1", "10.77.0.0", "10.77.255.255", "somewhere", "fe80::1"])
def test_a_wrong_address_is_refused(tmp_path: Path, address: str) -> None:
    assert refusal(config(tmp_path), request(2, address=address)) is InvalidRequest


def test_a_request_without_an_address_gets_a_free_one_and_keeps_it(tmp_path: Path) -> None:
    site = config(tmp_path, gateway="10.77.3.1", prefix=28)
    store = Store(tmp_path)
    taken = admit(request(1, address="10.77.3.11"), site, store, context())
    chosen = [admit(request(number, address=""), site, store, context()).address for number in (2, 3, 2, 4)]
    assert chosen == ["10.77.3.10", "10.77.3.12", "10.77.3.10", "10.77.3.13"]
    admit(request(5, address=""), site, store, context())
    assert refusal(site, request(6, address="")) is QuotaExceeded
    store.write(replace(taken, gone_at=datetime.now(UTC)))
    assert admit(request(6, address=""), site, store, context()).address == "10.77.3.11"


@pytest.mark.parametrize("name", ["-n", "a/b", "..", ".", " "])
def test_a_namespace_has_a_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValidationError):
        config(tmp_path, namespace=name)


def test_other_wrong_requests_are_refused(tmp_path: Path) -> None:
    site = config(tmp_path)
    assert refusal(site, request(2, "no-such-flavor")) is InvalidRequest
    assert refusal(site, request(2, cluster="another")) is InvalidRequest
    assert refusal(site, request(2, user_data="#" * 65537)) is InvalidRequest


def test_an_address_has_one_instance(tmp_path: Path) -> None:
    site, store = config(tmp_path), Store(tmp_path)
    admit(request(2), site, store, context())
    assert refusal(site, request(3, address="10.77.1.2")) is InvalidRequest


def test_many_at_once_take_no_place_twice(tmp_path: Path) -> None:
    site = config(tmp_path, quota={"vms": 5})

    def one(number: int) -> str:
        try:
            return admit(request(number % 10 + 10), site, Store(tmp_path), context()).id
        except QuotaExceeded:
            return ""

    with ThreadPoolExecutor(8) as threads:
        ids = set(threads.map(one, range(40)))
    assert len(ids - {""}) == len(Store(tmp_path).records()) == 5


# --- faults ---------------------------------------------------------------------------------------------------------


def test_a_fault_is_used_up_once_whoever_takes_it(tmp_path: Path) -> None:
    Faults(tmp_path).add("list", "api-error", times=30)
    with ThreadPoolExecutor(8) as threads:
        taken = sum(threads.map(lambda _: len(Faults(tmp_path).take("list")), range(60)))
    assert taken == Faults(tmp_path).read()[0].used == 30


def test_faults_of_a_call_come_one_after_the_other_and_of_a_boot_together(tmp_path: Path) -> None:
    faults = Faults(tmp_path)
    for fault in ("no-capacity", "quota"):
        faults.add("launch", fault)
    assert [[one.fault for one in faults.take("launch", {})] for _ in range(3)] == [["no-capacity"], ["quota"], []]
    for fault in ("slow-boot", "wrong-gpus"):
        faults.add("boot", fault, times=None)
    for _ in range(3):
        assert [one.fault for one in faults.take("boot", {}, every=True)] == ["slow-boot", "wrong-gpus"]
    faults.clear()
    assert faults.read() == []


def test_a_fault_that_an_op_does_not_have_is_refused(tmp_path: Path) -> None:
    for op, fault in (("list", "no-capacity"), ("boot", "api-error"), ("sleep", "hang")):
        assert fault not in FAULTS.get(op, ())
        with pytest.raises(ValueError, match=fault):
            Faults(tmp_path).add(op, fault)


def test_a_fault_file_written_by_hand_works_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    connector = LocalConnector(config(tmp_path), context())
    (tmp_path / "faults.json").write_text(json.dumps([{"op": "list", "fault": "auth"}]))
    with pytest.raises(CloudError, match="credentials"):
        connector.list_instances()
    connector.list_instances()
    (tmp_path / "faults.json").write_text("[{]")
    with pytest.raises(InvalidRequest, match=r"faults\.json"):
        connector.list_instances()


# --- the machine's side ---------------------------------------------------------------------------------------------


def prepared(folder: Path, **changes: Any) -> Path:
    resources = Resources(4, 8192, (Gpu("a10", 1), Gpu("t4", 2)))
    hardware = Hardware(
        "n1", IPv4Address("10.77.1.5"), config(Path("/x")).network, "clues0", resources=resources, **changes
    )
    prepare(folder / "vm-x", hardware, room="a room", now=1000.5)
    return folder / "vm-x"


def test_the_image_tells_the_hardware_that_was_decided(tmp_path: Path) -> None:
    etc = prepared(tmp_path, clock_seconds=-600) / "etc"
    assert (etc / "clues/facts").read_text() == "CPUS=4\nMEMORY_MIB=8192\nGPUS=a10:1,t4:2\nCLOCK=400\n"
    assert "10.77.1.5 n1" in (etc / "hosts").read_text()
    assert stat.S_IMODE((etc / "clues/start").stat().st_mode) == 0o755
    assert any(line.split(":")[2] == "1000" for line in (etc / "passwd").read_text().splitlines())


def test_a_vm_folder_is_for_us_alone_and_never_made_twice(tmp_path: Path) -> None:
    folder = prepared(tmp_path)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / "etc/hostname").write_text("changed by its owner")
    assert prepared(tmp_path) == folder
    assert (folder / "etc/hostname").read_text() == "changed by its owner"
    assert list(tmp_path.iterdir()) == [folder]


def test_shared_folders_that_would_be_covered_are_put_back(tmp_path: Path) -> None:
    shared = Path("/var/tmp")
    folder = prepared(tmp_path, shared=(shared, Path("/usr"), Path("/no/such/folder")))
    lines = (folder / "fstab").read_text().splitlines()
    assert "/var/tmp /mnt/var/tmp none rbind" in lines
    assert not [line for line in lines if line.startswith(("/usr", "/no"))]
    assert lines.index("/var/tmp /mnt/var/tmp none rbind") < lines.index("/mnt/var/tmp /var/tmp none rbind")


def test_only_the_very_process_counts_as_alive(tmp_path: Path) -> None:
    child = subprocess.Popen(["sleep", "100"])
    stat_line = Path(f"/proc/{child.pid}/stat").read_text()
    start = int(stat_line.rpartition(")")[2].split()[19])
    process = machine.Process(child.pid, start, machine.room())
    try:
        assert process.lives()
        assert not replace(process, start=start + 1).lives()
        assert not replace(process, room="another").lives()
        for other in (replace(process, start=start + 1), replace(process, room="another")):
            machine.power_off(other, 1)
            time.sleep(0.05)
            assert child.poll() is None
        os.kill(child.pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < deadline
        assert not process.lives()
    finally:
        child.kill()
        child.wait()


def test_a_vm_that_was_forestalled_is_nobody(tmp_path: Path) -> None:
    assert machine.forestall(tmp_path / "none") is None
    assert machine.forestall(tmp_path) is None
    never = machine.process_of(tmp_path)
    assert never is not None
    assert not never.lives()
    assert machine.forestall(tmp_path) == never
    machine.power_off(never, 1)


@pytest.mark.parametrize("name", ["eth0", "clues0", "lo", "cv0123456789abc", "cv", ""])
def test_only_cables_of_vms_are_pulled_out(name: str) -> None:
    with pytest.raises(ValueError, match="no cable"):
        network.remove_cable(name)


def test_names_and_hardware_addresses_fit(tmp_path: Path) -> None:
    assert network.hardware_address(IPv4Address("10.77.1.255")) == "02:00:0a:4d:01:ff"
    assert len(network.cable_name(tmp_path)) <= 15
    assert network.cable_name(tmp_path) != network.cable_name(tmp_path / "x")
