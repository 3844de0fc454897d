"""``clues.yaml`` as models: every key, what it means and what holds without it. The reference is made from these, so a
description is written for the sysadmin who reads it. What concerns several keys is checked in :mod:`.checks`.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Literal

from clues.config.fields import (
    Account,
    Count,
    Cpus,
    Currency,
    Driver,
    Duration,
    Folder,
    Gpus,
    Idle,
    Line,
    Markets,
    Memory,
    Money,
    Name,
    Names,
    Nodes,
    Number,
    Percent,
    Positive,
    Share,
    Socket,
    SomeTime,
    TimeZone,
    Windows,
    Word,
    WordList,
    YesNo,
    key,
)
from clues.config.network_fields import (
    Address,
    Endpoint,
    Exported,
    Host,
    Listen,
    MountOptions,
    Network,
    Networks,
    Uids,
)
from clues.config.notify_models import NotifySection
from clues.config.section import PluginSection, Section
from clues.model import Attach, Market, Mode


class OverlaySection(PluginSection):
    """The cluster's private network, on which workers of all sites meet."""

    type: Word = key(
        "Which kind of overlay. `openvpn`: routers and directly attached workers of other sites come in through "
        "tunnels; with `attach: local` at all sites there are none. `flat`: all sites share the front-end's network.",
        "openvpn",
    )
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


class ShapeSection(Section):
    """CPUs, memory and GPUs of one machine."""

    cpus: Cpus = key("CPUs of the node, as Slurm counts them.")
    memory: Memory = key("Memory that Slurm can give to jobs on the node (its RealMemory).")
    gpus: Gpus = key("GPUs: a count, or types with their counts. In quotes where a `:` stands in it.", ())


class BillingSection(Section):
    """In which steps the provider charges for a VM's time. Costs are booked so, and an idle VM is kept while
    it is paid for."""

    shorthand: ClassVar[str] = "period"

    period: Duration = key("Whole periods of this length: `1h`. `0s`: by the second.", timedelta(0))
    minimum: Duration = key("At least for so long; AWS charges Linux for `60s`.", timedelta(0))


class RouterSection(Section):
    """The VM that joins a site's network to the front-end. It is started when the site's first worker is wanted, and
    stopped some time after the last one is gone."""

    flavor: Name = key("The provider's instance type; a small one will do.")
    image: Name = key("The image that the router starts from. It has OpenVPN 2.6 and nftables.")
    market: Market = key("How the VM is paid for: `on-demand` or `spot`.", Market.ON_DEMAND)
    zone: Line = key("Availability zone. Empty: the provider chooses.", "")
    price: Money | None = key("What it costs in an hour. Without it the provider is asked.", None)
    shape: ShapeSection | None = key(
        "What it counts for in the site's limits. Without it, what the flavor has, where the connector tells that.",
        None,
    )
    linger: Duration = key("It is kept for so long after the site's last worker.", timedelta(minutes=10))
    boot_deadline: SomeTime = key("A router that has not enrolled after so long is given up.", timedelta(minutes=10))
    join_deadline: SomeTime = key(
        "A router whose tunnel is not up so long after it enrolled is given up.", timedelta(minutes=2)
    )
    silent_after: SomeTime = key(
        "A router whose tunnel is down for so long is replaced. Jobs behind it go on meanwhile.", timedelta(minutes=1)
    )
    public: Address | None = key(
        "Where routers of other sites reach this one from outside, if they can, for tunnels that bypass the front-end. "
        "Its UDP port is the first of a row, one for each other router. Without a port: 1195.",
        None,
    )


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
    router: RouterSection | None = key("The site's router VM. It belongs to `attach: router`.", None)
    tenant_networks: Networks = key(
        "Other networks there that its workers have to reach. A range of the overlay that overlaps one is refused.", ()
    )
    egress: Networks = key(
        "The ranges that its VMs appear from in the internet. Without them a router or directly attached worker may "
        "enrol from anywhere.",
        (),
    )
    billing: BillingSection = key(
        "How time is charged here, counted from the launch. Without it: by the second.", default_factory=BillingSection
    )
    limits: LimitsSection = key("What may live here at once.", default_factory=LimitsSection)
    disabled: YesNo = key("Start nothing here any more. What runs goes on until it is idle.", False)


class KeepWarmSection(Section):
    """Nodes that stay up although no job needs them. Where entries of a list overlap, the largest number holds.

    Windows are held against the clocks of their time zone, summer time included. Nodes are started so early that they
    are there when a window opens, by the time that boots have taken lately. One that closes no later than it opens
    goes on over midnight.
    """

    shorthand: ClassVar[str] = "nodes"
    alone: ClassVar[bool] = True

    nodes: Count = key("How many nodes.", 0)
    when: Windows = key(
        "Only then: `Mon-Fri 08:00-18:00 Europe/Prague`, several of them with commas between or in a list. Without "
        "days: every day; without a zone: that of the next window which has one, else UTC. Without it: always.",
        (),
    )


class SpotSection(Section):
    """How a pool uses spot VMs, where it has offers of both markets. They compete by what an hour is expected to cost:
    the price, and the work that is lost when a VM is taken back, as often as that was seen."""

    fallback_after: Duration = key(
        "A job waits so long for a spot VM, where that is cheaper and cannot be had now, before it gets one on demand. "
        "`0s`: it does not wait. A job with `--constraint=on-demand` never does.",
        timedelta(0),
    )


class OfferSection(Section):
    """One way to get a VM of the pool's shape. Lists of flavors, markets and zones stand for every combination."""

    site: Word = key("A site of this file.")
    flavor: Names = key("The provider's instance type (an OpenNebula template).")
    image: Name = key("The image that the VM starts from.")
    market: Markets = key("How the VM is paid for: `on-demand` or `spot`, or a list of them.", (Market.ON_DEMAND,))
    zone: Names = key("Availability zone. Empty: the provider chooses.", ("",))
    price: Money | None = key("What one VM costs in an hour. Without it the provider is asked.", None)
    billing: BillingSection | None = key("As the site's `billing`, where this offer differs.", None)
    provides: ShapeSection | None = key(
        "What a VM of this flavor really has. An offer that has less than its pool's shape is a mistake.", None
    )


class BudgetSection(Section):
    """How much may be spent in a period."""

    per_hour: Money | None = key("From one full hour to the next. Without it there is no limit.", None)
    per_day: Money | None = key("From midnight to midnight. Without it there is no limit.", None)
    per_month: Money | None = key("From the first of a month to the next. Without it there is no limit.", None)


class PoolSection(Section):
    """Slurm nodes of one shape, and the offers that can back them."""

    nodes: Nodes = key("The names of the nodes. They exist for Slurm also while they have no VM.")
    shape: ShapeSection = key("What each of the nodes has.")
    offers: list[OfferSection] = key("Where the VMs may come from; the cheapest that has room is taken.")
    features: WordList = key(
        "Slurm features of the nodes. The pool's name, the sites and the markets of its offers are features by "
        "themselves.",
        (),
    )
    partitions: WordList | None = key(
        "Slurm partitions that the nodes are in. Without it, one with the pool's name.", None
    )
    idle: Idle = key(
        "A node that has been idle for so long is stopped. `auto`: as long as waiting for its next job costs less than "
        "another boot would, by the offer's price, the boots seen and how soon the pool's nodes were wanted again.",
        timedelta(minutes=10),
    )
    max_age: SomeTime | None = key(
        "A VM that is older takes no further job and goes with its last one; some a little earlier, so that not all go "
        "together. Without it: none is too old.",
        None,
    )
    drift: YesNo = key(
        "Nodes whose image, or what they were told at their boot, would be another today go when they are idle.", True
    )
    consolidate: YesNo = key(
        "Half-used nodes take no further job when others, that cost no more, have room for their work, and it pays.",
        False,
    )
    disrupt: Percent = key(
        "At most this share of the ready nodes, and at least one, is out of service at a time for one of these three.",
        0.1,
    )
    mode: Mode = key(
        "Who picks the nodes. `planned`: clues, which opens a node to Slurm when it is ready; jobs stay pending until "
        "then. `eager`: Slurm's own power saving, which gives a job nodes that are off and waits for them; a job whose "
        "nodes do not come is requeued. See docs/how-to/eager-pools.md.",
        Mode.PLANNED,
    )
    keep_warm: list[KeepWarmSection] = key("Nodes that stay up although no job needs them.", default_factory=list)
    spot: SpotSection = key("How the pool uses spot VMs.", default_factory=SpotSection)
    span: YesNo = key("The nodes of one job may be at several sites.", False)
    budget: BudgetSection = key(
        "How much the pool may spend, besides what the cluster's budget says. Routers are not in it.",
        default_factory=BudgetSection,
    )
    boot_deadline: SomeTime = key("A VM that has not enrolled after so long is given up.", timedelta(minutes=15))
    join_deadline: SomeTime = key(
        "A VM whose slurmd has not registered so long after it enrolled is given up.", timedelta(minutes=5)
    )


class ClusterBudgetSection(BudgetSection):
    """How much the cluster may spend, and single accounts within that. What runs is never ended for want of money."""

    accounts: dict[Account, BudgetSection] = key(
        "By Slurm account (small letters), how much may be spent for its jobs. Where Slurm enforces no associations, "
        "users may name any account.",
        default_factory=dict,
    )
    ahead: SomeTime = key(
        "What all VMs cost in so long a time from now is set aside before anything more is bought. A longer time keeps "
        "budgets more strictly where jobs run long, and stops buying earlier. It holds for pools and accounts, too.",
        timedelta(hours=1),
    )
    time_zone: TimeZone = key("Where the hour, day and month of all budgets begin: `Europe/Prague`.", "UTC")


class PaceSection(Section):
    """The brakes and rhythms of the daemon. The defaults suit most clusters."""

    look: SomeTime = key("Longest time between two looks at Slurm.", timedelta(seconds=10))
    listing: SomeTime = key("Longest time between two listings of a site.", timedelta(seconds=30))
    look_busy: SomeTime = key("The same as `look`, while nodes are on their way in or out.", timedelta(seconds=1))
    listing_busy: SomeTime = key("The same as `listing`, while nodes are on their way in or out.", timedelta(seconds=5))
    terms: SomeTime = key(
        "How often a site's quota, prices and flavors are asked; sooner after a launch that its quota did not allow.",
        timedelta(minutes=5),
    )
    poke: SomeTime = key("How often Slurm is asked whether anything has changed.", timedelta(seconds=1))
    launches_per_tick: Number = key("Most VMs that are started at once.", 50)
    destroys_per_tick: Number = key("Most VMs that are ended at once.", 20)
    retry_offer: SomeTime = key(
        "An offer that had no capacity is left alone for so long; doubled each time it has none again.",
        timedelta(minutes=2),
    )
    retry_offer_longest: SomeTime = key("The doubling ends here.", timedelta(minutes=30))
    close_pool_after: Number = key(
        "A pool of which so many VMs in a row did not become workers, at all of its offers, is closed: one VM is tried "
        "now and then, and the first that comes up opens it again.",
        3,
    )
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
    """Where new VMs report, over TLS, to become part of the cluster."""

    listen: Listen = key("Where `clues-enrol` listens.", Endpoint("0.0.0.0", 8443))  # noqa: S104
    address: Address | None = key(
        "Where workers find it that are in the front-end's network or behind a router. Without it: for the former "
        "`overlay.public`, or else the first address of `overlay.network`; for the latter the central point's own "
        "address in the overlay. Without a port: the one that it listens on.",
        None,
    )
    public: Address | None = key(
        "Where routers and directly attached workers find it from the internet. Without it: `overlay.public`. "
        "Without a port: the one that it listens on.",
        None,
    )


class MetricsSection(Section):
    """What Prometheus reads. The API's socket has it, too, at `/metrics`."""

    shorthand: ClassVar[str] = "listen"

    listen: Listen | None = key(
        "Where Prometheus finds it over HTTP, such as `127.0.0.1:9402`: numbers of nodes, jobs, VMs and money, no name "
        "of a user or job. Everybody who reaches this address can read them. Without it: nowhere.",
        None,
    )


class AccountsSection(Section):
    """How workers know the users. Where their image asks a directory by itself (sssd), nothing is to be done here."""

    export: YesNo = key("Workers get the users and groups of the front-end, without passwords, kept fresh.", False)
    uids: Uids = key("Only users and groups with these ids.", (1000, 59999))


class ShareSection(Section):
    """A folder that workers mount when they start, with nosuid and nodev."""

    path: Exported = key("The folder, at the front-end and on the workers.")
    server: Host | None = key(
        "Who exports it. Without it: the front-end, at the address where the worker enrols.", None
    )
    type: Literal["nfs4", "nfs"] = key("The type of file system.", "nfs4")
    options: MountOptions | None = key("Further options of mount(8).", None)


class HookSection(Section):
    """A program of the site that workers run when they start, as root: for software, scratch, container engines."""

    shorthand: ClassVar[str] = "file"

    file: Folder = key("The program on the front-end, which `cluesd` can read; it begins with `#!`. At most 64 KiB.")
    name: Word | None = key("What it is called in reports. Without it, its file's name up to the first dot.", None)
    timeout: SomeTime = key("It is ended after so long, which counts as a failure.", timedelta(minutes=2))
    required: YesNo = key("Whether a worker on which it fails is given up. If not, that is only told.", True)
    sites: WordList = key("Only at these sites. Without it, at all of them.", ())
    pools: WordList = key("Only on workers of these pools. Without it, on all of them.", ())


class GpusSection(Section):
    """What is looked at on a worker with GPUs before its slurmd starts."""

    check: YesNo = key(
        "Whether it is looked at. It takes NVIDIA's driver with `nvidia-smi`: switch it off for other makes.", True
    )
    driver: Driver = key("The oldest driver that is taken, such as `535.104`. Empty: any.", "")
    names: dict[Word, Names] = key(
        "What `nvidia-smi -L` calls the GPUs of a type, where the type is not a word of that name: "
        '`{a100_40: "NVIDIA A100-SXM4-40GB"}`. For a part of a split GPU (MIG) with its profile: '
        '`{small: "NVIDIA A100-SXM4-40GB MIG 1g.5gb"}`.',
        default_factory=dict,
    )
    ecc: YesNo = key("Whether uncorrected memory errors (ECC) since its start are a reason to refuse it.", True)
    xid: YesNo = key(
        "Whether errors of the hardware that the driver has noted in the kernel's log (Xid) are. Those that programs "
        "cause are not counted.",
        True,
    )


class WorkersSection(Section):
    """How workers start, and how they end when nobody is there any more to end them."""

    hooks: list[HookSection] = key("Programs that they run when they start, in this order.", default_factory=list)
    gpus: GpusSection = key("What is looked at on workers with GPUs.", default_factory=GpusSection)
    dead_man: Duration = key(
        "A VM powers itself off when it has heard neither of slurmctld nor of clues for so long, once no job runs "
        "there; a router after twice that. `0s`: never.",
        timedelta(minutes=60),
    )
    guard_metadata: YesNo = key(
        "Whether only root on a VM reaches the metadata service of its cloud, which may tell secrets.", True
    )


class SshSection(Section):
    """How `clues logs --ssh` reaches VMs, and `clues ssh`, which uses your own keys where this one cannot be read."""

    identity: Line = key(
        "The private key: a path, or the name of a systemd credential. Its public half is in the image, or the "
        "provider puts it into VMs (`key_pair` of the site)."
    )
    user: Word = key("As whom. One that is not root needs sudo without a password there.", "root")
    port: Number = key("Where the VMs' sshd listens.", 22)


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
    budget: ClusterBudgetSection = key("How much the cluster may spend.", default_factory=ClusterBudgetSection)
    pace: PaceSection = key("Brakes and rhythms.", default_factory=PaceSection)
    enrolment: EnrolmentSection = key("Where new workers report.", default_factory=EnrolmentSection)
    metrics: MetricsSection = key("What Prometheus reads.", default_factory=MetricsSection)
    accounts: AccountsSection = key("How workers know the users.", default_factory=AccountsSection)
    shares: list[ShareSection] = key("Folders that workers mount, such as /home.", default_factory=list)
    workers: WorkersSection = key("How workers start.", default_factory=WorkersSection)
    ssh: SshSection | None = key("How `clues logs --ssh` reaches VMs. Without it: not at all.", None)
    notify: NotifySection = key("Who is told of alarms.", default_factory=NotifySection)
    state: Folder = key("The daemon's folder: ledger and keys.", Path("/var/lib/clues"))
    socket: Socket = key("The socket of the daemon's API.", Path("/run/clues/clues.sock"))
