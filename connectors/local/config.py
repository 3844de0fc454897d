"""What a local site can be told in ``clues.yaml``: its flavors, how much room it has, how slow it is.

Two bounds, because a cloud has two. *Capacity* is the hardware: when it is full the answer is "no capacity" and another
site may do better. *Quota* is what the account may use: other flavors of the same site will hardly do better.
"""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from clues.model import Gpu, Limits, Resources, make_gpus
from clues.units import Money, parse_duration, parse_memory, parse_money


def parse_gpus(text: object) -> tuple[Gpu, ...]:
    """Return GPUs as people write them: ``2``, ``a10:1``, ``a10:1,t4:2``.

    :raises ValueError: for anything else.
    """
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return make_gpus([Gpu("", text)])
    parts = str(text).split(",") if isinstance(text, str) and text else []
    matches = [re.fullmatch(r"(?:([a-z][a-z0-9_.-]*):)?([0-9]{1,4})", part.strip()) for part in parts]
    found = [Gpu(match[1] or "", int(match[2])) for match in matches if match]
    if not found or len(found) != len(parts):
        raise ValueError(f"{text!r} is not a number of GPUs: write a count or type:count, such as 'a10:1'")
    return make_gpus(found)


def _reader(parse: Any) -> BeforeValidator:
    """Return a validator that reads text with *parse* and lets values that are parsed already pass."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


Memory = Annotated[int, _reader(parse_memory), Field(ge=0, strict=True)]
Duration = Annotated[timedelta, _reader(parse_duration), Field(ge=timedelta(0), strict=True)]
Price = Annotated[Money | None, _reader(parse_money)]
Gpus = Annotated[
    tuple[Gpu, ...], BeforeValidator(lambda value: value if isinstance(value, tuple) else parse_gpus(value))
]
Count = Annotated[int, Field(ge=0, strict=True)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class FlavorConfig(_Model):
    """One instance type: what its VMs pretend to have. Nothing is reserved on the machine."""

    cpus: int = Field(ge=1, strict=True, description="CPUs that a VM of this flavor shows")
    memory: Memory = Field(description="memory that it shows, such as 4GiB")
    gpus: Gpus = Field(default=(), description="GPUs that it shows: a count, or type:count such as a10:1")
    price: Price = Field(default=None, description="price of one hour, such as '0.05 EUR'")

    @property
    def resources(self) -> Resources:
        """The flavor as a vector."""
        return Resources(self.cpus, self.memory, self.gpus)


class RoomConfig(_Model):
    """How much may live at the site at once; a bound that is not given does not exist."""

    vms: Count | None = Field(default=None, description="number of VMs")
    cpus: Count | None = Field(default=None, description="CPUs of all VMs together")
    memory: Memory | None = Field(default=None, description="memory of all VMs together, such as 64GiB")
    gpus: Count | None = Field(default=None, description="GPUs of all VMs together, of whichever type")

    @property
    def limits(self) -> Limits:
        """The same as the core's limits."""
        return Limits(vms=self.vms, cpus=self.cpus, gpus=self.gpus, memory_mib=self.memory)

    def what_is_full(self, vms: int, used: Resources) -> str:
        """Return which bound *vms* VMs with *used* resources would pass, in words; empty when there is room."""
        for name, amount, bound in (
            ("VMs", vms, self.vms),
            ("CPUs", used.cpus, self.cpus),
            ("MiB of memory", used.memory_mib, self.memory),
            ("GPUs", used.gpu_count, self.gpus),
        ):
            if bound is not None and amount > bound:
                return f"{amount} {name} wanted in all, {bound} there are"
        return ""


class LocalConfig(_Model):
    """The keys of a site with ``connector: local``."""

    folder: Path = Field(description="folder of this site: its instances and its VMs' files; absolute, not shared")
    flavors: dict[str, FlavorConfig] = Field(min_length=1, description="the instance types on offer, by name")
    capacity: RoomConfig = Field(default=RoomConfig(), description="what the site has; beyond it there is no capacity")
    quota: RoomConfig = Field(default=RoomConfig(), description="what the account may use of it")
    shared: tuple[Path, ...] = Field(
        default=(Path("/home"),),
        description="folders of the front-end that every VM sees at the same path, as over NFS",
    )
    accounts: Path | None = Field(
        default=None,
        description="folder with the files `passwd` and `group` of the image; without it its accounts are the "
        "front-end's",
    )
    bridge: str = Field(
        default="clues0", pattern=r"^[a-z][a-z0-9_-]{0,14}$", description="bridge of the VMs; made if it is missing"
    )
    namespace: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,63})?$",
        description="network namespace (of `ip netns`) of the bridge and the VMs' cables; empty: the daemon's own",
    )
    gateway: IPv4Address = Field(
        default=IPv4Address("10.77.0.1"),
        description="address of the bridge; it is the VMs' gateway, and in the daemon's own namespace the front-end's",
    )
    prefix: int = Field(default=16, ge=8, le=30, strict=True, description="prefix length of the network on the bridge")
    boot_time: Duration = Field(default=timedelta(0), description="time from the launch to the start of user-data")
    latency: Duration = Field(default=timedelta(0), description="time that each call takes at least")
    show_ended: Duration = Field(
        default=timedelta(seconds=60), description="how long a terminated instance is still listed, as gone"
    )

    @model_validator(mode="after")
    def _paths_are_absolute(self) -> LocalConfig:
        for path in filter(None, (self.folder, *self.shared, self.accounts)):
            if not path.is_absolute():
                raise ValueError(f"{path} is relative, and a daemon stands in no particular folder: write it from /")
        return self

    @property
    def network(self) -> IPv4Interface:
        """The gateway's address with its network."""
        return IPv4Interface(f"{self.gateway}/{self.prefix}")


def flavors_from_config(config: LocalConfig) -> dict[str, Resources]:
    """Return what each flavor has, so that an offer can be held against its shape without asking anybody."""
    return {name: flavor.resources for name, flavor in config.flavors.items()}
