"""A site on this machine, with a cloud's manners: it keeps a list, has limits, takes its time and fails as told.

The list (`store`) is written before a VM is started, and what is listed is looked up, not remembered: an instance whose
process has died shows as stopped, whoever killed it. So nothing here has to be told apart after a crash.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeVar

from clues.errors import (
    CloudError,
    InvalidRequest,
    NotFound,
    OutcomeUnknown,
    Transient,
    error_code,
)
from clues.model import (
    Finding,
    Flavor,
    Instance,
    InstanceState,
    Kind,
    LaunchOutcome,
    LaunchRequest,
    Listing,
    Offer,
    Price,
    Quota,
    Resources,
    make_gpus,
)
from clues.ports import PluginContext
from connectors.local import image, machine, network, offered
from connectors.local.admission import admit, total
from connectors.local.config import LocalConfig
from connectors.local.faults import ERRORS, CallLog, Fault, Faults
from connectors.local.store import Record, Store

#: The hardware of a VM is ready within this, even on a machine that is busy.
_POWER_ON = 20.0
_POWER_OFF = 10.0
#: A record without a process for so long will not get one: whoever wrote it has died.
_START_GRACE = timedelta(seconds=10)

T = TypeVar("T")


class LocalConnector:
    """One local site, for one cluster. Safe to call from several threads and processes at once."""

    def __init__(self, config: LocalConfig, context: PluginContext) -> None:
        self._config = config
        self._context = context
        self._cluster = context.cluster
        self._site = context.name
        try:
            self._store = Store(config.folder)
        except OSError as error:
            raise InvalidRequest(f"the folder of site {context.name} cannot be made", words=str(error)) from error
        self.faults = Faults(config.folder)
        self.calls = CallLog(config.folder)

    # --- the port -------------------------------------------------------------------------------------------------

    def list_instances(self) -> Listing:
        """Return this cluster's instances; ended ones for as long as the configuration says."""
        return self._call("list", lambda lies: self._list(lies))

    def launch(self, requests: Sequence[LaunchRequest]) -> list[LaunchOutcome]:
        """Start one VM for each request; they boot side by side.

        :raises InvalidRequest: no VM can be made here at all; else errors are in the outcomes.
        """
        missing = machine.what_is_missing()
        if missing:
            raise InvalidRequest(
                f"no VM can be made here: {missing}. Run this as root, or without privileges inside "
                "`python -m connectors.local.sandbox -- COMMAND`"
            )
        began = time.monotonic()
        self.calls.call("launch", keys=[one.launch_key for one in requests], nodes=[one.node for one in requests])
        time.sleep(self._config.latency.total_seconds())
        started = [self._start(request) for request in requests]
        outcomes = [finish() for finish in started]
        self.calls.answer("launch", began, [error_code(one.error) if one.error else "ok" for one in outcomes])
        return outcomes

    def terminate(self, instance_id: str) -> None:
        """Pull the plug of one VM and clear it away."""
        if not self._store.is_id(instance_id):
            raise InvalidRequest(f"{instance_id!r} is not the id of an instance")
        record = self._store.read(instance_id)
        labels = {"node": record.node, "flavor": record.flavor} if record else {}
        self._call("terminate", lambda _: self._terminate(instance_id), labels, ids=[instance_id])

    def quota(self) -> Quota:
        """Return the configured quota and what all clusters use of it: they share the account."""

        def answer(_: Fault | None) -> Quota:
            live = [record for record in self._store.records() if record.live]
            return Quota(self._config.quota.limits, total(live), len(live))

        return self._call("quota", answer)

    def flavors(self) -> list[Flavor]:
        """Return the configured flavors."""
        return offered.flavors(self._config)

    def prices(self, offers: Sequence[Offer]) -> dict[str, Price]:
        """Return the configured prices; of both markets the same."""
        return offered.prices(self._config, offers)

    def credentials_until(self) -> None:
        """Return None: it needs no credentials."""

    def console(self, instance_id: str) -> str:
        """Return the last lines that the VM's user-data and services have written.

        :raises NotFound: this cluster has no such instance.
        """
        record = self._store.read(instance_id) if self._store.is_id(instance_id) else None
        if record is None or record.cluster != self._cluster:
            raise NotFound(f"this cluster has no instance {instance_id}")
        return machine.console_end(self._store.vm_folder(instance_id), lines=500)

    def examine(self, offers: Sequence[Offer]) -> list[Finding]:
        """Look for what VMs are made with, and for the offers' flavors."""
        return offered.examine(self._config, offers)

    # --- calls ----------------------------------------------------------------------------------------------------

    def _call(
        self,
        op: str,
        work: Callable[[Fault | None], T],
        labels: Mapping[str, str] | None = None,
        **details: Sequence[str],
    ) -> T:
        """Do *work* as a call to a cloud goes: logged, slow as configured, failing as programmed."""
        began = time.monotonic()
        self.calls.call(op, **details)
        time.sleep(self._config.latency.total_seconds())
        try:
            fault = self._next_fault(op, labels)
            result = work(fault)
            if fault and fault.fault == "timeout-after-effect":
                raise OutcomeUnknown("the answer did not come in time", words="fault: timeout-after-effect")
        except CloudError as error:
            self.calls.answer(op, began, [error_code(error)])
            raise
        except OSError as error:
            self.calls.answer(op, began, ["transient"])
            raise Transient(f"site {self._site} cannot use its folder", words=str(error)) from error
        self.calls.answer(op, began, ["ok"])
        return result

    def _next_fault(self, op: str, labels: Mapping[str, str] | None) -> Fault | None:
        """Return the fault that strikes this call, unless it is an error: that is raised."""
        fault = next(iter(self.faults.take(op, labels)), None)
        if fault and fault.fault in ERRORS:
            raise ERRORS[fault.fault](fault)
        if fault and fault.fault == "hang":
            time.sleep(fault.seconds)
        return fault

    # --- listing --------------------------------------------------------------------------------------------------

    def _list(self, fault: Fault | None) -> Listing:
        now = datetime.now(UTC)
        records = [record for record in self._swept(now) if record.cluster == self._cluster]
        if fault and fault.fault in ("lies", "vanish"):
            struck = [one for one in records if fault.match.items() <= {"node": one.node, "flavor": one.flavor}.items()]
            if fault.fault == "lies":
                records = [one for one in records if one not in struck]
            else:
                for one in struck:
                    self._terminate(one.id)
                records = [self._store.read(one.id) or one for one in records]
        return Listing(self._site, now, tuple(self._instance(record, now) for record in records))

    def _swept(self, now: datetime) -> list[Record]:
        """Return all records that are still shown; what is left of others is cleared away."""
        kept = []
        for record in self._store.records():
            if record.gone_at is None or now - record.gone_at <= self._config.show_ended:
                kept.append(record)
            else:
                self._store.forget(record.id)
        for folder in self._store.leftovers():
            shutil.rmtree(folder, ignore_errors=True)
        with_folder = {record.id for record in kept if record.live}
        for folder in self._store.vm_folders():
            # Read again: a launch in another process may have written its record after the list was made.
            if folder.name not in with_folder:
                record_now = self._store.read(folder.name)
                if record_now is None or not record_now.live:
                    shutil.rmtree(folder, ignore_errors=True)  # the next listing tries again
        return kept

    def _instance(self, record: Record, now: datetime) -> Instance:
        state, fault = self._state(record, now)
        return Instance(
            id=record.id,
            site=self._site,
            state=state,
            cluster=record.cluster,
            launch_key=record.launch_key,
            node=record.node,
            kind=record.kind,
            pool=record.pool,
            generation=record.generation,
            offer=record.offer,
            addresses=(record.address,),
            macs=(network.hardware_address(IPv4Address(record.address)),),
            created_at=record.created_at,
            fault=fault,
        )

    def _state(self, record: Record, now: datetime) -> tuple[InstanceState, str]:
        folder = self._store.vm_folder(record.id)
        if record.gone_at is not None:
            return InstanceState.GONE, ""
        if record.stopping:
            return InstanceState.STOPPING, ""
        if record.fault:
            return InstanceState.ERROR, record.fault
        process = machine.process_of(folder)
        if process is None:
            waited = now - record.created_at > _START_GRACE
            return (InstanceState.STOPPED, "never started") if waited else (InstanceState.PENDING, "")
        if not process.lives():
            return InstanceState.STOPPED, "process ended"
        return (InstanceState.RUNNING if machine.runs(folder) else InstanceState.PENDING), ""

    # --- launching ------------------------------------------------------------------------------------------------

    def _start(self, request: LaunchRequest) -> Callable[[], LaunchOutcome]:
        """Let one VM start; return how to wait for it."""
        labels = {"node": request.node, "flavor": request.offer.flavor}
        try:
            fault = self._next_fault("launch", labels)
            network.ensure_bridge(self._config.bridge, self._config.network, self._config.namespace)
            broken = fault is not None and fault.fault == "build-error"
            record = admit(request, self._config, self._store, self._context, broken=broken)
            starter = self._power_on(record, request.user_data)
        except CloudError as error:
            failed = LaunchOutcome(request.launch_key, error=error)
            return lambda: failed
        except (OSError, subprocess.SubprocessError) as error:
            failed = LaunchOutcome(request.launch_key, error=Transient("the VM could not be made", words=str(error)))
            return lambda: failed

        def finish() -> LaunchOutcome:
            try:
                if starter is not None:
                    starter.wait(_POWER_ON)
                if fault and fault.fault == "timeout-after-effect":
                    raise OutcomeUnknown("the answer did not come in time", words="fault: timeout-after-effect")
            except TimeoutError as error:
                return LaunchOutcome(request.launch_key, error=OutcomeUnknown(str(error)))
            except machine.PowerFailure as error:
                self._undo(record)
                return LaunchOutcome(request.launch_key, error=Transient("the VM could not be made", words=str(error)))
            except CloudError as error:
                return LaunchOutcome(request.launch_key, error=error)
            return LaunchOutcome(request.launch_key, self._instance(record, datetime.now(UTC)))

        return finish

    def _power_on(self, record: Record, user_data: str) -> machine.Starter | None:
        """Power the VM on, unless it was already; whoever wrote the record may have died before that."""
        folder = self._store.vm_folder(record.id)
        if not record.live or record.stopping or record.fault or machine.process_of(folder) is not None:
            return None
        try:
            if not folder.exists():
                image.prepare(folder, self._hardware(record), room=machine.room(), now=time.time())
            return machine.power_on(folder, user_data, network.namespace_file(self._config.namespace))
        except (OSError, subprocess.SubprocessError):
            self._undo(record)
            raise

    def _undo(self, record: Record) -> None:
        """Forget an instance that did not become one, so that its key can be used again.

        Unless somebody else, who was asked for the same one at the same time, did get it to run.
        """
        process = machine.process_of(self._store.vm_folder(record.id))
        if process is not None and process.lives():
            return
        self._terminate(record.id)
        self._store.forget(record.id)

    def _hardware(self, record: Record) -> image.Hardware:
        """Return the VM to be made, spoiled by the faults that are programmed for its boot."""
        hardware = image.Hardware(
            name=record.node,
            address=IPv4Address(record.address),
            gateway=self._config.network,
            bridge=self._config.bridge,
            resources=record.resources,
            boot_seconds=self._config.boot_time.total_seconds(),
            shared=self._config.shared if record.kind == Kind.WORKER else (),
            accounts=self._config.accounts or Path("/etc"),
        )
        for fault in self.faults.take("boot", {"node": record.node, "flavor": record.flavor}, every=True):
            hardware = _SPOIL[fault.fault](hardware, fault.seconds)
        return hardware

    # --- ending ---------------------------------------------------------------------------------------------------

    def _terminate(self, instance_id: str) -> None:
        record = self._store.read(instance_id)
        if record is None or (not record.live and record.cluster == self._cluster):
            return
        if record.cluster != self._cluster:
            raise NotFound(f"this cluster has no instance {instance_id}")
        self._change(instance_id, stopping=True)
        folder = self._store.vm_folder(instance_id)
        process = machine.forestall(folder)
        if process is not None:
            try:
                machine.power_off(process, _POWER_OFF)
            except TimeoutError as error:
                raise OutcomeUnknown(f"instance {instance_id} is not dead yet", words=str(error)) from error
        network.remove_cable(network.cable_name(folder), self._config.namespace)
        self._change(instance_id, gone_at=datetime.now(UTC))
        shutil.rmtree(folder, ignore_errors=True)  # what is left of it, the next listing clears away

    def _change(self, instance_id: str, *, stopping: bool | None = None, gone_at: datetime | None = None) -> None:
        with self._store.lock():
            record = self._store.read(instance_id)
            if record is not None and record.live:
                self._store.write(replace(record, stopping=stopping or record.stopping, gone_at=gone_at))


def _one_gpu_less(resources: Resources) -> Resources:
    gpus = list(resources.gpus)
    if gpus:
        gpus[-1] = replace(gpus[-1], count=gpus[-1].count - 1)
    return replace(resources, gpus=make_gpus(gpus))


#: What a fault of a boot makes of the hardware; the number is the fault's seconds.
_SPOIL: Mapping[str, Callable[[image.Hardware, float], image.Hardware]] = {
    "slow-boot": lambda hardware, seconds: replace(hardware, boot_seconds=hardware.boot_seconds + seconds),
    "never-registers": lambda hardware, _: replace(hardware, runs_user_data=False),
    "boot-fails": lambda hardware, _: replace(hardware, services_work=False),
    "wrong-gpus": lambda hardware, _: replace(hardware, resources=_one_gpu_less(hardware.resources)),
    "wrong-memory": lambda hardware, _: replace(
        hardware, resources=replace(hardware.resources, memory_mib=hardware.resources.memory_mib // 2)
    ),
    "wrong-clock": lambda hardware, seconds: replace(hardware, clock_seconds=seconds),
    "vanish": lambda hardware, seconds: replace(hardware, life_seconds=seconds or 0.01),
}
