"""A cluesd that kills itself at a named point, once for each point: the crash tests' way to be exact.

The product knows nothing of it. The parts that :func:`clues.main.assemble` puts together, the ledger and the plugins'
adapters, are wrapped; each wrapper says where it is, and a daemon that is *armed* for that point ends there by SIGKILL,
as with the plug pulled: no handler runs, nothing is flushed, threads stop in the middle of what they do.

The points, as a file names them that a test writes (:func:`arm`) and the daemon reads each time:

- ``commit:SOURCE-TARGET:before|after`` for each move of :data:`clues.lifecycle.MOVES`: the transaction that holds it
  has not begun, or is on the disk and nothing followed it. A claim that is new stands at ``planned``.
- ``effect:NAME:before|after`` for each kind of action: it is committed and not begun, or it is done and nobody has
  heard of that. ``effect:power_off:between`` lies between Slurm's two commands.
- ``enrolment:before|after``: a ticket has come and its redeeming is not committed; it is, and the worker was not told.

A point that was reached is struck from the file first, so the daemon that is started next goes on past it.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from clues.config import CONNECTORS, LRMS, Plugins, load
from clues.errors import CluesError
from clues.ledger import Commit, Ledger, open_ledger
from clues.lifecycle import MOVES
from clues.main import assemble
from clues.model import Action, ClaimState, LaunchOutcome, LaunchRequest
from clues.ports import Connector, Lrms, PluginContext, Provision
from clues.registry import find_plugins
from lrms.slurm.plugin import Slurm
from lrms.slurm.tools import Tools

T = TypeVar("T")

#: How a test starts it; the armed points are looked for beside the configuration.
COMMAND = ("-m", "tests.lab.crashing_daemon")

ARMED = "crash-at"


def effect_name(action: type[Any]) -> str:
    """Return how an action's points are called: the port's own word for it."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", action.__name__).lower()


#: The moves and the actions, from the product's own tables: a new one is a new point without a change here.
MOVE_POINTS = tuple(f"commit:{move.source}-{move.target}:{side}" for move in MOVES for side in ("before", "after"))
EFFECTS = tuple(effect_name(action) for action in get_args(Action))
EFFECT_POINTS = tuple(f"effect:{name}:{side}" for name in EFFECTS for side in ("before", "after"))
OTHER_POINTS = ("effect:power_off:between", "enrolment:before", "enrolment:after")
POINTS = MOVE_POINTS + EFFECT_POINTS + OTHER_POINTS


def arm(folder: Path, points: Iterable[str]) -> None:
    """Have daemons whose configuration lies in *folder* die at these points, and at no others.

    :raises ValueError: one of them is not a point.
    """
    wanted = list(points)
    unknown = [point for point in wanted if point not in POINTS]
    if unknown:
        raise ValueError(f"no such point: {', '.join(unknown)}")
    new = folder / f"{ARMED}.new"
    new.write_text("".join(f"{point}\n" for point in wanted))
    new.replace(folder / ARMED)


def armed(folder: Path) -> list[str]:
    """Return the points that were not reached yet."""
    path = folder / ARMED
    return path.read_text().split() if path.exists() else []


class Trap:
    """Knows the armed points; :meth:`reach` does not return from one of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._first = threading.Lock()

    def reach(self, point: str) -> None:
        """Say that this is where we are."""
        if point not in armed(self._folder):
            return
        self._first.acquire()  # never released: of several threads at points at once one reaches its own
        arm(self._folder, [one for one in armed(self._folder) if one != point])
        print(f"crashing daemon: at {point}", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)  # the kill may take a moment to arrive in this thread: nothing is done meanwhile


@dataclass(frozen=True)
class _Around:
    """Something wrapped: what is not named in the subclass is the inner one's."""

    inner: Any
    trap: Trap

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def effect(self, name: str, call: Callable[[], T]) -> T:
        """Make a call that has an effect outside, with a point on each side."""
        self.trap.reach(f"effect:{name}:before")
        result = call()
        self.trap.reach(f"effect:{name}:after")
        return result


class _Ledger(_Around):
    """The ledger; before and after each commit it says which moves that holds."""

    def commit(self, change: Commit) -> None:
        points = [point for claim in change.claims if (point := self._move(claim.key, claim.state))]
        for point in points:
            self.trap.reach(f"{point}:before")
        if any(claim.identity and not self._identity(claim.key) for claim in change.claims):
            self.trap.reach("enrolment:before")
        self.inner.commit(change)
        for point in points:
            self.trap.reach(f"{point}:after")

    def _identity(self, key: str) -> str:
        before = self.inner.claim(key)
        return before.identity if before is not None else ""

    def _move(self, key: str, target: ClaimState) -> str:
        before = self.inner.claim(key)
        if before is None and target is not ClaimState.LAUNCHING:
            return ""  # bought and not launched yet, or taken in with the state that its VM shows: no move
        source = before.state if before is not None else ClaimState.PLANNED
        return f"commit:{source}-{target}" if source is not target else ""


class _Connector(_Around):
    def launch(self, requests: Sequence[LaunchRequest]) -> list[LaunchOutcome]:
        return self.effect("launch", lambda: cast(list[LaunchOutcome], self.inner.launch(requests)))

    def terminate(self, instance_id: str) -> None:
        self.effect("terminate", lambda: self.inner.terminate(instance_id))


class _Lrms(_Around):
    def open(self, nodes: Sequence[str]) -> None:
        self.effect("open", lambda: self.inner.open(nodes))

    def drain(self, nodes: Sequence[str], reason: str) -> None:
        self.effect("drain", lambda: self.inner.drain(nodes, reason))

    def power_off(self, nodes: Sequence[str], reason: str, *, vanished: bool) -> tuple[str, ...]:
        return self.effect("power_off", lambda: self.inner.power_off(nodes, reason, vanished=vanished))

    def bind(self, node: str, address: str, features: Iterable[str]) -> None:
        self.effect("bind", lambda: self.inner.bind(node, address, features))

    def pin(self, job: str, site: str, original: str) -> None:
        self.effect("pin", lambda: self.inner.pin(job, site, original))

    def reserve(self, name: str, begin: datetime, end: datetime, nodes: Sequence[str]) -> None:
        self.effect("reserve", lambda: self.inner.reserve(name, begin, end, nodes))

    def bootstrap(self, node: str) -> Provision:
        provision: Provision = self.inner.bootstrap(node)
        self.trap.reach("enrolment:after")
        return provision


@dataclass(frozen=True, slots=True)
class _Tools(Tools):
    """Slurm's programs; says when a node has been set down and is about to be powered down."""

    trap: Trap | None = None

    def run(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> str:
        if self.trap is not None and list(argv[:2]) == ["scontrol", "update"] and "state=power_down" in argv:
            self.trap.reach("effect:power_off:between")
        return Tools.run(self, argv, env=env)


class _ConnectorPlugin(_Around):
    def build(self, config: Any, context: PluginContext) -> Connector:
        return cast(Connector, _Connector(self.inner.build(config, context), self.trap))


class _LrmsPlugin(_Around):
    def build(self, config: Any, context: PluginContext, pools: Sequence[Any]) -> Lrms:
        built: Slurm = self.inner.build(config, context, pools)
        tools = _Tools(built.tools.conf, built.tools.bin, built.tools.timeout, self.trap)
        built = replace(built, tools=tools, commands=replace(built.commands, tools=tools))
        return cast(Lrms, _Lrms(built, self.trap))


def wrapped(plugins: Plugins, trap: Trap) -> Plugins:
    """Return the plugins with a trap in every adapter that they build."""
    connectors = {name: _ConnectorPlugin(plugin, trap) for name, plugin in plugins[CONNECTORS].items()}
    batch = {name: _LrmsPlugin(plugin, trap) for name, plugin in plugins[LRMS].items()}
    return {**plugins, CONNECTORS: connectors, LRMS: batch}


def main() -> int:
    """Run it as ``cluesd --config FILE`` is run."""
    parser = argparse.ArgumentParser(description="cluesd, dying where the file crash-at beside the configuration says")
    parser.add_argument("--config", type=Path, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    trap = Trap(options.config.parent)
    plugins = wrapped(find_plugins(), trap)

    def open_books(path: Path) -> Ledger:
        return cast(Ledger, _Ledger(open_ledger(path), trap))

    try:
        service = assemble(load(options.config, plugins), plugins, open_books=open_books)
        service.daemon.watch_signals()
        service.run()
    except CluesError as error:
        print(f"cluesd: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
