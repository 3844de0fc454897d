"""``clues.yaml`` as models: every key, what it means and what holds without it.

The reference is made from these, so a description is written for the sysadmin who reads it. What concerns several keys
at once is checked in :mod:`clues.config.checks`.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from clues.config.fields import (
    Address,
    Count,
    Cpus,
    Currency,
    Duration,
    Endpoint,
    Folder,
    Gpus,
    Host,
    Line,
    Listen,
    Markets,
    Memory,
    Money,
    Name,
    Names,
    Network,
    Nodes,
    Number,
    Positive,
    Share,
    Socket,
    SomeTime,
    Word,
    WordList,
    YesNo,
    key,
)
from clues.model import Attach, Market, Mode


class Section(BaseModel):
    """A mapping of the file. Assigning to a field checks it, so that one bad key does not hide another."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, arbitrary_types_allowed=False)

    #: the key that a plain value stands for, where the mapping may be left out (``keep_warm: 2``)
    shorthand: ClassVar[str] = ""


class PluginSection(Section):
    """A mapping whose other keys belong to a plugin."""

    model_config = ConfigDict(extra="allow", validate_assignment=True)


class OverlaySection(PluginSection):
    """The cluster's private network, on which workers of all sites meet."""

    type: Word = key("Which kind of overlay. `flat`: all sites share the front-end's network, no tunnels.", "flat")
    network: Network | None = key("The range that belongs to this cluster alone, in all its sites.", None)
    public: Host | None = key(
        "The name or address under which routers and workers of other sites reach the front-end.", None
    )


class LrmsSection(PluginSection):
    """The batch system."""

    type: Word = key("Which batch system.", "slurm")


class LimitsSection(Section):
    """What may live at the site at once, router VMs included. A key that is left out sets no limit."""

    vms: Count | None = key("VMs.", None)
    cpus: Count | None = key("CPUs of all its VMs together.", None)
    gpus: Count | None = key("GPUs of all its VMs together, of whichever type.", None)
    memory: Memory | None = key("Memory of all its VMs together.", None)
    cost_per_hour: Money | None = key("What all its VMs together may cost in an hour.", None)


class SiteSection(PluginSection):
    """One account in one region of one cloud."""

    connector: Word = key("Which connector reaches the site. The connector's own keys stand beside this one.")
    attach: Attach = key(
        "How the site's workers reach the overlay. `local`: they are in the front-end's network. `router`: one VM "
        "carries the site's network to the front-end. `direct`: each worker runs the overlay's client itself.",
        Attach.LOCAL,
    )
    network: Line = key(
        "The network that workers get here: for some connectors a range such as `10.77.1.0/24`, for others a name. "
        "Empty: the provider chooses.",
        "",
    )
    limits: LimitsSection = key("What may live here at once.", default_factory=LimitsSection)
    disabled: YesNo = key("Start nothing here any more. What runs goes on until it is idle.", False)


class ShapeSection(Section):
    """CPUs, memory and GPUs of one machine."""

    cpus: Cpus = key("CPUs of the node, as Slurm counts them.")
    memory: Memory = key("Memory that Slurm can give to jobs on the node (its RealMemory).")
    gpus: Gpus = key("GPUs: a count, or types with their counts. In quotes where a `:` stands in it.", ())


class KeepWarmSection(Section):
    """Nodes that stay up although no job needs them."""

    shorthand: ClassVar[str] = "nodes"

    nodes: Count = key("How many nodes.", 0)
    when: Line = key(
        "Days and hours, such as `Mon-Fri 08:00-18:00 Europe/Prague`. It is read but not obeyed yet: the nodes are "
        "kept warm at all times.",
        "",
    )


class OfferSection(Section):
    """One way to get a VM of the pool's shape. Lists of flavors, markets and zones stand for every combination."""

    site: Word = key("A site of this file.")
    flavor: Names = key("The provider's instance type (an OpenNebula template).")
    image: Name = key("The image that the VM starts from.")
    market: Markets = key("How the VM is paid for: `on-demand` or `spot`, or a list of them.", (Market.ON_DEMAND,))
    zone: Names = key("Availability zone. Empty: the provider chooses.", ("",))
    price: Money | None = key("What one VM costs in an hour. Without it the provider is asked.", None)
    provides: ShapeSection | None = key(
        "What a VM of this flavor really has. An offer that has less than its pool's shape is a mistake.", None
    )


class PoolSection(Section):
    """Slurm nodes of one shape, and the offers that can back them."""

    nodes: Nodes = key("The names of the nodes. They exist for Slurm also while they have no VM.")
    shape: ShapeSection = key("What each of the nodes has.")
    offers: list[OfferSection] = key("Where the VMs may come from; the cheapest that has room is taken.")
    features: WordList = key("Slurm features of the nodes. The sites of the offers are features by themselves.", ())
    partitions: WordList | None = key(
        "Slurm partitions that the nodes are in. Without it, one with the pool's name.", None
    )
    idle: Duration = key("A node that has been idle for so long is stopped.", timedelta(minutes=10))
    mode: Mode = key(
        "Who picks the nodes. `planned`: clues, which opens a node to Slurm when it is ready. `eager`: Slurm's own "
        "power saving.",
        Mode.PLANNED,
    )
    keep_warm: KeepWarmSection = key("Nodes that stay up although no job needs them.", default_factory=KeepWarmSection)
    span: YesNo = key("The nodes of one job may be at several sites.", False)
    boot_deadline: SomeTime = key("A VM that has not enrolled after so long is given up.", timedelta(minutes=15))
    join_deadline: SomeTime = key(
        "A VM whose slurmd has not registered so long after it enrolled is given up.", timedelta(minutes=5)
    )


class BudgetSection(Section):
    """How much the cluster may spend."""

    per_day: Money | None = key("In a day, from midnight UTC. Without it there is no limit.", None)


class PaceSection(Section):
    """The brakes and rhythms of the daemon. The defaults suit most clusters."""

    look: SomeTime = key("Longest time between two looks at Slurm.", timedelta(seconds=10))
    listing: SomeTime = key("Longest time between two listings of a site.", timedelta(seconds=30))
    look_busy: SomeTime = key("The same as `look`, while nodes are on their way in or out.", timedelta(seconds=1))
    listing_busy: SomeTime = key("The same as `listing`, while nodes are on their way in or out.", timedelta(seconds=5))
    poke: SomeTime = key("How often Slurm is asked whether anything has changed.", timedelta(seconds=1))
    launches_per_tick: Number = key("Most VMs that are started at once.", 50)
    destroys_per_tick: Number = key("Most VMs that are ended at once.", 20)
    retry_offer: SomeTime = key(
        "An offer that had no capacity is left alone for so long; doubled each time it has none again.",
        timedelta(minutes=2),
    )
    retry_offer_longest: SomeTime = key("The doubling ends here.", timedelta(minutes=30))
    vanished_after: SomeTime = key(
        "A VM that is missing from two complete listings is believed gone after so long.", timedelta(minutes=2)
    )
    stale_after: SomeTime = key("What was seen longer ago is not acted upon.", timedelta(minutes=2))
    misread_after: SomeTime = key(
        "A node stood open and idle for so long while its job stayed pending: the job was misread, and buys no more.",
        timedelta(seconds=60),
    )
    misread_retry: SomeTime = key("After so long such a job is tried again.", timedelta(hours=1))
    clock_skew: SomeTime = key("A worker whose clock is off by more is not opened.", timedelta(seconds=60))
    memory_share: Share = key("The share of its shape's memory that a VM must really have.", 0.9)
    ticket: SomeTime = key("A worker may enrol for so long after its VM was launched.", timedelta(minutes=15))
    quarantine: SomeTime = key("An address rests for so long after its VM is gone.", timedelta(minutes=2))


class EnrolmentSection(Section):
    """Where new workers report, over TLS, to become part of the cluster."""

    listen: Listen = key("Where the daemon listens. Port 0 takes a free one.", Endpoint("0.0.0.0", 8443))  # noqa: S104
    address: Address | None = key(
        "Where workers find it. Without it: `overlay.public`, or else the first address of `overlay.network`. "
        "Without a port: the one that it listens on.",
        None,
    )


class File(Section):
    """The whole file."""

    cluster: Word = key("The cluster's name, for people. Its VMs carry a tag of their own that is never reused.")
    currency: Currency = key("The currency that costs are reckoned and shown in.", "EUR")
    rates: dict[str, Positive] = key(
        "What one unit of another currency is worth in this one: `{USD: 0.92}`.", default_factory=dict
    )
    overlay: OverlaySection = key("The cluster's private network.", default_factory=OverlaySection)
    lrms: LrmsSection = key("The batch system.", default_factory=LrmsSection)
    sites: dict[str, SiteSection] = key("The sites by name.")
    pools: dict[str, PoolSection] = key("The pools by name.")
    budget: BudgetSection = key("How much the cluster may spend.", default_factory=BudgetSection)
    pace: PaceSection = key("Brakes and rhythms.", default_factory=PaceSection)
    enrolment: EnrolmentSection = key("Where new workers report.", default_factory=EnrolmentSection)
    state: Folder = key("The daemon's folder: ledger and keys.", Path("/var/lib/clues"))
    socket: Socket = key("The socket of the daemon's API.", Path("/run/clues/clues.sock"))
