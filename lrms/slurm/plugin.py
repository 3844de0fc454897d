"""Slurm put together: its part of the configuration, and the adapter that the core talks to."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from clues.errors import LrmsError
from clues.model import ClusterSnapshot, Finding, JobUse, Pool, Settings
from clues.places import Places
from clues.ports import PluginContext, Provision, Vault
from lrms.slurm import (
    accounting,
    check,
    config_text,
    fragment,
    hook_check,
    jobs,
    nodes,
    power,
    reservations,
    reserving,
    rights,
    spool,
    worker,
)
from lrms.slurm.charges import Charges, Told, charges_format, read_charges
from lrms.slurm.commands import Commands
from lrms.slurm.counters import read_counters
from lrms.slurm.licenses import read_licenses
from lrms.slurm.limits import read_limits
from lrms.slurm.snapshot import Form, RawSnapshot, SnapshotReader
from lrms.slurm.tools import Tools

#: The first Slurm whose JSON is documented well enough to be preferred to text, and the first with `scontrol --json`.
_JSON_FROM = (23, 11)
_SCONTROL_JSON_FROM = (23, 2)

#: The controller's settings are read again after so many seconds; they change when slurmctld restarts or reconfigures.
_SETTINGS_HOLD = 60.0

#: where slurmctld listens if nothing else is said
_SLURMCTLD_PORT = 6817
#: where slurm.conf is by Debian's choice
_SLURM_CONF = "/etc/slurm/slurm.conf"

_ADDRESS = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:]+\](?::[0-9]{1,5})?")


class SlurmConfig(BaseModel):
    """The keys of ``lrms:`` for Slurm."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    conf: Path | None = Field(None, description="Path of slurm.conf; without it Slurm's own default, or SLURM_CONF.")
    bin: Path | None = Field(None, description="Folder of Slurm's commands; without it they are looked for in PATH.")
    timeout: float = Field(20, gt=0, le=300, description="Longest time for one command, in seconds.")
    munge_key: Path = Field(
        Path("/etc/munge/munge.key"), description="The cluster's munge key, handed to workers when they enrol."
    )
    slurmctld: str | None = Field(
        None,
        description="Where workers reach slurmctld, as address or address:port; without it what slurmctld tells.",
    )
    reader: Literal["text", "json", "auto"] = Field(
        "auto", description="How jobs and nodes are read; auto takes text before Slurm 23.11, JSON from there on."
    )
    default_partition: str | None = Field(
        None, description="Partition that slurm-config marks as the default one; without it none is marked."
    )
    gpu_devices: tuple[str, ...] = Field(
        (), description="Device files of a worker's GPUs in order; without it /dev/nvidia0, /dev/nvidia1 and so on."
    )

    slurmd_port: int = Field(
        6818, ge=1, le=65535, description="Where slurmd listens, for front-ends that are nodes themselves (SlurmdPort)."
    )
    srun_ports: str = Field(
        fragment.SRUN_PORTS,
        description="Ports of the front-end on which srun waits for its job's workers (SrunPortRange). Workers of "
        "other sites are let through to these.",
    )
    slurmd_timeout: int | None = Field(
        None,
        ge=60,
        le=65533,
        description="SlurmdTimeout in seconds: jobs survive a cut of two thirds of it. Without it 305, and 480 where "
        "a site is reached through a tunnel.",
    )

    clean: bool = Field(
        False,
        description="Whether workers are cleaned between users: slurm-config names a Prolog and an Epilog then, which "
        "workers get by themselves, and which remove what a user without a further job there has left in /tmp, "
        "/var/tmp, /dev/shm, and on GPUs.",
    )

    @field_validator("srun_ports")
    @classmethod
    def _is_a_range(cls, value: str) -> str:
        match = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", value)
        if match is None or not 1024 <= int(match[1]) <= int(match[2]) <= 65535:
            raise ValueError(f"{value!r} is no range of ports above 1023: write 60001-63000")
        return value

    @field_validator("slurmctld")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not _ADDRESS.fullmatch(value):
            raise ValueError("write an address or a name, with a port if it is not 6817: 10.77.0.1:6817")
        return value

    @field_validator("gpu_devices")
    @classmethod
    def _are_devices(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for device in value:
            if not re.fullmatch(r"/dev/[A-Za-z0-9_./-]+", device):
                raise ValueError(f"{device!r} is not a device file: write /dev/nvidia0")
        return value


@dataclass(slots=True)
class Slurm:
    """The :class:`clues.ports.Lrms` of Slurm. Used by one thread at a time."""

    config: SlurmConfig
    tools: Tools
    commands: Commands
    #: where the hook of eager pools finds cluesd; None where only a configuration is looked at
    places: Places | None = None
    _settings: str = ""
    _settings_until: float = field(default=0.0)
    _reader: SnapshotReader = field(default_factory=SnapshotReader)
    _charges: Charges = field(default_factory=Charges)

    def snapshot(self) -> ClusterSnapshot:
        """Run some short commands, jobs before nodes, and read what they printed."""
        raw = self.read_raw()
        found = self._reader.read(raw, datetime.now(UTC))
        limited = config_text.enforces_limits(config_text.read_config(raw.config))
        found = self._charges.put_on(found, partial(self._ask_charges, limited=limited))
        if any(job.licenses and job.pending for job in found.jobs):
            free, problems = read_licenses(self.tools.run(["scontrol", "-o", "show", "license"]))
            found = replace(found, licenses=free, problems=(*found.problems, *problems))
        asked = spool.read(self.places.requests, self.commands.names) if self.places is not None else ()
        return replace(found, requests=asked) if asked else found

    def _ask_charges(self, *, limited: bool) -> Told:
        mark = secrets.token_hex(16)
        told = self.tools.run(["squeue", "-a", "-h"], env={"SQUEUE_FORMAT": charges_format(mark)})
        limits = self.tools.run(["scontrol", "-o", "show", "assoc_mgr", "flags=qos,assoc"]) if limited else ""
        return Told(read_charges(told, mark), tuple(read_limits(limits)))

    def read_raw(self) -> RawSnapshot:
        """Return what the commands print, for the parser (and for whoever wants to keep it)."""
        run = self.tools.run
        config = self._controller_settings()
        form = self._form(config)
        mark = secrets.token_hex(16)
        pending = None
        if form is Form.JSON:
            version = config_text.release(config_text.version_of(config_text.read_config(config)))
            found_jobs = run(["squeue", "-a", "--json"])
            found_nodes = run(
                ["scontrol", "show", "nodes", "--json"] if version >= _SCONTROL_JSON_FROM else ["sinfo", "--json"]
            )
        else:
            found_jobs = run(["squeue", "-a", "-h"], env={"SQUEUE_FORMAT2": jobs.squeue_format(mark)})
            found_nodes = run(["scontrol", "-d", "-o", "show", "node"])
            pending = run(["squeue", "-a", "-h", "-t", "PD"], env={"SQUEUE_FORMAT": jobs.pending_format(mark)})
        return RawSnapshot(
            jobs=found_jobs,
            pending=pending,
            nodes=found_nodes,
            reservations=run(["scontrol", "-o", "show", "reservation"]),
            partitions=run(["scontrol", "-o", "-a", "show", "partition"]),
            config=config,
            mark=mark,
            form=form,
        )

    def counters(self) -> Mapping[str, int]:
        return read_counters(self.tools.run(["sdiag"]))

    def open(self, nodes: Sequence[str]) -> None:
        self.commands.open(nodes)

    def drain(self, nodes: Sequence[str], reason: str) -> None:
        self.commands.drain(nodes, reason)

    def power_off(self, nodes: Sequence[str], reason: str, *, vanished: bool) -> tuple[str, ...]:
        return self.commands.power_off(nodes, reason, vanished=vanished)

    def bind(self, node: str, address: str, features: Iterable[str]) -> None:
        self.commands.bind(node, address, features)

    def pin(self, job: str, site: str, original: str) -> None:
        self.commands.pin(job, site, original)

    def reserve(self, name: str, begin: datetime, end: datetime, nodes: Sequence[str]) -> None:
        reserving.reserve(self.commands, name, begin, end, nodes)

    def release(self, nodes: Sequence[str]) -> None:
        power.release(self.commands, nodes)

    def power_up(self, nodes: Sequence[str]) -> None:
        power.power_up(self.commands, nodes)

    def give_up(self, nodes: Sequence[str], reason: str) -> tuple[str, ...]:
        return power.give_up(self.commands, nodes, reason)

    def annotate(self, job: str, text: str) -> None:
        power.annotate(self.commands, job, text)

    def job_uses(self, begin: datetime, end: datetime) -> Sequence[JobUse]:
        return accounting.read_uses(self.tools, begin, end)

    def forget(self, requests: Sequence[str]) -> None:
        if self.places is None:
            return
        try:
            spool.forget(self.places.requests, requests)
        except OSError as error:
            raise LrmsError(f"{self.places.requests} cannot be emptied: {error.strerror}: clues doctor") from error

    def bootstrap(self, node: str) -> Provision:
        if node not in self.commands.names:
            raise LrmsError(f"{node!r} is not a node of a pool: it gets no secret")
        address = self.config.slurmctld or worker.address_of(config_text.read_config(self._controller_settings()))
        # of an earlier look, however old, where that is enough: SlurmUser never changes while a cluster runs
        config = config_text.read_config(self._settings)
        return worker.provision_for(node, address, config, clean=self.config.clean)

    def render_config(self, settings: Settings) -> Mapping[str, str]:
        try:
            return fragment.render(
                settings,
                default_partition=self.config.default_partition or "",
                gpu_devices=self.config.gpu_devices,
                srun_ports=self.config.srun_ports,
                timeout=self.config.slurmd_timeout,
                clean=self.config.clean,
                folder=self._folder,
                places=self.places,
            )
        except ValueError as error:
            raise LrmsError(str(error)) from error

    def check_config(self, settings: Settings) -> list[str]:
        config = config_text.read_config(self.tools.run(["scontrol", "show", "config"]))
        # -a: nodes that PrivateData hides are then told as missing, together with the rule that hides them
        try:
            found, problems = nodes.read_nodes(self.tools.run(["scontrol", "-a", "-d", "-o", "show", "node"]))
        except ValueError as error:
            raise LrmsError(str(error)) from error
        partitions, more = reservations.read_partitions(self.tools.run(["scontrol", "-o", "-a", "show", "partition"]))
        differences = check.differences(
            settings,
            config,
            found,
            partitions,
            srun_ports=self.config.srun_ports,
            timeout=self.config.slurmd_timeout,
            clean=self.config.clean,
        )
        hook = hook_check.troubles(settings, config, self.places) if self.places is not None else []
        return [*differences, *hook, *problems, *more]

    def examine(self, uid: int) -> list[Finding]:
        return [rights.look(self.tools, uid)]

    @property
    def _folder(self) -> Path:
        return (self.config.conf or Path(os.environ.get("SLURM_CONF", _SLURM_CONF))).parent

    def _controller_settings(self) -> str:
        if time.monotonic() >= self._settings_until:
            self._settings = self.tools.run(["scontrol", "show", "config"])
            self._settings_until = time.monotonic() + _SETTINGS_HOLD
        return self._settings

    def _form(self, config: str) -> Form:
        if self.config.reader != "auto":
            return Form(self.config.reader)
        version = config_text.release(config_text.version_of(config_text.read_config(config)))
        return Form.JSON if version >= _JSON_FROM else Form.TEXT


class SlurmPlugin:
    """What the entry point names."""

    Config = SlurmConfig

    def build(self, config: SlurmConfig, context: PluginContext, pools: Sequence[Pool]) -> Slurm:
        """Return the adapter. Runs nothing yet, so it also serves to render fragments where there is no Slurm."""
        tools = Tools(config.conf, config.bin, timedelta(seconds=config.timeout))
        return Slurm(config, tools, Commands.for_pools(tools, pools), context.places)

    def services(self, config: SlurmConfig) -> list[tuple[str, int, int]]:
        """Return the ports of the front-end that workers reach, as (protocol, first, last)."""
        controller = int((config.slurmctld or "").rpartition("]")[2].partition(":")[2] or _SLURMCTLD_PORT)
        first, last = (int(port) for port in config.srun_ports.split("-"))
        return [("tcp", controller, controller), ("tcp", config.slurmd_port, config.slurmd_port), ("tcp", first, last)]

    def vaults(self, config: SlurmConfig) -> Mapping[str, Vault]:
        """Return where the signer finds Slurm's secrets, by their names."""
        return {worker.MUNGE: worker.MungeKey.find(config.munge_key, os.environ)}

    def service_users(self, config: SlurmConfig) -> frozenset[str]:
        """Return the users as whom Slurm runs: no worker gets them from the front-end."""
        return worker.service_users(config.conf or Path(os.environ.get("SLURM_CONF", _SLURM_CONF)))


PLUGIN = SlurmPlugin()
