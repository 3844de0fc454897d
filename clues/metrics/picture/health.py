"""Whether the daemon can do its work: how old its observations are, what rests, what stands in its way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import InfoMetricFamily, Metric

from clues import __version__
from clues.api.lens import Lens
from clues.api.sites import observations
from clues.metrics.picture.gauges import gauge, single
from clues.model import Limits, Resources, pool_key


def families(lens: Lens) -> Iterator[Metric]:
    """Go through the families of the daemon's own state."""
    published = lens.published
    yield InfoMetricFamily("clues", "The daemon.", {"version": __version__, "cluster": published.settings.cluster})
    yield single(
        "clues_start_timestamp_seconds", "When the daemon started, in Unix time.", published.started_at.timestamp()
    )
    yield single("clues_last_tick_timestamp_seconds", "When the last tick was, in Unix time.", published.at.timestamp())
    yield single("clues_paused", "Whether buying and stopping are paused.", published.world.operator.paused)
    yield from standing(active=True, troubles=len(published.troubles))
    seen = observations(lens)
    yield gauge(
        "clues_observation_age_seconds",
        "Age of the last good look at Slurm and at each site.",
        ("source",),
        (((one.source,), one.age_seconds) for one in seen if one.age_seconds is not None),
    )
    yield gauge(
        "clues_observation_failing",
        "Whether the latest look at a source failed.",
        ("source",),
        (((one.source,), bool(one.error)) for one in seen),
    )
    resting = Counter(
        (breaker.site, breaker.code)
        for breaker in published.plan.memory.breakers.values()
        if breaker.until > lens.now and breaker.site
    )
    yield gauge(
        "clues_resting_offers",
        "Offers, or whole sites, that failed lately and are left alone for a while, by what they failed with.",
        ("site", "failure"),
        resting.items(),
    )
    yield gauge(
        "clues_pool_closed",
        "Whether a pool is closed, as its VMs came to nothing at all of its offers.",
        ("pool",),
        (((pool,), pool_key(pool) in published.plan.memory.breakers) for pool in published.settings.pools),
    )
    yield from _terms(lens)


def _terms(lens: Lens) -> Iterator[Metric]:
    terms = lens.published.world.terms
    ends = ((name, one.credentials.value) for name, one in terms.items())
    yield gauge(
        "clues_credentials_expiry_timestamp_seconds",
        "When a site's credentials end for good, in Unix time; none where they do not.",
        ("site",),
        (((name,), end.timestamp()) for name, end in ends if end is not None),
    )
    quotas = [(name, one.quota.value) for name, one in terms.items() if one.quota.value is not None]
    yield gauge(
        "clues_quota",
        "What a provider allows at a site.",
        ("site", "resource"),
        (((name, what), amount) for name, one in quotas for what, amount in _limits(one.limits)),
    )
    yield gauge(
        "clues_quota_used",
        "What the provider counts of that, by whomever it is used.",
        ("site", "resource"),
        (((name, what), amount) for name, one in quotas for what, amount in _used(one.vms_used, one.used)),
    )


def _limits(limits: Limits) -> Iterator[tuple[str, float]]:
    known = {"vms": limits.vms, "cpus": limits.cpus, "gpus": limits.gpus, "memory_mib": limits.memory_mib}
    return ((what, amount) for what, amount in known.items() if amount is not None)


def _used(vms: int, used: Resources) -> Iterator[tuple[str, float]]:
    yield from {"vms": vms, "cpus": used.cpus, "gpus": used.gpu_count, "memory_mib": used.memory_mib}.items()


def standing(*, active: bool, troubles: int) -> Iterator[Metric]:
    """Tell what one of two front-ends tells also while it stands by."""
    yield single("clues_active", "1: this front-end acts; 0: it stands by while another one does.", float(active))
    yield single("clues_troubles", "What a sysadmin has to see to: lines of `clues status`.", troubles)
