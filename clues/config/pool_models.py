"""``pools:`` and budgets of ``clues.yaml`` as models: what nodes there may be, from which offers, for how much."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from clues.config.fields import (
    Account,
    Count,
    Duration,
    Idle,
    Markets,
    Money,
    Name,
    Names,
    Nodes,
    Percent,
    SomeTime,
    TimeZone,
    Windows,
    Word,
    WordList,
    YesNo,
    key,
)
from clues.config.section import Section
from clues.config.site_models import BillingSection, ShapeSection
from clues.model import Market, Mode


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
        "A node that has been idle for so long is stopped. `by-price`: 10 min for those of the pool's cheapest offer, "
        "less in proportion for dearer ones, but as long as another boot is worth; in eager pools 10 min for all. "
        "`auto`: as long as waiting for its next job costs less than another boot would, by the offer's price, the "
        "boots seen and how soon the pool's nodes were wanted again.",
        "by-price",
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
    hold: Duration = key(
        "Where more jobs would make the same cost less each, a purchase waits until so long after the last of its jobs "
        "for more of them. `0s`: it does not.",
        timedelta(0),
    )
    max_wait: SomeTime | None = key(
        "No job waits for more jobs longer than so, counted from when it could have started. Without it: as long as "
        "`hold` says.",
        None,
    )
    at_once: WordList = key("Partitions whose jobs never wait for more jobs, such as one for interactive work.", ())
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
