"""Slurm put together: its part of the configuration, and the adapter that the core talks to."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from clues.errors import LrmsError
from clues.model import ClusterSnapshot, Pool, Settings
from clues.ports import PluginContext, WorkerSecrets
from lrms.slurm import check, config_text, fragment, jobs, nodes, reservations, worker
from lrms.slurm.commands import Commands
from lrms.slurm.counters import read_counters
from lrms.slurm.snapshot import Form, RawSnapshot, read_snapshot
from lrms.slurm.tools import Tools

#: The first Slurm whose JSON is documented well enough to be preferred to text, and the first with `scontrol --json`.
_JSON_FROM = (23, 11)
_SCONTROL_JSON_FROM = (23, 2)

#: The controller's settings are read again after so many seconds; they change when slurmctld restarts or reconfigures.
_SETTINGS_HOLD = 60.0

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
    _settings: str = ""
    _settings_until: float = field(default=0.0)

    def snapshot(self) -> ClusterSnapshot:
        """Run five short commands, jobs before nodes, and read what they printed."""
        return read_snapshot(self.read_raw(), datetime.now(UTC))

    def read_raw(self) -> RawSnapshot:
        """Return what the commands print, for the parser (and for whoever wants to keep it)."""
        run = self.tools.run
        config = self._controller_settings()
        form = self._form(config)
        mark = secrets.token_hex(16)
        excluded = ""
        if form is Form.JSON:
            version = config_text.release(config_text.version_of(config_text.read_config(config)))
            found_jobs = run(["squeue", "-a", "--json"])
            found_nodes = run(
                ["scontrol", "show", "nodes", "--json"] if version >= _SCONTROL_JSON_FROM else ["sinfo", "--json"]
            )
        else:
            found_jobs = run(["squeue", "-a", "-h"], env={"SQUEUE_FORMAT2": jobs.squeue_format(mark)})
            excluded = run(["squeue", "-a", "-h", "-t", "PD"], env={"SQUEUE_FORMAT": jobs.excluded_format(mark)})
            found_nodes = run(["scontrol", "-d", "-o", "show", "node"])
        return RawSnapshot(
            jobs=found_jobs,
            excluded=excluded,
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

    def bootstrap(self, node: str) -> WorkerSecrets:
        if node not in self.commands.names:
            raise LrmsError(f"{node!r} is not a node of a pool: it gets no secret")
        address = self.config.slurmctld or worker.address_of(config_text.read_config(self._controller_settings()))
        return worker.secrets_for(node, self.config.munge_key, address)

    def render_config(self, settings: Settings) -> Mapping[str, str]:
        try:
            return fragment.render(
                settings,
                default_partition=self.config.default_partition or "",
                gpu_devices=self.config.gpu_devices,
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
        return [*check.differences(settings, config, found, partitions), *problems, *more]

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
        return Slurm(config, tools, Commands.for_pools(tools, pools))


PLUGIN = SlurmPlugin()
