"""``clues simulate``: found by the command line by its entry point (group ``clues.offline``)."""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from clues.config import DEFAULT_FILE, load
from clues.errors import CluesError, ConfigError
from clues.model import Settings
from clues.registry import find_plugins
from clues.simulation.trials import report
from clues.simulation.trials.fitting import fit
from clues.simulation.trials.outcome import Outcome
from clues.simulation.trials.policies import Policy, peers_on
from clues.simulation.trials.side_by_side import PolicyFailed, play_all
from clues.simulation.trials.traces import Trace, read_trace
from clues.simulation.trials.trial import Conditions
from clues.simulation.worlds.profiles import Delay
from clues.units import parse_duration


def simulate(argv: list[str]) -> int:
    """Play a trace under one configuration or several; exit code 1 when that cannot be done."""
    arguments = _parser().parse_args(argv)
    logging.disable(logging.CRITICAL)
    try:
        _check(arguments)
        trace = read_trace(arguments.trace, arguments.first)
        plugins = find_plugins()
        files = [arguments.file, *arguments.compare]
        settings = {str(path): load(path, plugins).settings for path in files}
        boot = _boot(arguments.boot)
    except (CluesError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    conditions = Conditions(arguments.seed, Delay(boot, 0.25, boot / 6), arguments.interruptions)
    policies = _policies(settings, peers=arguments.peers)
    bar = _Bar(policies)
    try:
        outcomes = play_all(policies, trace.jobs, conditions, arguments.processes, bar.show)
    except PolicyFailed as error:
        print(f"\n{error}" if sys.stderr.isatty() else error, file=sys.stderr)
        return 1
    finally:
        bar.wipe()
    _tell(trace, settings, outcomes)
    if arguments.html is not None:
        arguments.html.write_text(report.page(trace.name, len(trace.jobs), outcomes))
        print(f"{arguments.html}: written", file=sys.stderr)
    told = report.as_json(trace.name, len(trace.jobs), outcomes) if arguments.json else report.table(outcomes)
    print(told)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what would only fail after minutes of playing.

    :raises ConfigError: with the option that is wrong.
    """
    if arguments.first is not None and arguments.first < 1:
        raise ConfigError(f"--first {arguments.first}: at least one job has to be played")
    if not 0 <= arguments.interruptions < math.inf:
        raise ConfigError(f"--interruptions {arguments.interruptions}: a number of 0 or more, such as 0.05")
    if arguments.processes < 1:
        raise ConfigError(f"--processes {arguments.processes}: at least one has to play")
    page = arguments.html
    if page is not None and (page.is_dir() or not os.access(page.parent, os.W_OK | os.X_OK)):
        raise ConfigError(f"--html {page}: no file can be written there: name one in a folder that you may write to")


def _boot(text: str) -> float:
    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        raise ConfigError(f"--boot: {error}") from error


def _policies(settings: dict[str, Settings], *, peers: bool) -> list[Policy]:
    many = len(settings) > 1
    own = [Policy(f"clues {Path(name).name}" if many else "clues", one) for name, one in settings.items()]
    return [*own, *(peers_on(own[0].settings) if peers else ())]


class _Bar:
    """Shows how far all policies are together, on a terminal only."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._label = policies[0].label if len(policies) == 1 else ""
        self._many = len(policies)
        self._shown = ""

    def show(self, played: int, share: float) -> None:
        percent = int(100 * share)
        label = self._label or f"{played} of {self._many} policies played"
        text = f"\r{label:<28.28} [{'#' * (percent * 30 // 100):<30}] {percent:3d} %"
        if text != self._shown and sys.stderr.isatty():
            self._shown = text
            print(text, end="", file=sys.stderr, flush=True)

    def wipe(self) -> None:
        """Leave an empty line for what is printed next."""
        if self._shown:
            print(f"\r{'':<78}\r", end="", file=sys.stderr, flush=True)


def _tell(trace: Trace, settings: dict[str, Settings], outcomes: Sequence[Outcome]) -> None:
    """Say what was left out: a figure without it would mislead."""
    if trace.left_out:
        print(f"{trace.name}: {trace.left_out} lines tell of no job that ran, and are left out", file=sys.stderr)
    if trace.shares_of_gpus:
        text = f"{trace.shares_of_gpus} jobs ask for a share of a GPU, and each counts as one that asks for a whole GPU"
        print(f"{trace.name}: {text}", file=sys.stderr)
    for name, one in settings.items():
        fitted = fit(trace.jobs, one)
        if fitted.misfits:
            most, count = fitted.misfits.most_common(1)[0]
            text = (
                f"{sum(fitted.misfits.values())} jobs fit no pool and are left out (most often: {most}, {count} times)"
            )
            print(f"{name}: {text}", file=sys.stderr)
        offers = [offer for pool in one.pools.values() for offer in pool.offers]
        free = sorted({offer.key for offer in offers if offer.price_per_hour is None})
        if free:
            print(f"{name}: without a price, counted as free: {', '.join(free)}", file=sys.stderr)
    if any(outcome.unfinished for outcome in outcomes):
        print("some jobs never ended: see the column jobs", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clues simulate")
    parser.add_argument("trace", type=Path)
    parser.add_argument("file", nargs="?", type=Path, default=DEFAULT_FILE)
    parser.add_argument("--compare", action="append", type=Path, default=[], metavar="FILE")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--html", type=Path, metavar="FILE")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--first", type=int, metavar="N")
    parser.add_argument("--boot", default="2min", metavar="TIME")
    parser.add_argument("--interruptions", type=float, default=0.0, metavar="RATE")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N")
    return parser
