"""A site that is a project at an OpenStack cloud, as a :class:`clues.ports.Connector`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from clues.errors import CloudError, InvalidRequest, NotFound
from clues.model import (
    Finding,
    Flavor,
    Instance,
    InstanceState,
    Kind,
    LaunchRequest,
    Listing,
    Market,
    Offer,
    Quota,
)
from clues.ports import PluginContext
from connectors.common.cloud import CloudConnector
from connectors.common.drivers import Drivers
from connectors.common.failures import Refused
from connectors.common.pace import Gate
from connectors.common.tags import tagged, tags_of
from connectors.openstack import clouds
from connectors.openstack.api import TAG_FILTER, TAGS_AT_CREATE, Cloud, Compute, PagesMoved, segment
from connectors.openstack.catalogue import Catalogue
from connectors.openstack.config import OpenStackConfig
from connectors.openstack.examine import Examiner
from connectors.openstack.failures import FAILURES
from connectors.openstack.gangs import Gangs
from connectors.openstack.identity import Session
from connectors.openstack.limits import quota_of
from connectors.openstack.oidc import AccessTokens
from connectors.openstack.ports import AlreadyThereError, Belongings, Made, Ports
from connectors.openstack.servers import Parts, body_of, tag_of
from connectors.openstack.states import instance_of

log = logging.getLogger(__name__)

#: a look for what was left behind is taken with every listing that is so long after the last look
_SWEEP_EVERY = 60.0
#: a list that changes while its pages are read is read anew so often
_READS = 3
_PAGE = 1000
_CONSOLE_LINES = 500
_CONSOLE_LARGEST = 2**18


class OpenStackConnector(CloudConnector[Cloud]):
    """One project of one cloud, for one cluster. Safe to call from several threads."""

    def __init__(
        self, config: OpenStackConfig, context: PluginContext, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        timeout = config.timeout.total_seconds()
        kept = context.state / f"openstack-{context.name}.refresh-token"
        tokens = None if config.oidc is None else AccessTokens(config.oidc, kept, timeout, FAILURES)
        self.session = Session(
            lambda: clouds.read(config.cloud, config.clouds_file, has_oidc=tokens is not None),
            tokens,
            config.region,
            timeout,
            FAILURES,
        )
        compute = Compute()
        super().__init__(
            context,
            Drivers(lambda: Cloud(self.session, timeout, compute)),
            FAILURES,
            Gate(config.calls_per_second, config.concurrency),
        )
        self._config = config
        self._catalogue = Catalogue(config)
        carried = tuple(dict.fromkeys(filter(None, (context.network, *config.router_carries))))
        self._ports = Ports(self.cluster, self.site, config, self._catalogue, carried, monotonic)
        self._gangs = Gangs(self.cluster, self.site, config.server_group, FAILURES, monotonic)
        self._monotonic, self._sweeping = monotonic, threading.Lock()
        self._swept_at: float | None = None

    # --- listing --------------------------------------------------------------------------------------------------

    def list_instances(self) -> Listing:
        """Return all instances that carry this cluster's tag; and now and then, delete what others have left behind."""
        if not self._sweep_is_due() or not self._sweeping.acquire(blocking=False):
            return super().list_instances()
        try:
            self._swept_at = self._monotonic()
            belongings = self._look_for_belongings()
            listing = super().list_instances()
            self._sweep(belongings, listing)
            return listing
        finally:
            self._sweeping.release()

    def read_all(self, driver: Cloud) -> list[Instance]:
        """Return every server of the project; whose they are is looked at by the caller."""
        for _ in range(_READS - 1):
            try:
                return self._servers(driver)
            except PagesMoved:
                continue  # the server whose page was to follow has gone meanwhile
        return self._servers(driver)

    def _servers(self, driver: Cloud, **narrowed: str) -> list[Instance]:
        pages = driver.pages("compute", "/servers/detail", "servers", limit=_PAGE, **narrowed)
        return [instance_of(one, self.site) for one in pages]

    def read(self, driver: Cloud, instance_id: str) -> Instance:
        """Return one server of the project."""
        return instance_of(driver.get("compute", f"/servers/{segment(instance_id)}")["server"], self.site)

    def find(self, launch_key: str) -> Instance | None:
        """Return the living VM of this launch key. Nova is asked by server tag, which is set in the call that makes the
        server; one that cannot do that is asked for all."""
        if launch_key in self._made or not self.call("log in", lambda cloud: cloud.version >= TAGS_AT_CREATE):
            return super().find(launch_key)
        return self.call("look for a VM", lambda cloud: self._find(cloud, launch_key))

    def _find(self, cloud: Cloud, launch_key: str) -> Instance | None:
        narrowed = {"tags": tag_of(launch_key)} if cloud.version >= max(TAG_FILTER, TAGS_AT_CREATE) else {}
        for one in self._servers(cloud, **narrowed):
            ours = (one.cluster, one.launch_key) == (self.cluster, launch_key)
            if ours and one.state is not InstanceState.GONE:
                return one
        return None

    # --- making ---------------------------------------------------------------------------------------------------

    def create(self, driver: Cloud, request: LaunchRequest) -> Instance:
        """Have one VM made: first its port, if it needs one of its own, then the server."""
        made: Made | None = None
        try:
            parts = self._parts(driver, request)
            made = self._ports.make(driver, request, parts.place, self._find)
            body = body_of(request, parts.with_port(made), self._config, driver.version)
        except AlreadyThereError as there:
            return there.instance
        except Exception as error:
            # no VM has been asked for yet
            if made is not None:
                self._discard(driver, request)
            failure = self._meant(error, request, effect=False)
            if failure is error:
                raise
            raise failure from error
        try:
            server_id = driver.post("compute", "/servers", body)["server"]["id"]
            if not isinstance(server_id, str):
                raise TypeError("a server without an id")
        except Exception as error:
            failure = self._meant(error, request, effect=True)
            if failure.no_effect and made is not None:
                self._discard(driver, request)
            if failure is error:
                raise
            raise failure from error
        return tagged(
            tags_of(request),
            instance_id=server_id,
            site=self.site,
            state=InstanceState.PENDING,
            addresses=(parts.address,) if parts.address else (),
        )

    def _parts(self, cloud: Cloud, request: LaunchRequest) -> Parts:
        if request.offer.market is not Market.ON_DEMAND:
            raise InvalidRequest("OpenStack has no spot market: take `market` out of the offer")
        groups = self._config.router_security_groups if request.kind is Kind.ROUTER else ()
        return Parts(
            flavor=self._catalogue.flavor(cloud, request.offer.flavor),
            image=self._catalogue.image(cloud, request.offer.image).id,
            place=self._catalogue.place(cloud),
            security_groups=self._catalogue.security_groups(cloud, groups or self._config.security_groups),
            server_group=self._gangs.group_for(cloud, request.gang),
            address=self._ports.address_for(request),
        )

    def _meant(self, error: Exception, request: LaunchRequest, *, effect: bool) -> CloudError:
        """What is not found while a VM is made is something that the request names."""
        failure = self._failures.classify(error, f"launch {request.node}", effect=effect)
        if isinstance(failure, InvalidRequest | NotFound):
            self._catalogue.forget()  # it was known a moment ago, or is made a moment later
        if isinstance(failure, NotFound):
            return InvalidRequest(str(failure), words=failure.words)
        return failure

    def _discard(self, cloud: Cloud, request: LaunchRequest) -> None:
        self._ports.discard(cloud, request.launch_key, router=request.kind is Kind.ROUTER)

    # --- ending ---------------------------------------------------------------------------------------------------

    def destroy(self, driver: Cloud, instance: Instance) -> None:
        """End one VM, then delete its port and its floating IP. Nova takes its time, and is not hindered by that."""
        driver.delete("compute", f"/servers/{segment(instance.id)}")
        self._ports.discard(driver, instance.launch_key, router=instance.kind == Kind.ROUTER)

    def _sweep_is_due(self) -> bool:
        last = self._swept_at
        return last is None or self._ports.unfinished or self._monotonic() - last >= _SWEEP_EVERY

    def _look_for_belongings(self) -> Belongings | None:
        try:
            return self.call("look for ports", self._ports.look)
        except CloudError as error:
            self._ports.unfinished = False
            log.warning("site %s: nobody looks for ports that were left behind: %s", self.site, error)
            return None

    def _sweep(self, belongings: Belongings | None, listing: Listing) -> None:
        try:
            if belongings is not None:
                self.call("clear up", lambda cloud: self._ports.sweep(cloud, belongings, listing.instances))
            self.call("clear up", self._gangs.sweep)
        except CloudError as error:
            # the next one in its time: a port that can never be deleted is no reason to ask with every listing
            log.warning("site %s: something is left behind for later: %s", self.site, error)

    # --- what it tells --------------------------------------------------------------------------------------------

    def read_quota(self, driver: Cloud) -> Quota:
        """Return the project's quota."""
        return quota_of(driver)

    def read_flavors(self, driver: Cloud) -> list[Flavor]:
        """Return the instance types; OpenStack has no prices."""
        return [Flavor(one.name, one.resources) for one in self._catalogue.flavors(driver)]

    def credentials_until(self) -> datetime | None:
        """Return when the credentials end, as keystone or the token itself tells."""
        try:
            return self.session.until()
        except CloudError:
            return None  # there are none that work: every other call says so

    def console(self, instance_id: str) -> str:
        """Return the last lines of a VM's console."""
        doing = f"read the console of {instance_id}"
        one = self.call(doing, lambda cloud: self.read(cloud, instance_id))
        if one.cluster != self.cluster:
            raise NotFound(f"this cluster has no instance {instance_id}")
        return self.call(doing, lambda cloud: _console(cloud, instance_id))

    def examine(self, offers: Sequence[Offer]) -> list[Finding]:
        """Look whether these offers can be made."""
        return Examiner(self._config, self._catalogue, self.session, self.call).examine(offers)


def _console(cloud: Cloud, instance_id: str) -> str:
    wish = {"os-getConsoleOutput": {"length": _CONSOLE_LINES}}
    try:
        output = cloud.post("compute", f"/servers/{segment(instance_id)}/action", wish)["output"]
    except Refused as refused:
        if refused.said.status == 409:
            return ""  # it is not ready yet
        raise
    return str(output or "")[-_CONSOLE_LARGEST:]
