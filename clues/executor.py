"""Carries out what was decided and committed: each action becomes one call on a lane, each answer one event.

It keeps no memory but which calls are under way, so that a tick does not send them twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from clues.errors import CloudError, LrmsError, OutcomeUnknown, Transient
from clues.model import (
    Action,
    Annotate,
    Bind,
    Claim,
    Drain,
    Forget,
    GiveUp,
    Launch,
    LaunchOutcome,
    LaunchRequest,
    LaunchTogether,
    Open,
    Pin,
    PowerOff,
    PowerUp,
    Release,
    Reserve,
    Terminate,
)
from clues.ports import Connector, Lrms, Workers, ends


class Answers(Protocol):
    """Who takes the answers, on the owner's thread."""

    def launched(self, outcome: LaunchOutcome) -> None: ...

    def terminated(self, key: str, error: CloudError | None) -> None: ...

    def ordered(self, action: Action, error: BaseException | None) -> None: ...


class Executor:
    """Turns actions into calls."""

    def __init__(
        self,
        workers: Workers,
        lrms: Lrms,
        connectors: Mapping[str, Connector],
        request: Callable[[Claim], LaunchRequest],
        answers: Answers,
        permit: Callable[[], None] = lambda: None,
    ) -> None:
        """
        :param permit: called on the lane before each call that has an effect; raises Transient if it must not be made.
        """
        self._permit = permit
        self._workers, self._lrms, self._request, self._answers = workers, lrms, request, answers
        self.connectors = connectors
        self._in_flight: set[str] = set()

    def use(self, lrms: Lrms, connectors: Mapping[str, Connector]) -> None:
        """Act through other adapters from now on; calls under way end where they began."""
        self._lrms, self.connectors = lrms, connectors

    @property
    def in_flight(self) -> frozenset[str]:
        """Launch keys with a provider's call under way."""
        return frozenset(self._in_flight)

    def carry_out(self, actions: Sequence[Action], claims: Mapping[str, Claim]) -> None:
        """Send off all *actions*; the answers come later."""
        for action in actions:
            match action:
                case Launch(key):
                    self._launch((claims[key],))
                case LaunchTogether(keys):
                    self._launch([claims[key] for key in keys])
                case Terminate(key, site, instance_id):
                    self._terminate(key, site, instance_id)
                case _:
                    self._order(action)

    def _launch(self, claims: Sequence[Claim]) -> None:
        """Have one call made for all of *claims*, which are of one site."""
        site, keys = claims[0].offer.site, [claim.key for claim in claims]

        def call() -> list[LaunchOutcome]:
            requests = [self._request(claim) for claim in claims]
            connector = self._connector(site)
            self._permit()
            outcomes = connector.launch(requests)
            if [one.launch_key for one in outcomes] != keys:
                raise OutcomeUnknown("the connector's answer is not one for each VM that was asked for")
            return outcomes

        def done(outcomes: list[LaunchOutcome] | None, error: BaseException | None) -> None:
            self._in_flight.difference_update(keys)
            if outcomes is None:
                failure = _as_cloud_error(error)
                outcomes = [LaunchOutcome(key, error=failure) for key in keys]
            for outcome in outcomes:
                self._answers.launched(outcome)

        self._in_flight.update(keys)
        self._workers.submit(site, call, done)

    def _terminate(self, key: str, site: str, instance_id: str) -> None:

        def done(_: object, error: BaseException | None) -> None:
            self._in_flight.discard(key)
            self._answers.terminated(key, None if error is None else _as_cloud_error(error))

        def call() -> None:
            connector = self._connector(site)
            self._permit()
            connector.terminate(instance_id)

        self._in_flight.add(key)
        self._workers.submit(ends(site), call, done)

    def _connector(self, site: str) -> Connector:
        try:
            return self.connectors[site]
        except KeyError:
            text = (
                f"site {site} is no longer in the configuration, and a VM of it is: put the site back until it is gone"
            )
            raise Transient(text) from None

    def _order(self, action: Action) -> None:
        lrms = self._lrms

        def call() -> None:
            try:
                self._permit()
            except Transient as error:
                raise LrmsError(str(error)) from error
            match action:
                case Open(nodes):
                    lrms.open(nodes)
                case Drain(nodes, reason):
                    lrms.drain(nodes, reason)
                case PowerOff(nodes, reason, vanished):
                    lrms.power_off(nodes, reason, vanished=vanished)
                case Bind(node, address, features):
                    lrms.bind(node, address, sorted(features))
                case Pin(job, site, original):
                    lrms.pin(job, site, original)
                case Reserve(name, begin, end, nodes):
                    lrms.reserve(name, begin, end, nodes)
                case Release(nodes):
                    lrms.release(nodes)
                case PowerUp(nodes):
                    lrms.power_up(nodes)
                case GiveUp(nodes, reason):
                    lrms.give_up(nodes, reason)
                case Annotate(job, text):
                    lrms.annotate(job, text)
                case Forget(requests):
                    lrms.forget(requests)

        self._workers.submit("lrms", call, lambda _, error: self._answers.ordered(action, error))


def _as_cloud_error(error: BaseException | None) -> CloudError:
    """An error that a connector should have classified and did not may have come after the effect."""
    if isinstance(error, CloudError):
        return error
    return OutcomeUnknown(f"the connector failed in a way that it did not foresee: {type(error).__name__}: {error}")
