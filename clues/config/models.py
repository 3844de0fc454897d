"""``clues.yaml`` as models: every key, what it means and what holds without it. The reference is made from these, so a
description is written for the sysadmin who reads it. What concerns several keys is checked in :mod:`.checks`.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from clues.config.api_models import ApiSection
from clues.config.fields import (
    Currency,
    Folder,
    Number,
    Positive,
    Share,
    Socket,
    SomeTime,
    Word,
    key,
)
from clues.config.network_fields import (
    Address,
    Endpoint,
    Host,
    Listen,
    Network,
)
from clues.config.notify_models import NotifySection
from clues.config.pool_models import ClusterBudgetSection, PoolSection
from clues.config.section import PluginSection, Section
from clues.config.site_models import SiteSection
from clues.config.worker_models import AccountsSection, ShareSection, SshSection, WorkersSection


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


class FrontEndsSection(Section):
    """A second front-end that takes over when the active one fails; both have the same file."""

    shorthand: ClassVar[str] = "shared"

    shared: Folder = key(
        "A folder on a file system that both front-ends mount, such as one beside Slurm's StateSaveLocation. It "
        "belongs to the user clues, and nobody else may read it."
    )
    lease: SomeTime = key(
        "An active front-end that could not renew its lease for so long stops acting; the other takes over a quarter "
        "later. 10 s or more on a shared file system.",
        timedelta(seconds=30),
    )
    snapshot: SomeTime = key(
        "How often the whole ledger is copied for the other front-end. Claims are copied before they are acted upon, "
        "so what a crash may lose of this time is events and costs.",
        timedelta(minutes=1),
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
    budget: ClusterBudgetSection = key("How much the cluster may spend.", default_factory=ClusterBudgetSection)
    pace: PaceSection = key("Brakes and rhythms.", default_factory=PaceSection)
    enrolment: EnrolmentSection = key("Where new workers report.", default_factory=EnrolmentSection)
    metrics: MetricsSection = key("What Prometheus reads.", default_factory=MetricsSection)
    api: ApiSection = key("Who reaches the API, and how much each may ask.", default_factory=ApiSection)
    accounts: AccountsSection = key("How workers know the users.", default_factory=AccountsSection)
    shares: list[ShareSection] = key("Folders that workers mount, such as /home.", default_factory=list)
    workers: WorkersSection = key("How workers start.", default_factory=WorkersSection)
    ssh: SshSection | None = key("How `clues logs --ssh` reaches VMs. Without it: not at all.", None)
    front_ends: FrontEndsSection | None = key(
        "Two front-ends, of which one is active. Without it: this one is alone.", None
    )
    notify: NotifySection = key("Who is told of alarms.", default_factory=NotifySection)
    state: Folder = key("The daemon's folder: ledger and keys.", Path("/var/lib/clues"))
    socket: Socket = key("The socket of the daemon's API.", Path("/run/clues/clues.sock"))
