"""The command: what is examined, and how it is shown. Found by entry point, as it needs all plugins."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from clues.api import wire_clouds
from clues.api.codec import encode
from clues.cli.commands.doctor import VIEW
from clues.cli.output import FORMATS, make_output
from clues.config import CONNECTORS, DEFAULT_FILE, OVERLAYS, Loaded, Plugins, load
from clues.doctor import frontend, listening
from clues.doctor.clock import examine_clock
from clues.doctor.examination import Examination, Found, examine_all
from clues.doctor.front_ends import examine_front_ends
from clues.doctor.sites import examine_site
from clues.errors import CluesError, ConfigError
from clues.model import Finding, Soundness
from clues.offline import build_lrms
from clues.ports import PluginContext
from clues.registry import find_plugins

FRONT = "front-end"


def doctor(argv: list[str]) -> int:
    """``clues doctor``: exit code 1 where anything is bad."""
    parser = argparse.ArgumentParser(prog="clues doctor")
    parser.add_argument("--config", type=Path, default=DEFAULT_FILE)
    parser.add_argument("--deadline", type=float, default=60.0)
    parser.add_argument("--socket", default="")
    parser.add_argument("--output", choices=list(FORMATS), default="table")
    parser.add_argument("sites", nargs="*")
    arguments = parser.parse_args(argv)
    progress = _Progress()
    found = diagnose(arguments.config, arguments.sites, arguments.socket, arguments.deadline, progress)
    progress.end()
    answer = wire_clouds.Diagnosis(findings=tuple(_shown(one) for one in found))
    make_output(arguments.output, sys.stdout, os.environ).show(encode(answer), VIEW)
    return 1 if any(one.finding.soundness is Soundness.BAD for one in found) else 0


def diagnose(
    config: Path, sites: Sequence[str], socket: str, deadline: float, progress: _Progress | None = None
) -> list[Found]:
    """Examine everything, or only these sites; return what was found."""
    try:
        plugins = find_plugins()
        loaded = load(config, plugins)
        examinations = [*_sites(loaded, plugins, sites)] if sites else [*_front(loaded, plugins, socket)]
        if not sites:
            examinations += _sites(loaded, plugins, loaded.sites)
    except ConfigError as error:
        cure = "`clues config check` looks at the configuration alone"
        return [Found(FRONT, Finding("configuration", Soundness.BAD, text, cure)) for text in str(error).splitlines()]
    size = f"{len(loaded.sites)} sites, {len(loaded.settings.pools)} pools"
    good = Found(FRONT, Finding("configuration", Soundness.GOOD, f"{config}: {size}"))
    return [good, *examine_all(examinations, deadline, progress or _Progress())]


def _front(loaded: Loaded, plugins: Plugins, socket: str) -> Iterator[Examination]:
    name, config = loaded.overlay
    overlay = plugins[OVERLAYS][name]
    cluster = frontend.cluster_id(loaded.state)
    #: what a plugin of an overlay may tell besides: the UDP ports that its central points listen on
    points = overlay.listens(config, loaded.settings) if hasattr(overlay, "listens") else ()
    looks: dict[str, Callable[[], Iterable[Finding]]] = {
        "daemon": partial(frontend.examine_daemon, socket or str(loaded.socket)),
        "signer": partial(frontend.examine_signer, loaded),
        "state": partial(frontend.examine_state, loaded.state),
        "front-ends": partial(examine_front_ends, loaded.front_ends),
        "clock": examine_clock,
        "hooks": partial(frontend.examine_hooks, loaded.workers.hooks),
        "slurm": lambda: frontend.examine_slurm(build_lrms(loaded, cluster), loaded),
        "rights": lambda: frontend.examine_rights(build_lrms(loaded, cluster), loaded.state),
        "overlay": partial(frontend.examine_overlay, overlay, loaded, cluster),
        "port": partial(listening.examine_enrolment, loaded),
        "port udp": partial(listening.examine_udp, tuple(points)),
    }
    return (Examination(FRONT, topic, look) for topic, look in looks.items())


def _sites(loaded: Loaded, plugins: Plugins, names: Sequence[str] | Mapping[str, object]) -> Iterator[Examination]:
    unknown = [name for name in names if name not in loaded.sites]
    if unknown:
        raise ConfigError(f"no site is called {', '.join(unknown)}: there are {', '.join(loaded.sites)}")
    cluster = frontend.cluster_id(loaded.state)
    return (Examination(name, "site", partial(_site, loaded, plugins, name, cluster)) for name in names)


def _site(loaded: Loaded, plugins: Plugins, name: str, cluster: str) -> Iterator[Finding]:
    connector, config = loaded.sites[name]
    site = loaded.settings.sites[name]
    if site.disabled:
        yield Finding("site", Soundness.UNKNOWN, "is disabled in clues.yaml and was not looked at", "")
        return
    try:
        built = plugins[CONNECTORS][connector].build(config, PluginContext(cluster, name, loaded.state))
    except CluesError as error:
        yield Finding("site", Soundness.BAD, str(error))
        return
    yield from examine_site(built, site, loaded.settings)


def _shown(one: Found) -> wire_clouds.FindingView:
    finding = one.finding
    return wire_clouds.FindingView(one.about, finding.topic, finding.soundness.value, finding.text, finding.cure)


class _Progress:
    """One line on standard error for as long as something is awaited: rewritten on a terminal, else told rarely."""

    _RARELY = 10.0

    def __init__(self) -> None:
        self._tty = sys.stderr is not None and sys.stderr.isatty()
        self._width, self._told = 0, 0.0

    def __call__(self, awaited: Sequence[str], seconds: float) -> None:
        """Tell what is awaited."""
        text = f"examining: {', '.join(awaited)} ({seconds:.0f} s)"
        if self._tty:
            self._width = max(self._width, len(text))
            sys.stderr.write(f"\r{text:<{self._width}}")
            sys.stderr.flush()
        elif seconds - self._told >= self._RARELY and sys.stderr is not None:
            self._told = seconds
            sys.stderr.write(f"clues: {text}\n")

    def end(self) -> None:
        """Take the line away."""
        if self._width:
            sys.stderr.write(f"\r{'':<{self._width}}\r")
            sys.stderr.flush()
