"""What a claim's VM is launched with, and what it is given when it has enrolled."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from clues.bootstrap.agent import agent
from clues.bootstrap.boot import boot
from clues.bootstrap.provision import whole
from clues.bootstrap.tickets import Tickets
from clues.bootstrap.trust import TrustStore
from clues.bootstrap.user_data import render
from clues.config import CONNECTORS, Loaded, Plugins
from clues.errors import Transient
from clues.model import Attach, Claim, Kind, LaunchRequest, Market
from clues.ports import Lrms, Overlay, Provision

#: how long a VM may take to join whose pool has gone from the configuration meanwhile
_OF_NO_POOL = timedelta(minutes=5)


class Launches:
    """What becomes of a claim's VM, as the configuration in use says it.

    :param configuration: the one that was read last; *overlay* and *lrms* are those in use.
    """

    def __init__(
        self,
        plugins: Plugins,
        cluster: str,
        tickets: Tickets,
        trust: TrustStore,
        configuration: Callable[[], Loaded],
        lrms: Callable[[], Lrms],
        overlay: Callable[[], Overlay],
    ) -> None:
        self._plugins, self._cluster, self._tickets, self._trust = plugins, cluster, tickets, trust
        self._configuration, self._lrms, self._overlay = configuration, lrms, overlay

    def request(self, claim: Claim) -> LaunchRequest:
        """Return what is asked of the provider. Everything but the claim is fixed by the configuration, so a repeated
        launch sends the same bytes.

        :raises Transient: the signer has not published its CA yet.
        """
        loaded = self._configuration()
        user_data = render(
            ca_pem=self._trust.bundle_at(claim.created_at),
            ticket=self._tickets.issue(claim.key),
            mates=[self._tickets.issue(key) for key in claim.batch],
            urls=[_enrolment_url(loaded, claim)],
            node=claim.node,
            kind=claim.kind,
            routes=self._overlay().routes(claim),
            dead_man=loaded.workers.dead_man,
            proof=_proof(loaded, self._plugins, claim),
        )
        return claim.launch_request(self._cluster, user_data)

    def provide(self, claim: Claim) -> Provision:
        """Return what a VM gets that has enrolled."""
        loaded = self._configuration()
        router = claim.kind is Kind.ROUTER
        helper = agent(
            urls=[_enrolment_url(loaded, claim)],
            node=claim.node,
            kind=claim.kind,
            routes=self._overlay().routes(claim),
            hostname=router,
            dead_man=loaded.workers.dead_man,
            spot=_spot_notices(loaded, self._plugins, claim),
        )
        front = loaded.enrolment_at(Kind.WORKER, Attach.ROUTER if claim.tunnel else _attach(loaded, claim)).host
        provision = whole(
            claim,
            Provision() if router else self._lrms().bootstrap(claim.node),
            self._overlay().bootstrap(claim),
            helper,
            [share.mount(front) for share in loaded.shares],
            accounts=loaded.accounts.export,
        )
        return provision.plus(boot(claim, loaded.workers, _join_deadline(loaded, claim)))

    def doubt(self, claim: Claim, proof: str) -> str:
        """Return why what the provider signs about a VM does not show that it is the claim's.

        :raises Transient: the claim's instance is not known yet: a listing will tell it, and the VM comes again.
        """
        loaded = self._configuration()
        if not _proof(loaded, self._plugins, claim):
            return ""
        if not claim.instance_id:
            raise Transient("which VM this claim has is not known yet")
        connector, config = loaded.sites[claim.offer.site]
        return str(self._plugins[CONNECTORS][connector].doubt(config, claim.instance_id, proof))


def _join_deadline(loaded: Loaded, claim: Claim) -> timedelta:
    site, pool = loaded.settings.sites.get(claim.offer.site), loaded.settings.pools.get(claim.pool)
    plan = (site.router if site is not None else None) if claim.kind is Kind.ROUTER else pool
    return plan.join_deadline if plan is not None else _OF_NO_POOL


def _spot_notices(loaded: Loaded, plugins: Plugins, claim: Claim) -> str:
    """Return how the claim's VM hears that its provider takes it back; empty where it does not."""
    connector, _ = loaded.sites.get(claim.offer.site, ("", None))
    if claim.offer.market is not Market.SPOT:
        return ""
    return str(getattr(plugins[CONNECTORS].get(connector), "spot_notices", ""))


def _proof(loaded: Loaded, plugins: Plugins, claim: Claim) -> str:
    """Return what the claim's VM has to bring of its provider's word about it; empty: nothing."""
    connector, config = loaded.sites.get(claim.offer.site, ("", None))
    tell = getattr(plugins[CONNECTORS].get(connector), "proof", None)
    return str(tell(config)) if tell is not None else ""


def _attach(loaded: Loaded, claim: Claim) -> Attach:
    site = loaded.settings.sites.get(claim.offer.site)
    return site.attach if site is not None else Attach.LOCAL


def _enrolment_url(loaded: Loaded, claim: Claim) -> str:
    address = loaded.enrolment_at(claim.kind, _attach(loaded, claim))
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"https://{host}:{address.port}"
