"""How long things take and how often they go wrong, as values. All times are in seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random


@dataclass(frozen=True, slots=True)
class Delay:
    """A time drawn from a log-normal distribution: most near the median, a few much later; never below *least*.

    ``spread`` is the standard deviation of its logarithm; 0 is always the median.
    """

    median: float
    spread: float = 0.0
    least: float = 0.0

    def draw(self, chance: Random) -> float:
        """Return one such time."""
        if not self.spread:
            return max(self.median, self.least)
        return max(self.least, self.median * math.exp(chance.gauss(0.0, self.spread)))


@dataclass(frozen=True, slots=True)
class CloudProfile:
    """One provider's manners."""

    #: from the launch until the provider lists the VM as running, and until it enrols; then until slurmd registers
    provision: Delay = Delay(15, 0.3, 2)
    boot: Delay = Delay(90, 0.25, 10)
    join: Delay = Delay(8, 0.3, 1)
    #: from a termination until the provider calls the VM gone, and for how long it goes on to list it then
    ending: Delay = Delay(20, 0.4, 1)
    gone_shown: float = 120.0
    #: how long a call takes
    latency: Delay = Delay(0.8, 0.5, 0.05)
    #: a new VM is listed only after so long
    lag: Delay = Delay(0.5, 0.5)
    #: weights of what a launch, and any other call, may meet; "good" among them
    launches: Mapping[str, float] = field(default_factory=lambda: {"good": 1.0})
    calls: Mapping[str, float] = field(default_factory=lambda: {"good": 1.0})
    #: weights of what becomes of a VM
    fates: Mapping[str, float] = field(default_factory=lambda: {"good": 1.0})
    #: share of listings that lack one VM which lives, for a while shorter than what is taken for its end
    forgetful: float = 0.0
    #: VMs that one call makes; where it is more than one, the provider chooses the workers' addresses
    batch: int = 1
    #: interruptions of a spot VM in an hour
    interruptions_per_hour: float = 0.0
    #: VMs of one flavor that the provider has room for; absent: no bound
    capacity: Mapping[str, int] = field(default_factory=dict)


#: What a launch meets at a provider that has a bad day, in weights. There are besides "late", a launch that the
#: provider carries out some time after it had answered with a time-out, and "liar", the same after it had said that it
#: had no room.
BAD_LAUNCHES: Mapping[str, float] = {
    "good": 60,
    "no-capacity": 6,
    "quota": 2,
    "throttled": 2,
    "auth": 1,
    "invalid": 1,
    "transient": 4,
    "lost-after": 8,
    "lost-before": 6,
}

#: And any other call.
BAD_CALLS: Mapping[str, float] = {
    "good": 88,
    "transient": 5,
    "throttled": 2,
    "auth": 1,
    "lost-after": 2,
    "lost-before": 2,
}

#: And what becomes of VMs.
BAD_FATES: Mapping[str, float] = {
    "good": 70,
    "never-boots": 6,
    "wrong-facts": 6,
    "slow": 8,
    "error": 4,
    "vanishes": 8,
    "stops": 3,
}


def pick(weights: Mapping[str, float], chance: Random) -> str:
    """Return one of the names, by its weight."""
    if len(weights) == 1:
        return next(iter(weights))
    return chance.choices(list(weights), weights=list(weights.values()))[0]


@dataclass(frozen=True, slots=True)
class SlurmProfile:
    """One slurmctld's manners, measured on 22.05.8 where they can be."""

    #: from an event (submission, end, a node opened) until the scheduling pass that it causes
    schedule: Delay = Delay(0.8, 0.3, 0.2)
    #: how long a job's end keeps its nodes COMPLETING
    completing: Delay = Delay(0.5, 0.6, 0.05)
    #: SuspendTimeout, ResumeTimeout, SlurmdTimeout
    power_down: float = 30.0
    resume_timeout: float = 600.0
    slurmd_timeout: float = 305.0
    #: a requeued job may not start before so long (cred_expire + 1)
    requeue: float = 121.0
    #: after ``state=resume`` a node does not respond for so long
    undrain: Delay = Delay(0.4, 0.4, 0.05)
    #: how long a command, a look and a poke take
    latency: Delay = Delay(0.08, 0.4, 0.01)
    #: pending jobs that a pass tries
    depth: int = 100


#: Everything at once: for replays of traces, where a second more or less does not matter and time does.
CALM_SLURM = SlurmProfile(
    schedule=Delay(1.0), completing=Delay(0.5), undrain=Delay(0.0), latency=Delay(0.05), slurmd_timeout=305.0
)
