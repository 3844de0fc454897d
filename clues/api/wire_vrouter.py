"""What goes over the wire about the private network: central points, tunnels, shortcuts, and the cluster's CA.

The rules are those of ``wire.py``; a file of its own keeps both short.
"""

from __future__ import annotations

from dataclasses import dataclass

from clues.api.wire import VERSION, listed

#: The words of the STATE column for a router, or for a worker that has a tunnel of its own.
TUNNEL_STATES: dict[str, str] = {
    "up": "its tunnel is up",
    "down": "it should have a tunnel, and a central point that is up has none of it",
    "unknown": "no central point tells of its tunnels now; tunnels that were up go on",
    "wanted": "bought on paper, waits for its turn to be launched",
    "launching": "the provider has been asked for a VM",
    "booting": "the VM exists and boots",
    "joining": "the VM has enrolled; its tunnel is not up yet",
    "draining": "nothing needs it any more, or an operator ended it",
    "stopping": "its VM is being ended",
    "failed": "it did not work out, or it was evicted; its VM will be ended",
    "leaving": "a tunnel of a claim that has ended; the broker cuts it",
}


@dataclass(frozen=True, slots=True)
class HubView:
    """One central point."""

    name: str
    #: ``up``, ``down`` or ``unknown``
    state: str = ""
    #: how old what is told of it is
    age_seconds: float | None = None
    #: revision of the inventory that it goes by
    revision: int = 0
    certificate_ends: str = ""
    certificate_left_seconds: float | None = None
    crl_ends: str = ""
    crl_left_seconds: float | None = None
    tunnels: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class TunnelView:
    """A router, or a worker that is attached directly, and its tunnel."""

    #: ``router-SITE``, or the worker's node name
    node: str
    state: str
    site: str = ""
    #: ``router`` or ``worker``
    kind: str = ""
    #: launch key of its claim: the common name of its certificate
    claim: str = ""
    hub: str = ""
    #: where its packets come from, ``address:port``
    real: str = ""
    #: the address of its own end of the tunnel
    address: str = ""
    #: how long the tunnel is up; without a tunnel, how long the claim is in its state
    age_seconds: float | None = None
    #: bytes since the tunnel is up, as the central point counts them
    received: int = 0
    sent: int = 0
    certificate_ends: str = ""
    certificate_left_seconds: float | None = None
    #: nodes that it reaches by a shortcut, past the central point
    shortcuts: tuple[str, ...] = ()
    #: live workers behind it
    workers: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ShortcutView:
    """A direct tunnel between two routers."""

    nodes: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    #: ``up`` or ``down``; down, its traffic goes through a central point
    state: str = ""
    age_seconds: float | None = None
    received: int = 0
    sent: int = 0


@dataclass(frozen=True, slots=True)
class VrouterStatus:
    """The private network in one screen."""

    #: how old the last good look at the central points is; null without one
    age_seconds: float | None = None
    #: why the latest look failed
    error: str = ""
    #: sites that are joined by tunnels, in the order of the configuration
    sites: tuple[str, ...] = ()
    hubs: tuple[HubView, ...] = listed(HubView)
    tunnels: tuple[TunnelView, ...] = listed(TunnelView)
    shortcuts: tuple[ShortcutView, ...] = listed(ShortcutView)
    #: hosts in a site's network that are no VM of this cluster
    strangers: tuple[str, ...] = ()
    #: what a sysadmin has to see to
    troubles: tuple[str, ...] = ()
    tick: int = 0
    apiVersion: str = VERSION  # noqa: N815


@dataclass(frozen=True, slots=True)
class Evicted:
    """A VM that is out of the cluster from now on."""

    claim: str
    node: str = ""
    site: str = ""
    who: str = ""
    apiVersion: str = VERSION  # noqa: N815


@dataclass(frozen=True, slots=True)
class CaGenerationView:
    """One key of the cluster's CA."""

    name: str
    #: ``signs``: new certificates come from it; ``trusted``: those that it signed are still good
    state: str = ""
    since: str = ""
    ends: str = ""
    left_seconds: float | None = None
    certificates: int = 0


@dataclass(frozen=True, slots=True)
class CaView:
    """The cluster's CA, as the signer tells of it."""

    generations: tuple[CaGenerationView, ...] = listed(CaGenerationView)
    crl_ends: str = ""
    crl_left_seconds: float | None = None
    revoked: int = 0
    #: what `clues vrouter ca rotate` would do now
    next: str = ""
    apiVersion: str = VERSION  # noqa: N815


@dataclass(frozen=True, slots=True)
class CaRotated:
    """One step to a new CA, taken."""

    done: str
    next: str = ""
    who: str = ""
    apiVersion: str = VERSION  # noqa: N815
