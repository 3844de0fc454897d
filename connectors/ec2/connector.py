"""One account in one region of AWS, as the core asks for it."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import ClassVar

from clues.errors import CloudError, NoCapacity, NotFound, OutcomeUnknown, Throttled
from clues.model import (
    Finding,
    Flavor,
    Instance,
    InstanceState,
    Kind,
    LaunchOutcome,
    LaunchRequest,
    Market,
    Offer,
    Price,
    Quota,
)
from clues.ports import PluginContext
from connectors.common.cloud import CloudConnector
from connectors.common.drivers import Drivers
from connectors.common.pace import Gate
from connectors.common.tags import CLUSTER
from connectors.ec2 import flavors, mates, prices
from connectors.ec2.api import Ec2Driver, Odd, Refused, numbered, text
from connectors.ec2.batches import Batches, BatchFailed
from connectors.ec2.config import Ec2Config
from connectors.ec2.credentials import Source
from connectors.ec2.errors import FAILURES
from connectors.ec2.examine import examine
from connectors.ec2.groups import Groups
from connectors.ec2.images import Images
from connectors.ec2.instances import Seen, read, read_all
from connectors.ec2.pricelist import PriceList
from connectors.ec2.run import parameters, together
from connectors.ec2.wiring import wire

log = logging.getLogger(__name__)

_PAGE = "1000"
#: A refusal with one of these may be about one instance of several; the others are then ended alone.
_ABOUT_ONE = ("InvalidInstanceID", "OperationNotPermitted", "UnauthorizedOperation", "Unsupported", "Incorrect")
_ENDED = (InstanceState.STOPPING, InstanceState.GONE)


class Ec2Connector(CloudConnector[Ec2Driver]):
    """A :class:`clues.ports.Connector` for EC2. Safe to call from several threads at once."""

    #: a launch key is EC2's client token: the same one gives the same instance until a day after its end
    CREATES_ONCE: ClassVar[bool] = True

    def __init__(self, config: Ec2Config, context: PluginContext) -> None:
        self._config = config
        self._source = Source(config.profile, config.credentials)
        super().__init__(
            context,
            _Drivers(lambda: Ec2Driver(config, self._source.get), self._source),
            FAILURES,
            Gate(config.calls_per_second, config.concurrency),
        )
        # RunInstances has an allowance of its own at AWS, far below that of other calls
        self._launches = Gate(config.launches_per_second, config.concurrency)
        #: the most VMs that one launch makes
        self.batch = min(config.batch, mates.most(len(config.tags)))
        self._images = Images(config.image_owner, newest=config.newest_image)
        self._price_list = PriceList(config)
        self._groups = Groups(context.cluster)
        self._looks = Batches(self._look)
        self._ends = Batches(_terminate)
        self._route_ranges = config.route_ranges or tuple(filter(None, (context.network,)))
        #: routers that are known to pass on packets, and to have the routes
        self._wired: set[str] = set()

    # --- the port -------------------------------------------------------------------------------------------------

    def launch(self, requests: Sequence[LaunchRequest]) -> list[LaunchOutcome]:
        """Make one VM for each request; those that make up a call are asked for in one."""
        if not requests or not requests[0].batch:
            return super().launch(requests)
        keys = [one.launch_key for one in requests]
        doing = f"launch {len(keys)} VMs of pool {requests[0].pool}"
        try:
            # what was sent before `batch` was lowered has to be sent again as it was
            mates.check(requests, mates.most(len(self._config.tags)))
            with self._launches.call(), self.one_at_a_time(mates.token_of(keys)):
                made = self.call(doing, lambda driver: self._create_together(driver, requests), effect=True)
        except CloudError as error:
            return [LaunchOutcome(key, error=error) for key in keys]
        missing = NoCapacity(f"{doing}: there was room for {len(made)} of them")
        return [
            LaunchOutcome(key, instance=made[key]) if key in made else LaunchOutcome(key, error=missing) for key in keys
        ]

    def prices(self, offers: Sequence[Offer]) -> Mapping[str, Price]:
        """Return spot prices from EC2's history, and others from AWS's price list, else from libcloud's table."""
        flavors = list(dict.fromkeys(one.flavor for one in offers if one.market is Market.ON_DEMAND))
        listed = self._price_list.prices(flavors, lambda work: self.call("ask AWS's price list", work))
        spot = self.call("read the prices", lambda driver: prices.spot(driver, offers, self._config))
        return prices.on_demand(offers, self._config.region, listed) | spot

    def credentials_until(self) -> datetime | None:
        """Return when the session ends that the keys belong to; None for keys that last."""
        return self._source.until()

    def console(self, instance_id: str) -> str:
        """Return what the VM has written on its serial console: its last 64 KB."""

        def work(driver: Ec2Driver) -> str:
            if self.read(driver, instance_id).cluster != self.cluster:
                raise NotFound(f"this cluster has no instance {instance_id}")
            try:
                answer = driver.ask("GetConsoleOutput", {"InstanceId": instance_id, "Latest": "true"})
            except Refused as error:
                if not error.code.startswith("Unsupported"):
                    raise
                # only types of the Nitro kind tell what is being written now
                answer = driver.ask("GetConsoleOutput", {"InstanceId": instance_id})
            return base64.b64decode(text(answer, "output")).decode(errors="replace")

        return self.call(f"read the console of {instance_id}", work)

    def examine(self, offers: Sequence[Offer]) -> list[Finding]:
        """Look at keys, clock, permissions, subnet, groups, images and flavors."""
        return examine(self.call, self._config, self._images, self.cluster, self.site, offers)

    # --- what the base asks ---------------------------------------------------------------------------------------

    def read_all(self, driver: Ec2Driver) -> list[Instance]:
        """Return all instances with our cluster's tag, ended ones for about an hour after their end."""
        filters = numbered("", {f"tag:{CLUSTER}": self.cluster})
        seen: list[Seen] = []
        for page in driver.pages("DescribeInstances", {"MaxResults": _PAGE, **filters}):
            seen += read_all(page, self.site)
        ours = [one for one in seen if one.instance.cluster == self.cluster]
        for one in ours:
            self._wire(driver, one)
        if self._config.placement == "cluster":
            self._groups.tidy(driver, {one.group for one in ours if one.instance.state is not InstanceState.GONE})
        return [one.instance for one in ours]

    def read(self, driver: Ec2Driver, instance_id: str) -> Instance:
        """Return one instance; looks that several threads want at once go out as one."""
        try:
            found, _ = self._looks.ask(driver, instance_id)
        except BatchFailed as error:
            raise _cause(error) from error
        if instance_id not in found:
            raise NotFound(f"there is no instance {instance_id}")
        return found[instance_id].instance

    def create(self, driver: Ec2Driver, request: LaunchRequest) -> Instance:
        """Have one VM made. Its client token makes it one, however often it is asked for."""
        image = self._images.find(driver, request.offer.image)
        with self._group(driver, request) as group:
            made = self._run(driver, parameters(request, self._config, image, group), [request])[request.launch_key]
        self._wire(driver, made)
        return made.instance

    def _create_together(self, driver: Ec2Driver, requests: Sequence[LaunchRequest]) -> dict[str, Instance]:
        """Have several VMs made by one call, and return them by their keys. Its client token makes them once."""
        image = self._images.find(driver, requests[0].offer.image)
        with self._group(driver, requests[0]) as group:
            seen = self._run(driver, together(requests, self._config, image, group), requests)
        return {key: one.instance for key, one in seen.items()}

    def destroy(self, driver: Ec2Driver, instance: Instance) -> None:
        """End one VM; its volumes and its network card go with it. Those ended at the same time go out as one call."""
        try:
            self._ends.ask(driver, instance.id)
        except BatchFailed as failed:
            error = _cause(failed)
            if failed.items == 1 or not (isinstance(error, Refused) and error.code.startswith(_ABOUT_ONE)):
                raise error from failed
            _terminate(driver, [instance.id])

    def read_quota(self, driver: Ec2Driver) -> Quota | None:
        """Return None. EC2 tells no limits that hold (``max-instances`` of DescribeAccountAttributes is none since
        vCPUs are counted), and those of Service Quotas are for families of types, which no limit of a site expresses.
        """
        return None

    def read_flavors(self, driver: Ec2Driver) -> list[Flavor]:
        """Return the instance types of the region."""
        return flavors.read(driver, self._config.region)

    def _launch(self, request: LaunchRequest) -> LaunchOutcome:
        """Launch at the pace of RunInstances; who waits for that keeps no other call from being sent."""
        try:
            with self._launches.call():
                return super()._launch(request)
        except Throttled as error:
            return LaunchOutcome(request.launch_key, error=error)

    # --- parts of them --------------------------------------------------------------------------------------------

    def _group(self, driver: Ec2Driver, request: LaunchRequest) -> AbstractContextManager[str]:
        if self._config.placement != "cluster" or not request.gang:
            return nullcontext("")
        return self._groups.holding(driver, request.gang)

    def _run(self, driver: Ec2Driver, params: Mapping[str, str], requests: Sequence[LaunchRequest]) -> dict[str, Seen]:
        """Return what a launch has made, by launch key.

        :raises Odd: that is nothing, or not what was asked for.
        """
        keys = {one.launch_key for one in requests}
        try:
            answer = driver.ask("RunInstances", params)
        except Refused as error:
            if error.code != "IdempotentParameterMismatch":
                raise
            # what the image's name or the template's version means has changed between two launches with this token
            return self._made_before(driver, params["ClientToken"], keys, error)
        made = [read(item, self.site) for item in answer.findall("instancesSet/item")]
        found = {one.instance.launch_key: one for one in made}
        if len(keys) == len(made) == 1:
            return {keys.pop(): made[0]}  # also one whose tags somebody has taken away since
        least = int(params["MinCount"])
        if not least <= len(made) <= len(keys) or len(found) < len(made) or not keys.issuperset(found):
            raise Odd(f"{len(keys)} VMs were asked for, {len(made)} are told, with the keys of {len(found)}")
        return found

    def _made_before(self, driver: Ec2Driver, token: str, keys: set[str], error: Refused) -> dict[str, Seen]:
        filters = numbered("", {"client-token": token, f"tag:{CLUSTER}": self.cluster})
        pages = driver.pages("DescribeInstances", {"MaxResults": _PAGE, **filters})
        listed = [one for page in pages for one in read_all(page, self.site)]
        found = {one.instance.launch_key: one for one in listed if one.instance.state not in _ENDED}
        if mine := {key: one for key, one in found.items() if key in keys}:
            return mine
        raise OutcomeUnknown(
            "launch: an earlier launch with this token asked for something else, and its VMs are not listed",
            words=error.said.words,
        )

    def _look(self, driver: Ec2Driver, ids: list[str]) -> dict[str, Seen]:
        """Return those of *ids* that exist: as a filter, an unknown id is no error that hides the others."""
        filters = {"Filter.1.Name": "instance-id", **numbered("Filter.1.Value", ids)}
        pages = driver.pages("DescribeInstances", {"MaxResults": _PAGE, **filters})
        return {one.instance.id: one for page in pages for one in read_all(page, self.site)}

    def _wire(self, driver: Ec2Driver, one: Seen) -> None:
        """Make a router one to EC2, too. A listing or a launch does not fail for that: the next listing tries again."""
        instance = one.instance
        if instance.kind != Kind.ROUTER or instance.state not in (InstanceState.PENDING, InstanceState.RUNNING):
            return
        if instance.id in self._wired and not one.checked:
            return
        try:
            wire(driver, one, self._config.route_table, self._route_ranges)
            self._wired.add(instance.id)
        except Exception as error:  # noqa: BLE001 - whatever it is, the VM is there, and is told
            failure = FAILURES.classify(error, "wire it", effect=True)
            log.warning("%s: router %s cannot pass on packets yet: %s", self.site, instance.id, failure)


class _Drivers(Drivers[Ec2Driver]):
    def __init__(self, make: Callable[[], Ec2Driver], source: Source) -> None:
        super().__init__(make)
        self._source = source

    def renew(self) -> None:
        """Read the keys anew, too."""
        self._source.forget()
        super().renew()


def _terminate(driver: Ec2Driver, ids: list[str]) -> None:
    driver.ask("TerminateInstances", numbered("InstanceId", ids))


def _cause(failed: BatchFailed) -> BaseException:
    return failed.__cause__ or failed
