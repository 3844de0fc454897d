"""What goes over the wire about the clouds: what they offer, what was found wrong with them, what their VMs wrote.

As in :mod:`clues.api.wire`: names follow ``clues.yaml``, every field that was added later has a default.
"""

from __future__ import annotations

from dataclasses import dataclass

from clues.api.wire import VERSION, listed


@dataclass(frozen=True, slots=True)
class OfferView:
    """One offer of one pool: what it is, what it costs, and how many of it could be started now."""

    pool: str
    site: str
    flavor: str = ""
    zone: str = ""
    market: str = ""
    image: str = ""
    #: its name: ``aws/g5.2xlarge/spot``
    offer: str = ""
    #: what a VM of it has where the provider tells, else what it has to have
    cpus: int = 0
    memory_mib: int = 0
    gpus: str = ""
    #: null where it is not known
    price_per_hour: float | None = None
    #: who says so: ``configuration``, ``spot price history``, ...
    price_source: str = ""
    price_age_seconds: float | None = None
    #: why a price that is told cannot be reckoned with
    price_trouble: str = ""
    #: what the provider's quota allows besides what is there or on its way; null where it does not tell
    vms_left: int | None = None
    cpus_left: int | None = None
    gpus_left: int | None = None
    memory_mib_left: int | None = None
    #: what a failure of late lets through of it: ``closed`` (that is: all), ``open`` (nothing), ``probing`` (one
    #: launch), ``growing`` (so many launches at once)
    breaker: str = "closed"
    allowed: int | None = None
    #: what it, its site or its pool failed with lately, and until when it is left alone for that; empty: nothing
    rests: str = ""
    rests_until: str = ""
    again_seconds: float | None = None
    failures: int = 0
    words: str = ""
    #: how many VMs of it would be started now if jobs needed them, and what stands against one more
    could_start: int = 0
    why_not_more: str = ""
    #: of a spot VM: interruptions to be expected in an hour, as the planner reckons; null: it is not a spot offer
    interruptions_per_hour: float | None = None
    #: what that follows from: hours that its VMs ran and how many were taken back, what is long ago counted less
    seen_hours: float = 0.0
    seen_interruptions: float = 0.0


@dataclass(frozen=True, slots=True)
class OfferList:
    offers: tuple[OfferView, ...] = listed(OfferView)
    currency: str = ""
    apiVersion: str = VERSION  # noqa: N815


#: What an examination may find, the worst first.
VERDICTS: dict[str, str] = {
    "bad": "it does not work so; `cure` says what to do",
    "unknown": "it could not be told, which is not the same as good",
    "good": "looked at, and right",
}


@dataclass(frozen=True, slots=True)
class FindingView:
    """One thing that was looked at."""

    #: ``front-end``, or the name of a site
    about: str
    topic: str = ""
    #: one of :data:`VERDICTS`
    verdict: str = ""
    text: str = ""
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    findings: tuple[FindingView, ...] = listed(FindingView)
    apiVersion: str = VERSION  # noqa: N815


@dataclass(frozen=True, slots=True)
class LogText:
    """The end of what a VM has written, without what could be a secret."""

    node: str
    site: str = ""
    instance: str = ""
    #: ``console`` or ``boot log``
    source: str = ""
    text: str = ""
    apiVersion: str = VERSION  # noqa: N815


@dataclass(frozen=True, slots=True)
class SshWay:
    """How a VM is reached by SSH, and known by its host keys."""

    node: str
    claim: str = ""
    address: str = ""
    #: SHA256 fingerprints, as OpenSSH writes them
    host_keys: tuple[str, ...] = ()
    #: as the configuration says; empty: it does not
    user: str = ""
    #: path of a private key
    identity: str = ""
    port: int = 22
    apiVersion: str = VERSION  # noqa: N815


@dataclass(frozen=True, slots=True)
class ImageTrial:
    """One VM that tries an image."""

    #: launch key of its claim
    claim: str
    node: str = ""
    site: str = ""
    offer: str = ""
    image: str = ""
    instance: str = ""
    #: as of a claim: ``launching``, ``booting``, ..., ``gone``
    state: str = ""
    #: empty until it is known, then ``good`` or ``bad``
    verdict: str = ""
    reason: str = ""
    apiVersion: str = VERSION  # noqa: N815
