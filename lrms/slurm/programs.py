"""Programs that slurm.conf names and slurmd runs: a worker has to have them, at the same path.

"Configless" hands out files of configuration, no programs (22.05: a Prolog that is not there drains the node at its
first job, and so does a pattern that fits no file). So what stands beside slurm.conf on the front-end goes along with
the answer to an enrolment, and the worker looks for all of them before its slurmd starts. Two come with clues
(``lrms.clean``).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from clues import templates

log = logging.getLogger(__name__)

NAMES = ("prolog", "epilog", "taskprolog", "taskepilog", "healthcheckprogram")
_PATH = re.compile(r"/[A-Za-z0-9_.*/+-]+")
#: where a worker takes files for Slurm
_TAKEN = re.compile(r"/etc/slurm/[A-Za-z0-9_][A-Za-z0-9_.-]*")
_LARGEST = 64 * 1024
_MOST = 16

PROLOG = "/etc/slurm/clues-prolog"
EPILOG = "/etc/slurm/clues-epilog"
#: what cleans workers between users, by path
CLEANING = {PROLOG: "slurm/prolog.sh", EPILOG: "slurm/epilog.sh"}


def named_in(config: Mapping[str, str], names: Sequence[str] = NAMES) -> tuple[str, ...]:
    """Return the paths (a star may stand in them) of programs that slurmd runs.

    :param config: the controller's settings; from 23.11 on a name may have a number (``prolog[0]``).
    :param names: of the settings that count.
    """
    found = [value for name, value in config.items() if re.sub(r"\[[0-9]+\]$", "", name) in names]
    return tuple(dict.fromkeys(value for value in found if _PATH.fullmatch(value)))[:_MOST]


def files_for(paths: tuple[str, ...], *, clean: bool, root: Path = Path("/")) -> tuple[tuple[str, int, bytes], ...]:
    """Return what a worker is given of them.

    :param clean: whether those that clean workers between users are among them, whatever the front-end has.
    :param root: of the front-end's files.
    """
    files = {path: content for path in paths if (content := _read(path, root)) is not None}
    if clean:
        files |= {path: templates.read(name).encode() for path, name in CLEANING.items()}
    return tuple((path, 0o755, content) for path, content in files.items())


def _read(path: str, root: Path) -> bytes | None:
    if not _TAKEN.fullmatch(path):
        return None  # the image has it, or a hook brings it
    try:
        with (root / path.lstrip("/")).open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        log.warning("slurm.conf names %s, which cannot be read here, so workers must have it: %s", path, error.strerror)
        return None
    if len(content) > _LARGEST:
        log.warning("slurm.conf names %s, which is too large to be sent to workers: they must have it", path)
        return None
    return content
