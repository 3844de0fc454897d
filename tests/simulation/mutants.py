"""Daemons that are broken on purpose, each by one line: the simulation has to catch every one of them.

A mutant is made when its module is imported, in a process of its own: ``python -m tests.simulation.mutants NAME`` plays
its scenarios, seed after seed, until an invariant breaks; it prints which, and exits with 1 when none did.

``python -m tests.simulation.mutants --unit [NAME]`` runs the unit tests of planner, reconciler and ledger against one
mutant, or against each (those of the changed part first): those that pass them all are caught by whole worlds alone.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutant:
    """One line, and what stands in its place."""

    module: str
    line: str
    instead: str
    #: where it is looked for, in this order, and in how many seeds each
    scenarios: tuple[str, ...] = ("storm",)
    seeds: int = 10
    #: the unit tests of planner, reconciler and ledger do not see it
    only_worlds: bool = False

    @property
    def unit_tests(self) -> list[Path]:
        """The unit tests of the part that is changed."""
        part = self.module.rsplit(".", 1)[-1]
        others = ALSO.get(part, ())
        return sorted(path for one in (part, *others) for path in (ROOT / "tests/unit").glob(f"*/test_{one}.py"))

    @property
    def path(self) -> Path:
        return ROOT / (self.module.replace(".", "/") + ".py")

    def source(self) -> str:
        """Return the module's source with the line changed.

        :raises ValueError: the line is not there exactly once: the mutant has to be written anew.
        """
        text = self.path.read_text()
        if text.count(self.line) != 1:
            raise ValueError(f"{self.path}: this line is there {text.count(self.line)} times: {self.line}")
        return text.replace(self.line, self.instead)


MUTANTS: dict[str, Mutant] = {
    "the intent to launch is not committed": Mutant(
        "clues.reconciler.tick",
        "claims=plan.claims,\n                notes=plan.notes,",
        "claims=tuple(one for one in plan.claims if one.state is not ClaimState.LAUNCHING),\n"
        "                notes=plan.notes,",
        ("kind",),
    ),
    "a serving VM is gone when one listing lacks it": Mutant(
        "clues.planner.view",
        "if claim.instance_id and since and taken and taken - since >= self.settings.pace.vanished_after:",
        "if claim.instance_id and since and taken:",
        ("eventual",),
    ),
    "a stopped VM is gone when one listing lacks it": Mutant(
        "clues.planner.phases.common",
        "return bool(since and taken and taken - since >= view.settings.pace.vanished_after)",
        "return bool(taken)",
        ("blinking",),
        20,
    ),
    "COMPLETING is not busy": Mutant(
        "clues.model.cluster",
        '_BUSY = frozenset({"ALLOCATED", "MIXED", "COMPLETING"})',
        '_BUSY = frozenset({"ALLOCATED", "MIXED"})',
        ("completing",),
    ),
    "a generation is used again": Mutant(
        "clues.planner.buying.placement",
        "generation = self._generations.get(node, 0) + 1",
        "generation = 1",
        ("kind",),
    ),
    "a breaker never closes": Mutant(
        "clues.planner.capacity.breaker",
        "breaker = Breaker(key, code, words,",
        "now += timedelta(days=99)\n    breaker = Breaker(key, code, words,",
        ("shortage",),
    ),
    "a breaker never opens": Mutant(
        "clues.planner.capacity.breaker",
        "    if code in FORGIVEN:\n",
        "    if code:\n",
        ("shortage",),
    ),
    "a breaker is not closed by what works": Mutant(
        "clues.planner.capacity.breaker",
        "    if allowed >= CLOSED_AT:\n",
        "    if allowed >= 10**9:\n",
        ("capacity-returns",),
        30,
    ),
    "a breaker that is tried lets all through": Mutant(
        "clues.planner.capacity.gates",
        "            if breaker.code in UNCOUNTED or waiting + count <= breaker.allowed:\n",
        "            if breaker.allowed:\n",
        ("capacity-returns", "broken-image"),
    ),
    "a pool whose VMs come to nothing is not closed, nor are its offers": Mutant(
        "clues.planner.capacity.breaker",
        "    if code in FORGIVEN:\n",
        '    if code in FORGIVEN or code == "boot":\n',
        ("broken-image",),
    ),
    "VMs that are being stopped do not count": Mutant(
        "clues.planner.capacity.limits",
        "        if claim.live:\n",
        "        if claim.serving:\n",
        ("storm", "shortage"),
    ),
    "a worker is opened before its checks": Mutant(
        "clues.planner.phases.join",
        "if faults := _faults(claim, node, view):",
        "if (faults := _faults(claim, node, view)) and not faults:",
    ),
    "a gang is opened node by node": Mutant(
        "clues.planner.phases.join",
        "if not claim.gang or not _gang_pending(claim, view):",
        "if claim.key:",
        ("kind",),
    ),
    "a failed launch is closed without a look": Mutant(
        "clues.planner.phases.stop",
        "certain = not claim.instance_id and claim.launches <= 1 and claim.failure in _NOTHING_MADE",
        "certain = True",
    ),
    "VMs without a claim are left alone": Mutant(
        "clues.planner.decide",
        "found, strangers = adopt(view, world.claims)",
        "found, strangers = adopt(view, world.claims)\n    found = {}",
        ("ledger-lost",),
        20,
    ),
    "a stranger's VM is taken for ours": Mutant(
        "clues.planner.claims.adopt",
        "        if instance.cluster == view.world.cluster\n        and instance.state",
        "        if instance.state",
        ("kind",),
    ),
    "launches are forgotten at a restart": Mutant(
        "clues.ledger.store",
        "for (text,) in rows for claim in (_CLAIM.validate_json(text),)}",
        "for (text,) in rows for claim in (_CLAIM.validate_json(text),) if claim.state != 'launching'}",
        ("storm",),
        20,
    ),
    "any number is disrupted at once": Mutant(
        "clues.planner.supply.disrupt",
        "return max(1, int(pool.disrupt * (ready + going))) - going",
        "return ready",
        ("retiring",),
    ),
    "a busy node that differs is drained": Mutant(
        "clues.planner.supply.disrupt",
        "elif not node.busy:\n            differing",
        "else:\n            differing",
        ("retiring",),
    ),
    "an idle node stays for ever": Mutant(
        "clues.planner.supply.idle",
        "if kept is None or view.now < kept.until:",
        "if kept:",
        ("kind",),
    ),
    "a spent budget is spent again": Mutant(
        "clues.planner.money.budget",
        "return self.spent + self.set_aside + more * self.now_hours <= self.limit + small and later",
        "return self.set_aside + more * self.now_hours <= self.limit + small and later",
        ("budget",),
    ),
    "nothing is set aside for what runs": Mutant(
        "clues.planner.money.budget",
        "                line.rate += rate\n",
        "                line.rate += 0 * rate\n",
        ("budgets", "budget"),
    ),
    "the next hour need not bear what this one buys": Mutant(
        "clues.planner.money.budget",
        "later = (self.rate + more) * self.next_hours",
        "later = 0.0",
        ("budgets",),
        20,
    ),
    "a pool's budget is not looked at": Mutant(
        "clues.planner.money.budget",
        'owners += [(f"pool {pool.name}", pool.name, None, pool.budget) for pool in settings.pools.values()]',
        "pass",
        ("budgets",),
    ),
    "what was spent before a restart is forgotten": Mutant(
        "clues.reconciler.spending",
        "amounts[pool, account] = amounts.get((pool, account), 0.0) + amount\n        self._began",
        "amounts[pool, account] = 0.0\n        self._began",
        ("budgets",),
        20,
    ),
    "an address does not rest": Mutant(
        "clues.reconciler.books",
        "return self._ledger.ended_since(now - quarantine, None if began_lately else now)",
        "return []",
        ("kind",),
    ),
    "a VM that turns up late is left alone": Mutant(
        "clues.planner.claims.adopt",
        "found[old.key] = _late(old, instance, view)",
        "pass",
        ("late",),
        20,
    ),
    "an admin's reason does not count": Mutant(
        "clues.model.cluster",
        "_REASONS_OF_MACHINES = (OUR_REASON, *SLURM_REASONS)",
        '_REASONS_OF_MACHINES = ("",)',
        ("storm",),
    ),
    "a worker does not wait for its router": Mutant(
        "clues.planner.phases.boot",
        "no_way = behind_router(claim, view) and not view.linked(claim.offer.site)",
        "no_way = False",
        ("kind-private",),
    ),
    "a drained node is stopped before it is seen drained": Mutant(
        "clues.planner.phases.serve",
        "if not node.understood or node.busy or not (node.closed or node.off) or cut_off:",
        "if not node.understood or cut_off:",
    ),
    "a termination is not repeated": Mutant(
        "clues.planner.claims.effects",
        "    if _sent_before_start(at, view):\n        return True\n    passed = view.now - at",
        "    if at:\n        return False\n    passed = view.now - at",
        ("errors", "storm"),
    ),
    "the books go on although the disk is full": Mutant(
        "clues.reconciler.books",
        "rider.failure = error\n            raise",
        "rider.failure = error",
        ("storm",),
    ),
    # --- what lies between the parts: no unit test of planner, reconciler and ledger sees these ---
    "the planner is not told what was spent": Mutant(
        "clues.reconciler.tick", "            spent=books.spent,\n", "", ("budget",), only_worlds=True
    ),
    "the planner is not told of calls under way": Mutant(
        "clues.reconciler.tick",
        "in_flight=self._executor.in_flight if self._executor else frozenset(),",
        "in_flight=frozenset(),",
        ("slow-answers",),
        only_worlds=True,
    ),
    "the planner is not told of generations": Mutant(
        "clues.reconciler.tick", "            generations=books.generations,\n", "", ("kind",), only_worlds=True
    ),
    "the planner is not told of ended claims whose VMs turn up": Mutant(
        "clues.reconciler.tick",
        "                    ended[key] = claim\n",
        "                    pass\n",
        ("late",),
        10,
        True,
    ),
    "addresses of claims that have ended are given again": Mutant(
        "clues.reconciler.tick", "[*after.values(), *rested]", "[*after.values()]", ("kind",), only_worlds=True
    ),
    "what VMs cost is not written down": Mutant(
        "clues.reconciler.tick", "                spend=spend,\n", "", ("kind",), only_worlds=True
    ),
    "what is booked is booked again": Mutant(
        "clues.reconciler.tick", "        books.booked(spend, now)\n", "", ("kind",), only_worlds=True
    ),
    "until when VMs are booked is not written down": Mutant(
        "clues.reconciler.tick", "booked_at=now if spend else None", "booked_at=None", ("books",), only_worlds=True
    ),
    "what VMs cost counts as booked before it is on the disk": Mutant(
        "clues.reconciler.books",
        "        return spend\n",
        "        self._booked_at = now\n        return spend\n",
        ("books",),
        only_worlds=True,
    ),
    "after a restart the first period of each VM is booked again": Mutant(
        "clues.reconciler.books",
        "self._counted = {key for key, claim in self._claims.items() if claim.instance_id}",
        "self._counted = set()",
        ("books",),
        only_worlds=True,
    ),
    "after a restart a VM's time is charged from its beginning": Mutant(
        "clues.reconciler.books",
        "self._counted = {key for key, claim in self._claims.items() if claim.instance_id}",
        "self._counted = set()",
        ("books",),
        only_worlds=True,
    ),
    "readers are told of actions that a full disk forbade": Mutant(
        "clues.reconciler.tick",
        "plan = replace(plan, claims=(), actions=(), notes=(), memory=self._books.memory)",
        "plan = replace(plan, claims=(), notes=(), memory=self._books.memory)",
        ("books",),
        only_worlds=True,
    ),
    "Slurm is looked at without a pause while VMs come": Mutant(
        "clues.reconciler.observer",
        "min(self._next_look, self._last_look + self._pace.look_busy)",
        "min(self._next_look, self._last_look)",
        ("kind",),
        only_worlds=True,
    ),
    "Slurm's counters are asked for without a pause": Mutant(
        "clues.reconciler.observer",
        "self._next_poke = now + self._pace.poke",
        "self._next_poke = now",
        ("kind",),
        only_worlds=True,
    ),
    "a VM is ended of which no id is known": Mutant(
        "clues.planner.claims.effects",
        "if not claim.instance_id or (in_slurm and view.snapshot is None):",
        "if in_slurm and view.snapshot is None:",
        only_worlds=True,
    ),
}


#: The unit tests that a mutant may pass and is caught all the same.
UNIT_TESTS = ("tests/unit/planner", "tests/unit/reconciler", "tests/unit/ledger")

#: Where the unit tests of a part are named otherwise.
ALSO: dict[str, tuple[str, ...]] = {
    "store": ("ledger",),
    "cluster": ("doors", "phases"),
    "idle": ("supply",),
    "decide": ("adopt",),
    "common": ("phases",),
    "join": ("phases", "gangs"),
    "stop": ("phases",),
    "boot": ("phases",),
    "serve": ("phases",),
    "effects": ("repeats",),
    "limits": ("placement",),
    "spending": ("budget",),
    "view": ("phases",),
}


class Mutating(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):  # type: ignore[misc]
    """Imports one module changed."""

    def __init__(self, mutant: Mutant) -> None:
        super().__init__(mutant.module, str(mutant.path))
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        return importlib.util.spec_from_file_location(fullname, self._mutant.path, loader=self)

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._mutant.source(), str(self._mutant.path), "exec", dont_inherit=True)


def passes_unit_tests(name: str) -> bool:
    """Return whether the unit tests do not see a mutant."""
    own = [str(path) for path in MUTANTS[name].unit_tests]
    return (not own or _passes(name, own)) and _passes(name, UNIT_TESTS)


def _passes(name: str, tests: Sequence[str]) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "tests.simulation.mutated"]
    command += ["-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *tests], cwd=ROOT, env={**os.environ, "MUTANT": name}, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{name}: {done.stdout}{done.stderr}")
    return done.returncode == 0


def install(name: str) -> None:
    """Have one mutant's module imported changed."""
    sys.meta_path.insert(0, Mutating(MUTANTS[name]))


def main(name: str) -> int:
    """Play one mutant until it is caught."""
    mutant = MUTANTS[name]
    install(name)
    logging.disable(logging.CRITICAL)
    from clues.simulation.play import play
    from clues.simulation.story import InvariantBroken

    for scenario in mutant.scenarios:
        for seed in range(mutant.seeds):
            try:
                play(scenario, seed)
            except InvariantBroken as broken:
                print(f"caught in {scenario} {seed}: {broken.what}")
                return 0
    print(f"not caught in {', '.join(mutant.scenarios)}")
    return 1


if __name__ == "__main__":
    if sys.argv[1] == "--unit":
        for one in sys.argv[2:] or MUTANTS:
            print(f"{'passes' if passes_unit_tests(one) else 'is seen by'} the unit tests: {one}", flush=True)
        sys.exit(0)
    sys.exit(main(sys.argv[1]))
