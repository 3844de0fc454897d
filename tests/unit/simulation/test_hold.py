"""Waiting for more jobs, played: it saves money where they come one by one, and no job waits too long for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from clues.model import Offer, Pool, Resources, Settings, Site
from clues.simulation.trials.fitting import fit
from clues.simulation.trials.traces import TraceJob
from clues.simulation.trials.trial import Conditions, run_trial
from clues.simulation.worlds.profiles import Delay

#: two cores each, every half minute, then long enough nothing
JOBS = [TraceJob(str(n), (n // 4) * 7200 + (n % 4) * 30.0, 3000.0, 2, limit=3600.0, memory_mib=4096) for n in range(12)]
MOST = timedelta(minutes=4)


def settings(hold: int) -> Settings:
    """Return two pools in one partition: four small nodes are dearer than the large one that does as well."""

    def pool(name: str, cpus: int, price: float) -> Pool:
        offers = (Offer("own", name, "i", price_per_hour=price),)
        names = tuple(f"{name}-{n}" for n in range(1, 9))
        shape = Resources(cpus, cpus * 4096)
        wait = timedelta(seconds=hold)
        return Pool(name, names, shape, offers, partitions=("cpu",), hold=wait, max_wait=MOST if hold else None)

    pools = {one.name: one for one in (pool("small", 2, 0.12), pool("large", 8, 0.40))}
    return Settings("trial", {"own": Site("own", "simulated")}, pools)


def test_waiting_for_more_jobs_saves_money_and_no_job_waits_too_long_for_it() -> None:
    still = Conditions(boot=Delay(120))
    eager, patient = (run_trial("", settings(hold), fit(JOBS, settings(hold)), still) for hold in (0, 60))
    assert len(eager.waits) == len(patient.waits) == len(JOBS)
    assert patient.total.cost < 0.9 * eager.total.cost
    assert max(patient.waits) <= max(eager.waits) + MOST.total_seconds()


def test_a_hold_that_is_longer_than_the_longest_wait_is_cut_off() -> None:
    still = Conditions(boot=Delay(120))
    short = settings(3600)
    cut = {name: replace(pool, max_wait=timedelta(seconds=60)) for name, pool in short.pools.items()}
    short = replace(short, pools=cut)
    waits = run_trial("", short, fit(JOBS[:1], short), still).waits
    assert 120 + 60 <= waits[0] < 120 + 60 + 45  # a look every ten seconds, and Slurm's own passes
