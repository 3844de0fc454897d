"""Actions become calls, answers become events, and nothing is sent twice while it is under way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest

from clues.errors import CloudError, LrmsError, NoCapacity, NotFound, OutcomeUnknown, Transient
from clues.executor import Executor
from clues.model import (
    Action,
    Annotate,
    Bind,
    Claim,
    ClaimState,
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
    Terminate,
)
from tests.unit.builders import make_claim, make_instance

CLAIM = make_claim(state=ClaimState.LAUNCHING)


class Held:
    """Workers that wait to be told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Callable[[], Any], Callable[[Any, BaseException | None], None]]] = []

    def submit(self, lane: str, call: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        self.calls.append((lane, call, done))

    def work(self) -> list[str]:
        lanes = []
        while self.calls:
            lane, call, done = self.calls.pop(0)
            lanes.append(lane)
            result, error = None, None
            try:
                result = call()
            except Exception as raised:  # noqa: BLE001 - as the real workers do
                error = raised
            done(result, error)
        return lanes


class Recorder:
    """A site, a batch system, and the one who takes the answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.answers: list[tuple[Any, ...]] = []
        self.error: BaseException | None = None
        self.outcomes: list[LaunchOutcome] = [LaunchOutcome(CLAIM.key, make_instance(CLAIM))]

    def _ask(self, *what: Any) -> None:
        self.asked.append(what)
        if self.error is not None:
            raise self.error

    def launch(self, requests: Sequence[LaunchRequest]) -> list[LaunchOutcome]:
        self._ask("launch", *(request.launch_key for request in requests))
        return self.outcomes

    def terminate(self, instance_id: str) -> None:
        self._ask("terminate", instance_id)

    def open(self, nodes: Sequence[str]) -> None:
        self._ask("open", nodes)

    def drain(self, nodes: Sequence[str], reason: str) -> None:
        self._ask("drain", nodes, reason)

    def power_off(self, nodes: Sequence[str], reason: str, *, vanished: bool) -> tuple[str, ...]:
        self._ask("power_off", nodes, reason, vanished)
        return tuple(nodes)

    def bind(self, node: str, address: str, features: Sequence[str]) -> None:
        self._ask("bind", node, address, features)

    def pin(self, job: str, site: str, original: str) -> None:
        self._ask("pin", job, site, original)

    def reserve(self, name: str, begin: datetime, end: datetime, nodes: Sequence[str]) -> None:
        self._ask("reserve", name, begin, end, nodes)

    def release(self, nodes: Sequence[str]) -> None:
        self._ask("release", nodes)

    def power_up(self, nodes: Sequence[str]) -> None:
        self._ask("power_up", nodes)

    def give_up(self, nodes: Sequence[str], reason: str) -> tuple[str, ...]:
        self._ask("give_up", nodes, reason)
        return tuple(nodes)

    def annotate(self, job: str, text: str) -> None:
        self._ask("annotate", job, text)

    def forget(self, requests: Sequence[str]) -> None:
        self._ask("forget", requests)

    def launched(self, outcome: LaunchOutcome) -> None:
        self.answers.append(("launched", outcome.launch_key, outcome.instance and outcome.instance.id, outcome.error))

    def terminated(self, key: str, error: CloudError | None) -> None:
        self.answers.append(("terminated", key, error))

    def ordered(self, action: Action, error: BaseException | None) -> None:
        self.answers.append(("ordered", action, error))


def request(claim: Claim) -> LaunchRequest:
    return LaunchRequest(
        cluster="uuid",
        launch_key=claim.key,
        kind=claim.kind,
        node=claim.node,
        pool=claim.pool,
        generation=claim.generation,
        offer=claim.offer,
        shape=claim.shape,
        user_data="#!",
    )


@pytest.fixture
def parts() -> tuple[Held, Recorder, Executor]:
    workers, recorder = Held(), Recorder()
    executor = Executor(workers, recorder, {"cesnet": recorder}, request, recorder)  # type: ignore[arg-type, dict-item]
    return workers, recorder, executor


def act(executor: Executor, *actions: Action) -> None:
    executor.carry_out(actions, {CLAIM.key: CLAIM})


def test_a_launch_goes_out_on_its_sites_lane_and_its_answer_comes_back(parts: tuple[Held, Recorder, Executor]) -> None:
    workers, recorder, executor = parts
    act(executor, Launch(CLAIM.key))
    assert executor.in_flight == {CLAIM.key}
    assert recorder.asked == []
    assert workers.work() == ["cesnet"]
    assert executor.in_flight == frozenset()
    assert recorder.answers == [("launched", CLAIM.key, "i-cpu-1", None)]


ORDERS: list[tuple[Action, tuple[Any, ...]]] = [
    (Open(("cpu-1", "cpu-2")), ("open", ("cpu-1", "cpu-2"))),
    (Drain(("cpu-1",), "clues:off"), ("drain", ("cpu-1",), "clues:off")),
    (PowerOff(("cpu-1",), "clues:off", vanished=True), ("power_off", ("cpu-1",), "clues:off", True)),
    (Release(("cpu-1",)), ("release", ("cpu-1",))),
    (PowerUp(("cpu-1",)), ("power_up", ("cpu-1",))),
    (GiveUp(("cpu-1",), "clues:none"), ("give_up", ("cpu-1",), "clues:none")),
    (Annotate("42", "no room"), ("annotate", "42", "no room")),
    (Forget(("a.json",)), ("forget", ("a.json",))),
    (Bind("cpu-1", "10.77.1.10", frozenset({"upv", "cpu"})), ("bind", "cpu-1", "10.77.1.10", ["cpu", "upv"])),
    (Pin("101", "upv", "a"), ("pin", "101", "upv", "a")),
]


@pytest.mark.parametrize(("action", "asked"), ORDERS)
def test_orders_go_to_the_batch_system(
    parts: tuple[Held, Recorder, Executor], action: Action, asked: tuple[Any, ...]
) -> None:
    workers, recorder, executor = parts
    act(executor, action)
    assert workers.work() == ["lrms"]
    assert recorder.asked == [asked]
    assert recorder.answers == [("ordered", action, None)]


MATE = make_claim("cpu-2", state=ClaimState.LAUNCHING)


def act_on_both(executor: Executor, recorder: Recorder, *keys: str) -> None:
    recorder.outcomes = [LaunchOutcome(key, error=NoCapacity("full")) for key in keys]
    executor.carry_out([LaunchTogether((CLAIM.key, MATE.key))], {CLAIM.key: CLAIM, MATE.key: MATE})


def test_vms_of_one_call_go_out_together_and_each_has_its_answer(parts: tuple[Held, Recorder, Executor]) -> None:
    workers, recorder, executor = parts
    act_on_both(executor, recorder, CLAIM.key, MATE.key)
    assert executor.in_flight == {CLAIM.key, MATE.key}
    assert workers.work() == ["cesnet"]
    assert recorder.asked == [("launch", CLAIM.key, MATE.key)]
    assert [(name, key, type(error)) for name, key, _, error in recorder.answers] == [
        ("launched", CLAIM.key, NoCapacity),
        ("launched", MATE.key, NoCapacity),
    ]
    assert executor.in_flight == frozenset()


def test_an_answer_that_lacks_one_of_them_is_no_answer(parts: tuple[Held, Recorder, Executor]) -> None:
    workers, recorder, executor = parts
    act_on_both(executor, recorder, CLAIM.key)
    workers.work()
    assert [type(answer[3]) for answer in recorder.answers] == [OutcomeUnknown] * 2


def test_orders_keep_their_sequence(parts: tuple[Held, Recorder, Executor]) -> None:
    workers, recorder, executor = parts
    act(executor, *(action for action, _ in ORDERS))
    workers.work()
    assert recorder.asked == [asked for _, asked in ORDERS]


def test_what_slurm_refuses_is_told_with_the_order(parts: tuple[Held, Recorder, Executor]) -> None:
    workers, recorder, executor = parts
    recorder.error = LrmsError("slurmctld does not answer")
    act(executor, Open(("cpu-1",)))
    workers.work()
    assert recorder.answers == [("ordered", Open(("cpu-1",)), recorder.error)]


def test_a_typed_refusal_is_told_as_it_is(parts: tuple[Held, Recorder, Executor]) -> None:
    workers, recorder, executor = parts
    recorder.error = NoCapacity("full")
    act(executor, Launch(CLAIM.key))
    workers.work()
    assert recorder.answers == [("launched", CLAIM.key, None, recorder.error)]


@pytest.mark.parametrize("error", [KeyError("x"), IndexError(), RuntimeError("bug")])
def test_a_failure_that_nobody_foresaw_may_have_had_its_effect(
    parts: tuple[Held, Recorder, Executor], error: Exception
) -> None:
    workers, recorder, executor = parts
    recorder.error = error
    act(executor, Launch(CLAIM.key))
    workers.work()
    assert isinstance(recorder.answers[0][3], OutcomeUnknown)


def test_an_empty_answer_is_an_unknown_outcome(parts: tuple[Held, Recorder, Executor]) -> None:
    workers, recorder, executor = parts
    recorder.outcomes = []
    act(executor, Launch(CLAIM.key))
    workers.work()
    assert isinstance(recorder.answers[0][3], OutcomeUnknown)


@pytest.mark.parametrize("error", [None, NotFound("it carries no tags of ours"), Transient("503")])
def test_the_answer_to_a_termination_comes_back_as_it_is(
    parts: tuple[Held, Recorder, Executor], error: Exception | None
) -> None:
    workers, recorder, executor = parts
    recorder.error = error
    act(executor, Terminate(CLAIM.key, "cesnet", "i-1"))
    assert executor.in_flight == {CLAIM.key}
    assert workers.work() == ["cesnet/ends"]  # not behind the site's launches
    assert recorder.asked == [("terminate", "i-1")]
    assert recorder.answers == [("terminated", CLAIM.key, error)]
    assert executor.in_flight == frozenset()


def test_a_site_that_was_removed_stops_no_other_action(parts: tuple[Held, Recorder, Executor]) -> None:
    workers, recorder, executor = parts
    executor.use(recorder, {})  # type: ignore[arg-type]
    act(executor, Launch(CLAIM.key), Terminate("other", "cesnet", "i-1"), Open(("cpu-1",)))
    workers.work()
    assert ("open", ("cpu-1",)) in recorder.asked
    assert {answer[0] for answer in recorder.answers} == {"launched", "terminated", "ordered"}
    told = [answer[-1] for answer in recorder.answers if answer[0] != "ordered"]
    assert [type(error) for error in told] == [Transient, Transient]  # nothing was sent, so nothing is unknown


def test_after_a_reload_new_adapters_are_used(parts: tuple[Held, Recorder, Executor]) -> None:
    workers, _, executor = parts
    fresh = Recorder()
    executor.use(fresh, {"cesnet": fresh})  # type: ignore[arg-type, dict-item]
    act(executor, Open(("cpu-1",)))
    workers.work()
    assert fresh.asked == [("open", ("cpu-1",))]


def test_nothing_is_asked_of_anybody_without_a_permit() -> None:
    """The permit is asked for on the lane, when the call is about to be made: not when it was decided."""
    permitted: list[str] = []

    def permit() -> None:
        permitted.append("asked")
        raise Transient("nothing is done: the lease could not be renewed")

    workers, recorder = Held(), Recorder()
    executor = Executor(workers, recorder, {"cesnet": recorder}, request, recorder, permit)  # type: ignore[arg-type, dict-item]
    for action in (Launch(CLAIM.key), Terminate(CLAIM.key, "cesnet", "i-1"), *(action for action, _ in ORDERS)):
        act(executor, action)
        assert permitted == []
        workers.work()
        assert permitted.pop() == "asked"
        error = recorder.answers.pop()[-1]
        assert isinstance(error, Transient | LrmsError), action
        assert "lease" in str(error)
    assert recorder.asked == []
    assert executor.in_flight == frozenset()
