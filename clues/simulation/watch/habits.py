"""Watched besides: the daemon looks often enough and not too often, tells readers what is on the disk, and books what
its VMs cost.

All of it is reckoned here from outside: when calls came, what the provider's VMs lived, what the ledger holds.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

from clues.ledger import Ledger
from clues.model import Action, Claim, LaunchTogether, Pace, Published
from clues.simulation.clouds.vms import SimVM

#: Looks within a minute, as a multiple of what the quickest rhythm makes: each answer of a provider may hurry one.
MOST = {"Slurm": 9.0, "Slurm's counters": 2.0, "site": 2.5}
#: ... and claims for one node: what is let go at one look and bought at the next is a defect.
BOUGHT = 8
#: How much later than its pace says a look may come, in seconds: some calls take minutes, and what failed rests.
LATE = 300.0
#: What is booked of a site's VMs, as a share of what they cost: a VM is paid for until its end has been seen.
LEAST_BOOKED, MOST_BOOKED = 0.98, 1.25
#: ... and by so many seconds of each VM it may differ besides.
UNSEEN = 20.0


class HabitWatch:
    """Sees how the daemon goes about its work."""

    def __init__(self, tell: Callable[..., None]) -> None:
        self._tell = tell
        self._looks: dict[str, deque[float]] = {}
        self._last: dict[str, float] = {}
        self._bought: dict[str, deque[float]] = {}
        self._before = (False, 0)
        self._acted: Sequence[Action] = ()
        self._cost: dict[str, float] = defaultdict(float)
        self._leeway: dict[str, float] = defaultdict(float)
        self._rates: dict[str, float] = defaultdict(float)

    def looks(self, at: str, pace: Pace, now: float) -> None:
        """The daemon looks at Slurm, or at a site."""
        recent = self._looks.setdefault(at, deque())
        recent.append(now)
        self._last[at] = now
        while recent[0] < now - 60:
            recent.popleft()
        quickest = {"Slurm": pace.look_busy, "Slurm's counters": pace.poke}.get(at, pace.listing_busy)
        if len(recent) > MOST.get(at, MOST["site"]) * 60 / quickest.total_seconds():
            self._tell(f"{at}: {len(recent)} looks within a minute", at)

    def bought(self, node: str, now: float) -> None:
        """A claim for a node is committed, be it on paper only."""
        recent = self._bought.setdefault(node, deque())
        recent.append(now)
        while recent[0] < now - 60:
            recent.popleft()
        if len(recent) > BOUGHT:
            self._tell(f"{node} was bought {len(recent)} times within a minute", node)

    def late(self, pace: Pace, now: float, *, up: bool, kills: int) -> None:
        """Say so if a look is overdue. After a time without a daemon, now or since the last call, it begins anew."""
        before, self._before = self._before, (up, kills)
        if before != (True, kills) or not up:
            self._last = dict.fromkeys(self._last, now)
        for at, last in self._last.items():
            usual = {"Slurm": pace.look, "Slurm's counters": pace.poke}.get(at, pace.listing)
            if now - last > usual.total_seconds() + LATE:
                self._tell(f"{at}: no look for {now - last:.0f} s", at)

    def acts(self, actions: Sequence[Action], in_flight: Collection[str]) -> None:
        """The daemon carries these out. *in_flight*: launch keys with a call under way."""
        self._acted = actions
        for action in actions:
            keys = action.keys if isinstance(action, LaunchTogether) else (getattr(action, "key", ""),)
            if twice := set(keys) & set(in_flight):
                key = min(twice)
                self._tell(f"a second call is made for {key} while the first one is under way: {action}", key)

    def published(self, told: Published, committed: Mapping[str, Claim]) -> None:
        """A tick is over, and this is what readers get of it."""
        acted, self._acted = self._acted, ()
        if tuple(told.plan.actions) != tuple(acted):
            self._tell(f"readers are told of {len(told.plan.actions)} actions, {len(acted)} were carried out")
        if told.world.claims != committed:
            self._tell("readers are told of other claims than those on the disk")

    def ended(self, vm: SimVM) -> None:
        """A VM does not cost any more."""
        if vm.ended_at is not None:
            billing = vm.request.offer.billing
            period = billing.period.total_seconds()
            lived = max(vm.ended_at - vm.made_at, billing.minimum.total_seconds())
            lived = math.ceil(lived / period) * period if period else lived
            self._cost[vm.site] += vm.price_per_hour * lived / 3600
            self._leeway[vm.site] += vm.price_per_hour * (UNSEEN + period) / 3600
            self._rates[vm.site] += vm.price_per_hour / 3600

    def misbooked(self, ledger: Ledger, epoch: datetime, unseen: float) -> str:
        """All VMs have ended: return in words how what is booked differs from what they cost, if it does much.

        Where the clock was set, or a ledger was lost, nobody can know.

        :param unseen: for how many seconds slow calls may keep from the daemon that a VM has begun or ended.
        """
        year = timedelta(days=366)
        booked: dict[str, float] = defaultdict(float)
        for (_, site, _), amount in ledger.spent(epoch - year, epoch + year).items():
            booked[site] += amount
        for site, cost in self._cost.items():
            leeway = self._leeway[site] + self._rates[site] * unseen
            least, most = cost * LEAST_BOOKED - leeway, cost * MOST_BOOKED + leeway
            if not least <= booked[site] <= most:
                return f"{booked[site]:.4f} are booked for the VMs of {site}, and they cost {cost:.4f}"
        return ""
