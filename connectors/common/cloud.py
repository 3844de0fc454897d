"""The part of a connector that is the same for every cloud: when what is asked, in which order, what may be believed.

A provider's own class says how one VM is made, found, read and ended. Nothing is repeated here but a call that was
refused for its token, once, with a new one: the core repeats, with a memory of what failed, and looks before it does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import ClassVar, Generic, TypeVar

from clues.errors import AuthFailed, CloudError, InvalidRequest, NotFound
from clues.model import (
    Finding,
    Flavor,
    Instance,
    InstanceState,
    LaunchOutcome,
    LaunchRequest,
    Listing,
    Offer,
    Price,
    Quota,
)
from clues.ports import PluginContext
from connectors.common.drivers import Drivers
from connectors.common.failures import Failures
from connectors.common.made import Made
from connectors.common.pace import Gate
from connectors.common.together import Keys, Shared

D = TypeVar("D")
T = TypeVar("T")

#: One launch key is worked on by one thread of this process; another process is kept out by the daemon's lock.
_LAUNCHING = Keys()


class CloudConnector(ABC, Generic[D]):
    """A :class:`clues.ports.Connector` on a libcloud driver of type *D*."""

    #: the provider itself makes no second VM for a launch key (a client token): no look is needed before a launch
    CREATES_ONCE: ClassVar[bool] = False

    def __init__(self, context: PluginContext, drivers: Drivers[D], failures: Failures, gate: Gate) -> None:
        self.cluster, self.site = context.cluster, context.name
        self._drivers, self._failures, self._gate = drivers, failures, gate
        self._all = Shared(self._read_all)
        self._made = Made()

    # --- the port -------------------------------------------------------------------------------------------------

    def list_instances(self) -> Listing:
        """Return all instances that carry this cluster's tag."""
        taken_at = datetime.now(UTC)  # before the call: what it does not show may have come since
        return Listing(self.site, taken_at, tuple(self._read_all()))

    def launch(self, requests: Sequence[LaunchRequest]) -> list[LaunchOutcome]:
        """Make one VM for each request, one after the other; the core asks on several threads."""
        return [self._launch(request) for request in requests]

    def terminate(self, instance_id: str) -> None:
        """End one instance that carries our tag."""
        found = self.call(f"look at {instance_id}", lambda driver: self._read_or_none(driver, instance_id))
        if found is None or found.state is InstanceState.GONE:
            return
        if found.cluster != self.cluster:
            raise NotFound(f"this cluster has no instance {instance_id}")
        try:
            self.call(f"end {instance_id}", lambda driver: self.destroy(driver, found), effect=True)
        except NotFound:
            return  # somebody, or it itself, was quicker

    def quota(self) -> Quota | None:
        """Return what the provider allows."""
        return self.call("read the quota", self.read_quota)

    def flavors(self) -> list[Flavor]:
        """Return the instance types on offer."""
        return self.call("read the flavors", self.read_flavors)

    def prices(self, offers: Sequence[Offer]) -> Mapping[str, Price]:
        """Return what these offers cost; here: nobody tells."""
        return {}

    def credentials_until(self) -> datetime | None:
        """Return when the credentials end; here: they do not, or nobody tells."""
        return None

    def console(self, instance_id: str) -> str:
        """Return the end of a VM's console."""
        raise InvalidRequest(f"site {self.site} has no consoles to read")

    @abstractmethod
    def examine(self, offers: Sequence[Offer]) -> list[Finding]:
        """Look whether these offers can be made."""

    # --- what a provider brings -----------------------------------------------------------------------------------

    @abstractmethod
    def read_all(self, driver: D) -> list[Instance]:
        """Return every instance of this cluster at the site, all pages of them."""

    @abstractmethod
    def read(self, driver: D, instance_id: str) -> Instance:
        """Return one instance, whoever owns it; one that is not there may raise what amounts to NotFound."""

    @abstractmethod
    def create(self, driver: D, request: LaunchRequest) -> Instance:
        """Have one VM made, in one call that is sent once."""

    @abstractmethod
    def destroy(self, driver: D, instance: Instance) -> None:
        """End one VM, plug pulled, with all that was made for it."""

    @abstractmethod
    def read_quota(self, driver: D) -> Quota | None:
        """Return what the provider allows, or None where it does not tell."""

    @abstractmethod
    def read_flavors(self, driver: D) -> list[Flavor]:
        """Return the instance types."""

    def find(self, launch_key: str) -> Instance | None:
        """Return the living VM that carries this launch key, asked for now; None when there is none."""
        if (made := self._made.get(launch_key)) is not None:
            one = self.call(f"look at {made}", lambda driver: self._read_or_none(driver, made))
            if one is not None and one.state is not InstanceState.GONE:
                return one
        for one in self._all.get():
            if one.launch_key == launch_key and one.state is not InstanceState.GONE:
                return one
        return None

    def one_at_a_time(self, key: str) -> AbstractContextManager[None]:
        """Run the body while no other thread of this process works on the launch of *key*."""
        return _LAUNCHING.hold(f"{self.cluster} {self.site} {key}")

    # --- calls ----------------------------------------------------------------------------------------------------

    def call(self, doing: str, work: Callable[[D], T], *, effect: bool = False) -> T:
        """Run *work* with this thread's driver, at the site's pace.

        A refused token is renewed and the call repeated, once: what was refused had no effect.

        :param doing: what is done, in words, for the error's message.
        :param effect: the call changes something at the provider.
        :raises CloudError: whatever went wrong, as exactly one type.
        """
        try:
            return self._once(doing, work, effect)
        except AuthFailed:
            self._drivers.renew()
        return self._once(doing, work, effect)

    def _once(self, doing: str, work: Callable[[D], T], effect: bool) -> T:
        with self._gate.call():
            sending = False
            try:
                driver = self._drivers.get()
                sending = True
                return work(driver)
            except Exception as error:
                # what fails before the call itself, at the login, has no effect
                failure = self._failures.classify(error, doing, effect=effect and sending)
                if failure is error:
                    raise
                raise failure from error

    def _read_all(self) -> list[Instance]:
        """Whatever the provider lists twice (pages that overlap) or besides is told once, or not at all."""
        found = self.call("list", self.read_all)
        ours = {one.id: one for one in found if one.cluster == self.cluster}
        self._made.seen(ours)
        return list(ours.values())

    def _read_or_none(self, driver: D, instance_id: str) -> Instance | None:
        try:
            return self.read(driver, instance_id)
        except Exception as error:
            failure = self._failures.classify(error, f"look at {instance_id}", effect=False)
            if isinstance(failure, NotFound):
                return None
            if failure is error:
                raise
            raise failure from error

    def _launch(self, request: LaunchRequest) -> LaunchOutcome:
        key = request.launch_key
        try:
            with self.one_at_a_time(key):
                found = None if self.CREATES_ONCE else self.find(key)
                if found is None:
                    doing = f"launch {request.node}"
                    found = self.call(doing, lambda driver: self.create(driver, request), effect=True)
                    self._made.add(key, found.id)
        except CloudError as error:
            return LaunchOutcome(key, error=error)
        return LaunchOutcome(key, instance=found)
