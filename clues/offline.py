"""Commands of ``clues`` that need no daemon but all the plugins: checking the configuration, and printing Slurm's part.

The command line finds them by entry point (group ``clues.offline``), so that it stays quick for everything else.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from clues.config import DEFAULT_FILE, LRMS, Loaded, check, load
from clues.errors import CluesError
from clues.ports import Lrms, PluginContext
from clues.registry import find_plugins


def config_check(argv: list[str]) -> int:
    """``clues config check [FILE]``: every mistake at once; exit code 1 when there is one."""
    path = _parser("clues config check").parse_args(argv).file
    try:
        checked = check(path, find_plugins())
    except CluesError as error:
        print(error, file=sys.stderr)
        return 1
    for mistake in checked.errors:
        print(mistake, file=sys.stderr)
    if checked.errors:
        return 1
    print(f"{path}: good: {checked.summary}")
    return 0


def slurm_config(argv: list[str]) -> int:
    """``clues slurm-config [--check] [FILE]``: what slurm.conf and gres.conf need, or where slurmctld differs."""
    parser = _parser("clues slurm-config")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write the files there instead of printing them")
    arguments = parser.parse_args(argv)
    try:
        loaded = load(arguments.file, find_plugins())
        lrms = build_lrms(loaded, "")
        if arguments.check:
            return _differences(lrms, loaded)
        files = lrms.render_config(loaded.settings)
    except CluesError as error:
        print(error, file=sys.stderr)
        return 1
    for name, text in files.items():
        if arguments.write is not None:
            path: Path = arguments.write / name
            path.write_text(text)
            if text.startswith("#!"):  # a program of Slurm's
                path.chmod(0o755)
        else:
            print(f"# --- {name} ---\n{text}")
    return 0


def build_lrms(loaded: Loaded, cluster: str) -> Lrms:
    """Build the LRMS adapter that the configuration names.

    :param cluster: the cluster's UUID.
    """
    name, config = loaded.lrms
    plugin = find_plugins()[LRMS][name]
    context = PluginContext(cluster, loaded.settings.cluster, loaded.state, places=loaded.places)
    lrms: Lrms = plugin.build(config, context, tuple(loaded.settings.pools.values()))
    return lrms


def _differences(lrms: Lrms, loaded: Loaded) -> int:
    differences = lrms.check_config(loaded.settings)
    for difference in differences:
        print(difference)
    if not differences:
        print("slurmctld runs with what the configuration needs")
    return 1 if differences else 0


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("file", nargs="?", type=Path, default=DEFAULT_FILE)
    return parser
