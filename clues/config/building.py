"""From checked sections to the core's values: one unit, one currency, one offer for each combination."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from datetime import timedelta
from itertools import product

from clues.config import checks
from clues.config.models import File
from clues.config.network_fields import Endpoint
from clues.config.notify_models import LOCAL
from clues.config.pool_models import BudgetSection, OfferSection, PoolSection
from clues.config.site_models import RouterSection, SiteSection
from clues.config.values import Accounts, FrontEnds, GpuChecks, Hook, Mail, Notify, Share, Ssh, Webhook, Workers
from clues.model import (
    Billing,
    Budget,
    Budgets,
    Limits,
    Mode,
    Offer,
    Pace,
    Pool,
    Resources,
    RouterPlan,
    Settings,
    Site,
    Warm,
)
from clues.units import Money

#: What a pool with ``idle: by-price`` keeps its cheapest nodes for, and one with ``auto`` goes by where it has to name
#: one time.
IDLE = timedelta(minutes=10)

#: What a router counts for where neither the file nor the connector tells what its flavor has.
SMALL_ROUTER = Resources(1, 1024)


def settings_of(file: File, flavors: checks.Flavors) -> Settings:
    """Return the core's settings from a file without mistakes."""
    pace = {name: getattr(file.pace, name) for name in type(file.pace).model_fields}
    return Settings(
        cluster=file.cluster,
        sites={name: _site(file, name, site, flavors.get(name, {})) for name, site in file.sites.items()},
        pools={name: _pool(file, name, pool) for name, pool in file.pools.items()},
        currency=file.currency,
        pace=Pace(**pace),
        budgets=Budgets(
            cluster=_budget(file, file.budget),
            accounts={name: _budget(file, budget) for name, budget in file.budget.accounts.items()},
            ahead=file.budget.ahead,
            time_zone=file.budget.time_zone,
        ),
        rates=dict(file.rates),
    )


def accounts_of(file: File) -> Accounts:
    """Return which accounts workers get."""
    return Accounts(file.accounts.export, *file.accounts.uids)


def shares_of(file: File) -> tuple[Share, ...]:
    """Return what workers mount, in the order of the file."""
    return tuple(Share(one.path, one.server or "", one.type, one.options or "") for one in file.shares)


def ssh_of(file: File) -> Ssh | None:
    """Return how VMs are reached by SSH; None: they are not."""
    return None if file.ssh is None else Ssh(file.ssh.identity, file.ssh.user, file.ssh.port)


def front_ends_of(file: File) -> FrontEnds | None:
    """Return how two front-ends agree on who is active; None: there is one."""
    given = file.front_ends
    return None if given is None else FrontEnds(given.shared, given.lease, given.snapshot)


def notify_of(file: File) -> Notify:
    """Return who is told of alarms."""
    given = file.notify
    webhooks = tuple(Webhook(one.url, one.secret_file) for one in given.webhooks)
    if given.mail is None:
        return Notify(webhooks)
    server = Endpoint(given.mail.server.host, given.mail.server.port or 25)
    sender = given.mail.sender or f"clues@{socket.gethostname()}"
    return Notify(webhooks, Mail(given.mail.to, sender, server, server.host in LOCAL))


def workers_of(file: File) -> Workers:
    """Return how VMs start and end."""
    given, gpus = file.workers, file.workers.gpus
    return Workers(
        hooks=tuple(
            Hook(checks.hook_name(one), one.file, one.timeout, one.required, one.sites, one.pools)
            for one in given.hooks
        ),
        gpus=GpuChecks(gpus.check, gpus.driver, dict(gpus.names), gpus.ecc, gpus.xid),
        dead_man=given.dead_man,
        guard_metadata=given.guard_metadata,
    )


def _site(file: File, name: str, site: SiteSection, flavors: Mapping[str, Resources]) -> Site:
    limits = Limits(
        vms=site.limits.vms,
        cpus=site.limits.cpus,
        gpus=site.limits.gpus,
        memory_mib=site.limits.memory,
        cost_per_hour=_converted(file, site.limits.cost_per_hour),
    )
    return Site(
        name=name,
        connector=site.connector,
        attach=site.attach,
        limits=limits,
        network=site.network,
        disabled=site.disabled,
        router=None if site.router is None else _router(file, name, site.router, flavors),
        egress=site.egress,
        tenant_networks=site.tenant_networks,
    )


def _router(file: File, site: str, router: RouterSection, flavors: Mapping[str, Resources]) -> RouterPlan:
    shape = flavors.get(router.flavor, SMALL_ROUTER)
    return RouterPlan(
        offer=Offer(
            site,
            router.flavor,
            router.image,
            router.market,
            _converted(file, router.price),
            router.zone,
            Billing(file.sites[site].billing.period, file.sites[site].billing.minimum),
        ),
        shape=shape if router.shape is None else checks.resources_of(router.shape),
        linger=router.linger,
        boot_deadline=router.boot_deadline,
        join_deadline=router.join_deadline,
        silent_after=router.silent_after,
        public="" if router.public is None else str(router.public),
    )


def _pool(file: File, name: str, pool: PoolSection) -> Pool:
    offers = tuple(
        Offer(offer.site, flavor, offer.image, market, _converted(file, offer.price), zone, _billing(file, offer))
        for offer in pool.offers
        for flavor, market, zone in product(offer.flavor, offer.market, offer.zone)
    )
    return Pool(
        name=name,
        nodes=pool.nodes,
        shape=checks.resources_of(pool.shape),
        offers=offers,
        features=frozenset(pool.features),
        partitions=(name,) if pool.partitions is None else pool.partitions,
        idle=pool.idle if isinstance(pool.idle, timedelta) else IDLE,
        idle_auto=pool.idle == "auto",
        idle_by_price=pool.idle == "by-price" and pool.mode is Mode.PLANNED,
        max_age=pool.max_age,
        drift=pool.drift,
        consolidate=pool.consolidate,
        disrupt=pool.disrupt,
        mode=pool.mode,
        keep_warm=tuple(Warm(one.nodes, one.when) for one in pool.keep_warm if one.nodes),
        span=pool.span,
        hold=pool.hold,
        max_wait=pool.max_wait,
        at_once=frozenset(pool.at_once),
        spot_fallback_after=pool.spot.fallback_after,
        boot_deadline=pool.boot_deadline,
        join_deadline=pool.join_deadline,
        budget=_budget(file, pool.budget),
    )


def _budget(file: File, budget: BudgetSection) -> Budget:
    return Budget(
        per_hour=_converted(file, budget.per_hour),
        per_day=_converted(file, budget.per_day),
        per_month=_converted(file, budget.per_month),
    )


def _billing(file: File, offer: OfferSection) -> Billing:
    """Return how an offer is charged: as it says, else as its site."""
    given = offer.billing or file.sites[offer.site].billing
    return Billing(given.period, given.minimum)


def _converted(file: File, money: Money | None) -> float | None:
    """Return an amount in the cluster's currency; that there is a rate has been checked."""
    if money is None:
        return None
    return money.amount if money.currency == file.currency else money.amount * file.rates[money.currency]
