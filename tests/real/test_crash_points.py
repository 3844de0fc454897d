"""kill -9 of the daemon at each persisted step: before its effect, after it, after the commit.

The points come from the lifecycle table and the actions' types (:mod:`tests.lab.crashing_daemon`); a move or an action
that no scenario reaches fails here. Every daemon that is killed is started again and goes on; what must hold all the
time and at the end is in :mod:`tests.lab.crash_lab`.

By default the points of one scenario are passed in one go, with one death at each: a job lives through 23 of them.
The slow tests take each point alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import crashing_daemon
from tests.lab.crash_lab import CrashLab, Watch
from tests.lab.frontend import wait_for
from tests.real.crash_scenarios import ENROLMENT, LIFE, OTHERS, Scenario

pytestmark = pytest.mark.real

SCENARIOS = {"life": LIFE, "enrolment": ENROLMENT, **OTHERS}
SETS = [
    pytest.param(one, points, id=f"{name}-{number}")
    for name, one in SCENARIOS.items()
    if one is not ENROLMENT  # has a test of its own
    for number, points in enumerate(one.sets, start=1)
]
ALONE = [
    pytest.param(one, point, id=point.replace(":", "-"))
    for one in SCENARIOS.values()
    for points in one.sets
    if len(points) > 1
    for point in points
    if not (one is OTHERS["wanted-again"] and point.startswith("commit:ready-draining"))
]


class Labs:
    """One front-end and one ledger for all points; a new one after a test that failed."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._lab: CrashLab | None = None
        self.sound = False

    def get(self) -> CrashLab:
        if self._lab is None or not self.sound:
            self.stop()
            self._lab = CrashLab(self._factory.mktemp("crash") / "points")
            self._lab.start(daemon=False)
            self._lab.wake()
            self._lab.until("the first start", lambda: not self._lab or not self._lab.left())
        self.sound = False
        return self._lab

    def launches(self) -> list[str]:
        """Return the launch key of each launch call, so far."""
        return [key for key, _ in self._lab.launches()] if self._lab else []

    def stop(self) -> None:
        if self._lab is not None:
            self._lab.stop()


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labs]:
    labs = Labs(tmp_path_factory)
    yield labs
    labs.stop()


def run(labs: Labs, scenario: Scenario, points: tuple[str, ...]) -> Watch:
    """Go through a scenario with a death at each of the points; return what was seen meanwhile."""
    lab = labs.get()
    lab.begin(*points)
    deaths = lab.deaths
    with Watch(lab.site_folders()) as watch:
        scenario.provoke(lab)
        lab.finish()
    assert watch.doubles == []
    assert watch.looks > 10
    assert lab.deaths - deaths == len(points)
    lab.make_good()
    labs.sound = True
    return watch


#: No scenario of this lab reaches these. Several VMs in one call are nothing that the local connector makes; the
#: simulation kills the daemon around them. The orders for eager pools have no scenario yet.
NOT_HERE = ("launch_together", "release", "power_up", "give_up", "annotate", "forget", "reserve")


def test_every_move_and_every_action_has_a_scenario() -> None:
    reached = {point for scenario in SCENARIOS.values() for points in scenario.sets for point in points}
    missing = set(crashing_daemon.POINTS) - reached
    assert missing == {f"effect:{name}:{side}" for name in NOT_HERE for side in ("before", "after")}
    assert reached <= set(crashing_daemon.POINTS)


@pytest.mark.parametrize(("scenario", "points"), SETS)
def test_killed_at_each_point_on_the_way(labs: Labs, scenario: Scenario, points: tuple[str, ...]) -> None:
    run(labs, scenario, points)


@pytest.mark.parametrize("points", ENROLMENT.sets, ids=["before", "after"])
def test_a_worker_that_was_cut_off_comes_again_and_is_answered(labs: Labs, points: tuple[str, ...]) -> None:
    watch = run(labs, ENROLMENT, points)
    assert len(watch.seen) == 1, "another VM was needed"


def die_after_the_launch(lab: CrashLab, fault: str) -> None:
    """The daemon dies with the launch made and its answer unheard; the first listing of the next one goes wrong."""
    # a daemon takes a second or two to start, and a VM that has enrolled by then needs no looking up
    lab.faults("cesnet").add("boot", "slow-boot", seconds=6)
    lab.submit()
    wait_for("the daemon to die after the launch", lambda: lab.daemon_ended or None, 30, lab.plight)
    lab.faults("cesnet").add("list", fault)


def test_a_launch_whose_answer_was_lost_is_looked_up_before_it_is_repeated(labs: Labs) -> None:
    """Not every provider knows a launch key for ever: a blind repetition could make a second VM."""
    known = set(labs.launches())
    scenario = Scenario(lambda lab: die_after_the_launch(lab, "api-error"), ())
    run(labs, scenario, ("effect:launch:after",))
    [_] = [key for key in labs.launches() if key not in known]


def test_a_launch_that_is_repeated_makes_no_second_vm(labs: Labs) -> None:
    """The listing that it was looked up in lags behind, as clouds' do."""
    known = set(labs.launches())
    scenario = Scenario(lambda lab: die_after_the_launch(lab, "lies"), ())
    watch = run(labs, scenario, ("effect:launch:after",))
    first, second = [key for key in labs.launches() if key not in known]
    assert first == second
    assert len(watch.seen) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("scenario", "point"), ALONE)
def test_killed_at_one_point(labs: Labs, scenario: Scenario, point: str) -> None:
    needed = ("commit:ready-draining:after",) if scenario is OTHERS["wanted-again"] else ()
    run(labs, scenario, (*needed, point))
