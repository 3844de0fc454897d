"""``sites:`` of ``clues.yaml`` as models: clouds, their limits, shapes, prices and routers."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from clues.config.fields import (
    Count,
    Cpus,
    Duration,
    Gpus,
    Line,
    Memory,
    Money,
    Name,
    SomeTime,
    Word,
    YesNo,
    key,
)
from clues.config.network_fields import (
    Address,
    Networks,
)
from clues.config.section import PluginSection, Section
from clues.model import Attach, Market


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
