"""One account at one OpenNebula."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from clues.errors import InvalidRequest, NotFound, Transient
from clues.model import (
    Finding,
    Flavor,
    Instance,
    InstanceState,
    LaunchRequest,
    Market,
    Offer,
    Price,
    Quota,
)
from clues.ports import PluginContext
from connectors.common.cloud import CloudConnector
from connectors.common.drivers import Drivers, bound
from connectors.common.failures import shown
from connectors.common.http import ReplyTooLarge
from connectors.common.pace import Gate
from connectors.common.tags import tagged, tags_of
from connectors.opennebula import credentials, order
from connectors.opennebula.catalogue import Catalogue, name_of
from connectors.opennebula.config import OpenNebulaConfig, split
from connectors.opennebula.driver import OpenNebulaError, OpenNebulaNodeDriver, register
from connectors.opennebula.examine import examine
from connectors.opennebula.failures import ACTION, FAILURES
from connectors.opennebula.prices import price_of, resources_of
from connectors.opennebula.quota import read_quota
from connectors.opennebula.records import Network, Template, Vm
from connectors.opennebula.states import judge, state_of

T = TypeVar("T")
_log = logging.getLogger(__name__)

#: A VM that boots cannot be ended: tried again within the call for so long; after that the core tries again.
BOOT_PATIENCE = 5.0
#: After an end was promised, so long may pass until it shows.
_SOON = 2.0
_LOOK_AGAIN = 0.2
#: So many VMs are listed at once where all are too many for one reply.
_PIECE = 500
#: Seconds after which it is looked again when our token ends.
_TOKEN_FRESH = 600.0
#: Clocks that differ by less agree.
_SAME_TIME = 5.0
_ENDING = frozenset({InstanceState.STOPPING, InstanceState.GONE})


class OpenNebulaConnector(CloudConnector[OpenNebulaNodeDriver]):
    """A connector over XML-RPC. OpenNebula has no idempotency token: what was launched is known by its attributes."""

    def __init__(self, config: OpenNebulaConfig, context: PluginContext, boot_patience: float = BOOT_PATIENCE) -> None:
        gate = Gate(config.calls_per_second, config.concurrency)
        super().__init__(context, Drivers(self._connect), FAILURES, gate)
        self._config, self._boot_patience = config, boot_patience
        self._catalogue = Catalogue()
        #: one reply had no room for all VMs
        self._in_pieces = False
        #: VMs whose end OpenNebula has promised, and when
        self._promised: dict[str, datetime] = {}
        #: when our token ends, and when that was looked at
        self._until: tuple[datetime | None, float] | None = None

    def _connect(self) -> OpenNebulaNodeDriver:
        user, secret = credentials.read(self._config.credentials)
        secure, host, port, path = split(self._config.endpoint)
        driver = register()(user, secret, secure, f"[{host}]" if ":" in host else host, port, path)
        bound(driver.connection, self._config.timeout.total_seconds())
        if self._config.ca is not None:
            if not self._config.ca.is_file():
                raise InvalidRequest(f"{self._config.ca}, the site's `ca`, is not there")
            driver.connection.trust(self._config.ca)
        return driver

    # --- VMs ------------------------------------------------------------------------------------------------------

    def read_all(self, driver: OpenNebulaNodeDriver) -> list[Instance]:
        """Return our VMs that are not DONE; those are kept by OpenNebula for ever."""
        try:
            vms = self._all_in_pieces(driver) if self._in_pieces else driver.ex_list_vms()
        except ReplyTooLarge:
            self._in_pieces = True  # the next listing
            raise
        for ended in self._promised.keys() - {str(one.id) for one in vms}:
            self._promised.pop(ended, None)
        return [self._instance(driver, one) for one in vms]

    @staticmethod
    def _all_in_pieces(driver: OpenNebulaNodeDriver) -> list[Vm]:
        """Return the same by ranges of ids, which together have no gap and no end: what comes meanwhile is in the last.

        (Offsets would miss a VM for each one that ends meanwhile. A start of -1 would be none, and no end either.)
        """
        ids = driver.ex_list_vm_ids()
        begins = [0, *ids[_PIECE::_PIECE]]
        ends = [one - 1 for one in begins[1:]] + [-1]
        return [vm for begin, end in zip(begins, ends, strict=True) for vm in driver.ex_list_vms(first=begin, last=end)]

    def read(self, driver: OpenNebulaNodeDriver, instance_id: str) -> Instance:
        """Return one VM, whoever owns it."""
        return self._instance(driver, driver.ex_get_vm(_number(instance_id)))

    def create(self, driver: OpenNebulaNodeDriver, request: LaunchRequest) -> Instance:
        """Instantiate the offer's template."""
        choice = self._before(f"prepare {request.node}", lambda: self._choose(driver, request))
        attributes = order.overlay(choice, request)
        try:
            vm = driver.ex_instantiate(choice.template.id, request.node, attributes)
        except OpenNebulaError as error:
            failure = FAILURES.classify(error, f"launch {request.node}", effect=True)
            if isinstance(failure, InvalidRequest | NotFound):
                self._catalogue.forget()  # a name may mean another object by now
            if isinstance(failure, NotFound):
                raise InvalidRequest(str(failure), words=failure.words) from error
            raise
        return tagged(
            tags_of(request),
            instance_id=str(vm),
            site=self.site,
            state=InstanceState.PENDING,
            addresses=(request.address,) if request.address else (),
        )

    def _choose(self, driver: OpenNebulaNodeDriver, request: LaunchRequest) -> order.Choice:
        offer, network = request.offer, self._network(driver)
        if offer.market is not Market.ON_DEMAND:
            raise InvalidRequest(f"OpenNebula has no {offer.market} market")
        if offer.zone:
            raise InvalidRequest("OpenNebula has no availability zones: a template's SCHED_REQUIREMENTS name a cluster")
        if network is not None and request.address and not network.holds(request.address):
            # OpenNebula would say that it has no address left
            raise InvalidRequest(f"{request.address} is no address of the virtual network {shown(network.name)}")
        return order.Choice(
            self._catalogue.templates.find(driver, offer.flavor),
            self._catalogue.images.find(driver, offer.image),
            network,
            self._config.context,
            self._config.anti_spoofing,
        )

    def _network(self, driver: OpenNebulaNodeDriver) -> Network | None:
        return self._catalogue.network(driver, self._config.virtual_network, self._config.range)

    def destroy(self, driver: OpenNebulaNodeDriver, instance: Instance) -> None:
        """End one VM, and see that it ends: a host that cannot stop it has OpenNebula go silently back to RUNNING."""
        promised = self._promised.get(instance.id)
        if promised is not None and instance.state is InstanceState.RUNNING:
            _log.warning("site %s: VM %s: %s", self.site, instance.id, _broken(promised))
        self._terminate(driver, _number(instance.id))
        self._promised[instance.id] = datetime.now(UTC)
        until = time.monotonic() + _SOON
        while state_of(driver.ex_get_vm(_number(instance.id))) not in _ENDING:
            if time.monotonic() >= until:
                raise Transient(f"OpenNebula promised to end VM {instance.id}, and it does not")
            time.sleep(_LOOK_AGAIN)

    def _terminate(self, driver: OpenNebulaNodeDriver, vm: int) -> None:
        until = time.monotonic() + self._boot_patience
        while True:
            try:
                return driver.ex_terminate(vm)
            except OpenNebulaError as error:
                boots = error.code == ACTION and isinstance(FAILURES.classify(error, "end", effect=True), Transient)
                if not boots or time.monotonic() >= until:
                    raise
            time.sleep(_LOOK_AGAIN)

    def _instance(self, driver: OpenNebulaNodeDriver, vm: Vm) -> Instance:
        skew = driver.connection.skew_seconds or 0.0
        skew = skew if abs(skew) > _SAME_TIME else 0.0
        verdict = judge(vm, now=time.time() + skew, patience=self._config.pending)
        fault, promised = verdict.fault, self._promised.get(str(vm.id))
        if promised is not None and verdict.state is InstanceState.RUNNING:
            fault = _broken(promised)
        return tagged(
            {tag: vm.user.get(order.attribute(tag), "") for tag in order.TAGS},
            instance_id=str(vm.id),
            site=self.site,
            state=verdict.state,
            addresses=tuple(nic[key] for nic in vm.nics for key in ("IP", "IP6") if nic.get(key)),
            macs=tuple(nic["MAC"] for nic in vm.nics if "MAC" in nic),
            created_at=datetime.fromtimestamp(vm.started - skew, UTC),
            fault=fault,
            fault_code=verdict.fault_code,
        )

    # --- what it tells of itself ----------------------------------------------------------------------------------

    def read_quota(self, driver: OpenNebulaNodeDriver) -> Quota:
        """Return what user and group may use together."""
        quotas = driver.ex_get_quotas()
        network = self._network(driver)
        return read_quota(*quotas, network.id if network is not None else None)

    def read_flavors(self, driver: OpenNebulaNodeDriver) -> list[Flavor]:
        """Return the VM templates."""
        return [self._flavor(driver, one) for one in self._catalogue.templates.all(driver, fresh=True)]

    def _flavor(self, driver: OpenNebulaNodeDriver, template: Template) -> Flavor:
        price = price_of(template) if self._config.currency else None
        currency = self._config.currency if price is not None else ""
        return Flavor(shown(name_of(template, driver.key)), resources_of(template), price, currency)

    def prices(self, offers: Sequence[Offer]) -> Mapping[str, Price]:
        """Return what the templates' own costs come to, where a currency is configured."""
        if not offers or not self._config.currency:
            return {}
        return self.call("read the prices", lambda driver: self._prices(driver, offers))

    def _prices(self, driver: OpenNebulaNodeDriver, offers: Sequence[Offer]) -> Mapping[str, Price]:
        found: dict[str, Price] = {}
        for offer in offers:
            try:
                amount = price_of(self._catalogue.templates.find(driver, offer.flavor))
            except InvalidRequest:
                continue  # told when it is launched or examined
            if amount is not None and offer.market is Market.ON_DEMAND:
                found[offer.key] = Price(amount, self._config.currency, "the template's own costs")
        return found

    def credentials_until(self) -> datetime | None:
        """Return when the login token ends, where the secret is one: OpenNebula tells of its tokens."""
        if self._until is None or time.monotonic() - self._until[1] > _TOKEN_FRESH:
            self._until = self.call("look at our tokens", _token_ends), time.monotonic()
        return self._until[0]

    def examine(self, offers: Sequence[Offer]) -> list[Finding]:
        """Look whether these offers can be made."""
        return examine(self._config, self._catalogue, self.call, offers)

    # --- calls ----------------------------------------------------------------------------------------------------

    @staticmethod
    def _before(doing: str, work: Callable[[], T]) -> T:
        """Do what has no effect yet, within a call that will have one: its failure is told as harmless."""
        try:
            return work()
        except Exception as error:
            failure = FAILURES.classify(error, doing, effect=False)
            if failure is error:
                raise
            raise failure from error


def _number(instance_id: str) -> int:
    if not instance_id.isdecimal() or not instance_id.isascii() or len(instance_id) > 9:
        raise InvalidRequest(f"{instance_id[:40]!r} is not the id of a VM at OpenNebula")
    return int(instance_id)


def _token_ends(driver: OpenNebulaNodeDriver) -> datetime | None:
    return driver.ex_get_user().ends_of(str(driver.secret))


def _broken(promised: datetime) -> str:
    return f"it was to end at {promised:%H:%M:%S} UTC and runs again: its host could not stop it"
