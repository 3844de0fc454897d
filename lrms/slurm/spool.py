"""The requests that ``clues-slurm-hook`` has spooled, read and removed by cluesd.

SlurmUser owns the folder, and whoever is SlurmUser may put anything there. So a file is only looked at if it is a
regular one, small, and of the form that the hook writes; everything in it is checked; nothing is ever written there.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import stat
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from clues.hostlist import expand
from clues.model import PowerRequest
from lrms.slurm_hook import LARGEST_REQUEST, VERBS

log = logging.getLogger(__name__)

_NAME = re.compile(r"[0-9]{20}-[0-9]{1,10}\.json")
#: read at one look; the others have their turn once these are forgotten
_MOST_AT_ONCE = 100
#: seconds; what the hook leaves behind when it is killed between two calls
_LEFT_BEHIND = 3600.0


def read(folder: Path, pool_nodes: frozenset[str]) -> tuple[PowerRequest, ...]:
    """Return the oldest requests, with those of their nodes that are in a pool. One that makes no sense is of no nodes.

    A folder that is missing or may not be read has no requests: `clues doctor` tells of it.
    """
    try:
        names = sorted(path.name for path in folder.iterdir() if _NAME.fullmatch(path.name))
        return tuple(_request(folder, name, pool_nodes) for name in names[:_MOST_AT_ONCE])
    except OSError:
        return ()


def forget(folder: Path, names: Iterable[str]) -> None:
    """Remove these requests, and what a hook that was killed has left behind."""
    for name in names:
        if _NAME.fullmatch(name):
            with contextlib.suppress(FileNotFoundError):
                (folder / name).unlink()
    for path in folder.iterdir():
        if path.name.startswith(".") and _NAME.fullmatch(path.name[1:]):
            with contextlib.suppress(OSError):
                if time.time() - path.lstat().st_mtime > _LEFT_BEHIND:
                    path.unlink()


def _request(folder: Path, name: str, pool_nodes: frozenset[str]) -> PowerRequest:
    came = datetime.fromtimestamp(int(name[:20]) % 10**19 / 1e9, UTC)
    try:
        told = json.loads(_content(folder / name))
        verb, nodes, jobs = told["verb"], expand(told["nodes"]), told["jobs"]
        if verb not in VERBS or not all(type(job) is int and job > 0 for job in jobs):
            raise ValueError("not written by clues-slurm-hook")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        log.warning("the request %s in %s is left out: %s", name, folder, error)
        return PowerRequest(name, came, "something that cannot be read", ())
    ours = tuple(node for node in dict.fromkeys(nodes) if node in pool_nodes)
    return PowerRequest(name, came, verb, ours, tuple(str(job) for job in jobs))


def _content(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a file")
        content = os.read(descriptor, LARGEST_REQUEST + 1)
    finally:
        os.close(descriptor)
    if len(content) > LARGEST_REQUEST:
        raise ValueError("too large")
    return content
