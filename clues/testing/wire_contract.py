"""What a connector to a cloud over HTTP has to withstand, beside what every connector keeps.

Each fault of :mod:`clues.testing.wire_faults` happens to each kind of call, with a stranger's VM of the same name
beside ours. Whatever goes wrong is one typed error that keeps the provider's words, a request with an effect is sent
once, the same launch key then finds the one VM, nothing leaks, and the stranger's VM is not touched.

Inherit :class:`WireContract` in a test module and provide a fixture ``site``, a fresh :class:`WireSite` for each test.
Two VMs of ours and one foreign have to fit into its quota.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import EllipsisType
from typing import ClassVar

import pytest

from clues.errors import AuthFailed, CloudError, NotFound, Throttled, Transient
from clues.model import Instance, InstanceState, LaunchOutcome, Soundness
from clues.ports import Connector
from clues.testing.connector_contract import ALIVE, OURS, ConnectorContract, find, launch, listed, the_one
from clues.testing.wire import When
from clues.testing.wire_faults import Act, WireFault
from clues.testing.wire_meaning import FAULTS, MEANING, PERHAPS, RETRY_AFTER, XML
from clues.testing.wire_site import LONGEST_CALL, WireSite, complaints, failure_of, named, texts, timed

__all__ = ["WireContract", "WireSite"]

LONGEST_WAIT = timedelta(days=1)


class WireContract(ConnectorContract):
    """Inherit this; the declarations say what the provider does otherwise than others."""

    #: ``json`` or ``xml``: what the provider speaks
    FORMAT: ClassVar[str] = "json"
    #: what a fault amounts to at this provider, by (name, op), where it is not what `MEANING` in :mod:`.wire_meaning`
    #: says; None: it is no failure there
    EXPECTED: ClassVar[dict[tuple[str, str], type[CloudError] | None]] = {}
    #: quota() asks the provider
    QUOTA_ON_WIRE: ClassVar[bool] = True
    #: the site under test lists so many VMs at once (fewer than its quota allows); None: all in one reply
    PAGE_SIZE: ClassVar[int | None] = None
    #: how the provider says that it does not know a token (any more)
    UNAUTHORIZED: ClassVar[WireFault] = WireFault.UNAUTHORIZED

    # --- faults on the wire ---------------------------------------------------------------------------------------

    @pytest.mark.parametrize("fault", FAULTS, ids=named)
    def test_a_fault_on_the_wire_is_one_typed_error_and_leaks_nothing(self, site: WireSite, fault: WireFault) -> None:
        if self.FORMAT == "xml":
            fault = XML.get(fault.name, fault)
        connector, wrong = site.connect(OURS), []
        request = site.request(OURS, 1)
        stranger = site.add_foreign(request)
        first = launch(connector, site.request(OURS, 2))

        if self.QUOTA_ON_WIRE:
            wrong += self.suffer(site, fault, "quota", connector.quota)
            connector.quota()

        wrong += self.suffer(site, fault, "list", connector.list_instances)
        assert the_one(connector.list_instances()).id == first.id

        before = site.alive()
        wrong += self.suffer(site, fault, "launch", lambda: launched(connector.launch([request])))
        assert site.alive() == before + fault.forwarded, wrong
        second = launch(connector, request)
        assert launch(site.connect(OURS), request).id == second.id
        assert site.alive() == before + 1
        assert {one.id for one in listed(connector)} == {first.id, second.id}

        wrong += self.suffer(site, fault, "terminate", lambda: connector.terminate(first.id))
        if fault.forwarded:
            self.eventually(lambda: self.is_gone(connector, first.id))
        else:
            assert find(connector, first.id).state in ALIVE
        assert wrong == []
        self.leave(site, connector, stranger)

    @pytest.mark.parametrize("op", ["list", "launch"])
    def test_a_provider_that_says_nothing_is_not_waited_for(self, site: WireSite, op: str) -> None:
        connector, request = site.impatient(OURS), site.request(OURS, 1)
        stranger = site.add_foreign(request)
        calls: dict[str, Callable[[], object]] = {
            "list": connector.list_instances,
            "launch": lambda: launched(connector.launch([request])),
        }
        assert self.suffer(site, WireFault.SILENT, op, calls[op]) == []
        patient = site.connect(OURS)
        launch(patient, request)
        self.leave(site, patient, stranger)

    @pytest.mark.parametrize("told", [None, *RETRY_AFTER], ids=str)
    def test_a_throttled_call_tells_how_long_to_wait_if_that_was_told(self, site: WireSite, told: str | None) -> None:
        connector, request, bounds = site.connect(OURS), site.request(OURS, 1), RETRY_AFTER.get(told or "")
        header = told
        if told == "in 40 s":
            header = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
        fault = WireFault.TOO_MANY if header is None else WireFault.TOO_MANY.with_headers(retry_after=header)
        for op, call in (
            ("list", connector.list_instances),
            ("launch", lambda: launched(connector.launch([request]))),
        ):
            armed = site.wire.next(fault, self.decisive(site, op))
            error = failure_of(call)
            assert type(error) is Throttled, (op, error)
            assert armed.left == 0
            wait = error.retry_after
            if bounds is None:
                assert wait is None or timedelta(0) <= wait <= LONGEST_WAIT
            else:
                assert wait is not None
                assert bounds[0] <= wait.total_seconds() <= bounds[1]
        assert site.alive() == 0

    def test_a_token_that_is_refused_is_renewed_once(self, site: WireSite) -> None:
        connector, request = site.connect(OURS), site.request(OURS, 1)
        calls: dict[str, Callable[[], object]] = {
            "list": connector.list_instances,
            "quota": connector.quota,
            "launch": lambda: launched(connector.launch([request])),
            "terminate": lambda: connector.terminate(the_one(connector.list_instances()).id),
        }
        if not self.QUOTA_ON_WIRE:
            del calls["quota"]
        for op, call in calls.items():
            meant = self.decisive(site, op)
            armed, before = site.wire.next(self.UNAUTHORIZED, meant, times=2), site.wire.count(meant)
            error = failure_of(call)
            assert type(error) is AuthFailed, (op, error)
            assert armed.left == 0, f"{op}: {armed.left} of two refusals were not met"
            assert site.wire.count(meant) - before == 2, op
            assert complaints(error, site.secrets, self.UNAUTHORIZED.says) == []
            armed = site.wire.next(self.UNAUTHORIZED, meant)
            error = failure_of(call)
            assert error is None, (op, error)
            assert armed.left == 0, op
        self.leave(site, connector)

    def test_the_quota_is_asked_for_as_declared(self, site: WireSite) -> None:
        connector = site.connect(OURS)
        site.wire.next(WireFault.SERVER_ERROR, times=10_000)
        error = failure_of(connector.quota)
        assert type(error) is (Transient if self.QUOTA_ON_WIRE else type(None))
        site.wire.clear()

    # --- listings -------------------------------------------------------------------------------------------------

    def test_a_listing_in_pages_is_whole_or_an_error(self, site: WireSite) -> None:
        connector, meant = site.connect(OURS), self.decisive(site, "list")
        made = {launch(connector, site.request(OURS, number)).id for number in range((self.PAGE_SIZE or 1) + 1)}
        before = site.wire.count(meant)
        assert {one.id for one in listed(connector)} == made
        if self.PAGE_SIZE is None:
            assert site.wire.count(meant) - before == 1
        else:
            assert site.wire.count(meant) - before > 1
            for fault in (WireFault.SERVER_ERROR, WireFault.CUT_BODY, WireFault.EMPTY):
                armed = site.wire.next(fault, self.second(meant))
                error = failure_of(connector.list_instances)
                assert type(error) is Transient, (fault.name, error)
                assert armed.left == 0
                site.wire.clear()
            site.wire.freeze(meant, stuck=True)
            error, took = timed(connector.list_instances)
            assert type(error) is Transient, ("pages in a circle", error)
            assert took < LONGEST_CALL
            site.wire.clear()
        self.leave(site, connector)

    def test_a_vm_that_is_listed_twice_is_one(self, site: WireSite) -> None:
        connector = site.connect(OURS)
        made = {launch(connector, site.request(OURS, number)).id for number in (1, 2)}
        site.list_twice()
        ids = [one.id for one in listed(connector)]
        assert len(ids) == 2
        assert set(ids) == made
        self.leave(site, connector)

    def test_a_listing_that_is_old_makes_no_second_vm_and_ends_what_it_does_not_show(self, site: WireSite) -> None:
        connector, request = site.connect(OURS), site.request(OURS, 1)
        site.wire.freeze(self.decisive(site, "list"))
        assert listed(connector) == ()
        made = launch(connector, request)
        assert listed(connector) == ()
        assert launch(connector, request).id == made.id
        assert site.alive() == 1
        site.connect(OURS).terminate(made.id)
        self.eventually(lambda: site.alive() == 0)

    def test_hostile_names_are_listed_and_harm_nobody(self, site: WireSite) -> None:
        connector = site.connect(OURS)
        made = {launch(connector, site.request(OURS, number)).id for number in (1, 2)}
        site.hostile_names()
        found = listed(connector)
        assert {one.id for one in found} == made
        for text in texts(found):
            assert text.isprintable(), repr(text)
            assert len(text) <= 1200
        self.leave(site, connector)

    # --- whose VM it is -------------------------------------------------------------------------------------------

    def test_a_foreign_vm_of_the_same_name_is_neither_listed_nor_taken_nor_ended(self, site: WireSite) -> None:
        connector, request = site.connect(OURS), site.request(OURS, 1)
        stranger = site.add_foreign(request)
        assert listed(connector) == ()
        error = failure_of(lambda: connector.terminate(stranger))
        assert type(error) is NotFound
        assert launch(connector, request).id != stranger
        assert site.alive() == 2
        self.leave(site, connector, stranger)

    def test_a_vm_of_ours_without_its_tags_is_a_stranger(self, site: WireSite) -> None:
        connector = site.connect(OURS)
        made = launch(connector, site.request(OURS, 1))
        site.strip_tags(made)
        for asker in (connector, site.connect(OURS)):
            assert listed(asker) == ()
            error = failure_of(lambda asker=asker: asker.terminate(made.id))  # type: ignore[misc]
            assert type(error) is NotFound
        assert site.alive() == 1

    # --- ends that do not come ------------------------------------------------------------------------------------

    def test_a_vm_that_hangs_is_listed_as_what_it_is_and_can_be_ended_or_the_refusal_has_its_type(
        self, site: WireSite
    ) -> None:
        states = site.transient_states()
        assert InstanceState.UNKNOWN in states.values(), "one state has to be one that nobody has heard of"
        connector = site.connect(OURS)
        for number, (state, expected) in enumerate(states.items()):
            made = launch(connector, site.request(OURS, number))
            site.put_in_state(made, state)
            shown = [one.state for one in listed(connector) if one.id == made.id]
            if expected is InstanceState.GONE and not self.SHOWS_ENDED:
                assert shown == [], state
            else:
                assert shown == [expected], state
            error = failure_of(lambda made=made: connector.terminate(made.id))  # type: ignore[misc]
            if error is not None:
                assert complaints(error, site.secrets) == [], state
                assert [one.state for one in listed(connector) if one.id == made.id] == [expected], state
            site.put_in_state(made, "")
            self.leave(site, connector)

    def test_a_refused_end_has_its_type_and_can_be_repeated(self, site: WireSite) -> None:
        connector = site.connect(OURS)
        made = launch(connector, site.request(OURS, 1))
        site.refuse_terminate(1)
        error = failure_of(lambda: connector.terminate(made.id))
        assert error is not None
        assert complaints(error, site.secrets) == []
        assert find(connector, made.id).state in ALIVE
        self.leave(site, connector)

    def test_an_end_that_was_promised_and_does_not_come_is_seen_and_can_be_repeated(self, site: WireSite) -> None:
        connector = site.connect(OURS)
        made = launch(connector, site.request(OURS, 1))
        site.ignore_terminate(1)
        failure_of(lambda: connector.terminate(made.id))  # it may have noticed
        assert find(connector, made.id).state in ALIVE
        self.leave(site, connector)

    # --- and the rest ---------------------------------------------------------------------------------------------

    def test_the_refusals_that_decide_something_can_be_told_apart(self) -> None:
        assert set(self.ERRORS["launch"]) >= {"no-capacity", "quota", "auth", "throttled"}

    def test_an_examination_of_a_site_that_is_ill_raises_nothing(self, site: WireSite) -> None:
        for fault in (WireFault.SERVER_ERROR, WireFault.GARBAGE, WireFault.LOST_REPLY, self.UNAUTHORIZED):
            site.wire.next(fault, times=10_000)
            findings = site.connect(OURS).examine([site.request(OURS, 1).offer])
            assert any(one.soundness is not Soundness.GOOD for one in findings), fault.name
            assert all(text.isprintable() for text in texts(findings))
            assert not [text for text in texts(findings) for secret in site.secrets if secret in text]
            site.wire.clear()

    # --- helpers --------------------------------------------------------------------------------------------------

    def decisive(self, site: WireSite, op: str) -> When:
        """Return what tells the decisive requests of *op*."""
        return lambda method, path, body: site.is_op(op, method, path, body)

    @staticmethod
    def second(meant: When) -> When:
        """Return what tells the second of the requests that are meant."""
        counter = itertools.count()
        return lambda method, path, body: meant(method, path, body) and next(counter) == 1

    def suffer(self, site: WireSite, fault: WireFault, op: str, call: Callable[[], object]) -> list[str]:
        """Let a fault happen to a call; return what is wrong with how it fails."""
        meant = self.decisive(site, op)
        armed, before = site.wire.next(fault, meant), site.wire.count(meant)
        try:
            error, took = timed(call)
        except Exception as raised:  # noqa: BLE001 - the very thing that must not happen
            return [f"{op}: {type(raised).__name__} is no error of clues: {raised}"]
        finally:
            site.wire.clear()
        wrong = []
        if armed.left:
            wrong.append("no request was sent that is_op knows")
        if (sent := site.wire.count(meant) - before) != 1 and op != "quota":
            wrong.append(f"the request was sent {sent} times")
        if armed.swallowed:
            wrong.append("it read a reply of 100 MiB to its end")
        if took > LONGEST_CALL:
            wrong.append(f"it took {took:.0f} s")
        expected = self.expected(fault, op)
        if error is not None:
            wrong += complaints(error, site.secrets, fault.says)
        if expected is not Ellipsis and type(error) is not (expected or type(None)):
            named = expected.__name__ if expected is not None else "success"
            wrong.append(f"expected {named}, got {type(error).__name__}: {error}")
        return [f"{op}: {one}" for one in wrong]

    def expected(self, fault: WireFault, op: str) -> type[CloudError] | EllipsisType | None:
        """Return the type of error that a fault is for *op*, None for success; an ellipsis where both are right."""
        if (fault.name, op) in self.EXPECTED:
            return self.EXPECTED[fault.name, op]
        if op == "terminate" and fault.code == 200 and fault.act in (Act.ANSWER, Act.TRUNCATE):
            return ...  # a success with an odd body: the status says all that an end has to say
        read, effect = MEANING.get(fault.name.removesuffix("_XML"), PERHAPS)
        return effect if op in ("launch", "terminate") else read

    def leave(self, site: WireSite, connector: Connector, stranger: str = "") -> None:
        """End what is ours, and see that nothing is left but the stranger's."""
        for one in listed(connector):
            connector.terminate(one.id)
        self.eventually(lambda: site.alive() == bool(stranger))
        self.eventually(lambda: all(one.state is InstanceState.GONE for one in listed(connector)))
        assert not stranger or site.foreign_is_untouched(stranger)


def launched(outcomes: list[LaunchOutcome]) -> Instance | None:
    """Return the one instance, or raise the one error."""
    (outcome,) = outcomes
    if outcome.error is not None:
        raise outcome.error
    return outcome.instance
