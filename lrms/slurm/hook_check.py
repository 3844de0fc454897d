"""Can slurmctld ask cluesd for nodes? The programs that it runs for eager pools, and the folder they write into."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from clues.model import Settings
from clues.places import Places
from lrms.slurm import saving, worker

_FOR_ALL = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


def troubles(settings: Settings, config: Mapping[str, str], places: Places) -> list[str]:
    """Return one sentence for each thing that keeps the hook from its work; nothing where no pool is eager.

    :param config: the running controller's settings.
    """
    if not saving.eager_pools(settings):
        return []
    found = [text for text in (_folder(places.requests, worker.user_of(config)),) if text]
    wanted = saving.programs(settings, places)
    for key, name, _ in saving.PROGRAMS:
        path = Path(config.get(key.lower(), ""))
        if path.name == name:  # else it is told already that slurmctld does not run it
            found += [text for text in (_program(path, wanted[name]),) if text]
    return found


def _folder(folder: Path, slurm_user: str) -> str:
    """Return what is wrong with the folder of requests, and what to do."""
    name, _, number = slurm_user.partition(":")
    make = f"install -d -o {name or 'slurm'} -g clues -m 2770 {folder}"
    try:
        seen = folder.lstat()
    except FileNotFoundError:
        return f"{folder} is missing, where Slurm's requests for eager pools are put: {make}"
    except OSError as error:
        return f"{folder} cannot be looked at: {error.strerror}: run this as root"
    if not stat.S_ISDIR(seen.st_mode):
        return f"{folder} is not a folder: remove it, then {make}"
    if seen.st_mode & stat.S_IWOTH:
        return f"{folder} can be written to by every user: {make}"
    # on a small installation one user is all of them
    if number and seen.st_uid not in {int(number), os.geteuid()}:
        return f"{folder} is not SlurmUser's ({name}), who has to write there: {make}"
    if seen.st_uid != os.geteuid() and (seen.st_mode & stat.S_IRWXG) != stat.S_IRWXG:
        return f"{folder} cannot be emptied by the group of cluesd: {make}"
    return ""


def _program(path: Path, wanted: str) -> str:
    """Return what is wrong with one of the programs, and what to do."""
    again = "write it anew: clues slurm-config --write"
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return f"{path} cannot be read ({error.strerror}), which slurmctld runs for eager pools: {again} {path.parent}"
    if mode & _FOR_ALL != _FOR_ALL or mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"{path} is run by slurmctld: chmod 0755 it"
    if "clues-slurm-hook" not in text:
        return f"{path} does not run clues-slurm-hook: let it, or {again} {path.parent}"
    if text != wanted and "Generated from clues.yaml" in text:
        return f"{path} is from another clues.yaml: {again} {path.parent}"
    hook = next((word.strip("'") for word in text.split() if word.strip("'").endswith("/clues-slurm-hook")), "")
    if hook and not os.access(hook, os.X_OK):
        return f"{path} runs {hook}, which is not there or cannot be run: {again} {path.parent}"
    return ""
