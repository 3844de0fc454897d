"""What a new worker needs to join: the munge key, its name, and where slurmctld is.

slurmd is started configless (``--conf-server``): it gets slurm.conf, gres.conf and the files that they include by
a bare name from the controller, so nothing of Slurm's configuration is ever copied to a VM.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path

from clues.errors import LrmsError
from clues.ports import WorkerSecrets
from lrms.slurm import words

#: munged refuses a shorter key
_SHORTEST_KEY = 32
_MUNGE_KEY = "/etc/munge/munge.key"
_HOST = re.compile(r"([^()\s]+)(?:\(([^()\s]+)\))?")


def secrets_for(node: str, munge_key: Path, slurmctld: str) -> WorkerSecrets:
    """Return the files, settings and services of a worker.

    :raises LrmsError: the munge key cannot be read, is too short, or can be read by everybody.
    """
    try:
        mode = munge_key.stat().st_mode
        key = munge_key.read_bytes()
    except OSError as error:
        raise LrmsError(f"the munge key cannot be read (lrms.munge_key): {error}") from error
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise LrmsError(f"{munge_key} is open to other users: chmod 0400 it, and make a new key")
    if len(key) < _SHORTEST_KEY:
        raise LrmsError(f"{munge_key} holds {len(key)} bytes, munge wants at least {_SHORTEST_KEY}")
    return WorkerSecrets(
        files=((_MUNGE_KEY, 0o400, key),),
        settings={"HOSTNAME": node, "SLURMD_OPTIONS": f"--conf-server {slurmctld} -N {node}"},
        services=("munge", "slurmd"),
    )


def address_of(config: Mapping[str, str]) -> str:
    """Return where slurmctld says that it is: ``address:port``.

    :raises LrmsError: it does not say.
    """
    match = _HOST.fullmatch(config.get("slurmctldhost[0]", ""))
    port = re.match(r"[0-9]+", words.text_or_nothing(config.get("slurmctldport", "")))
    if match is None or port is None:
        raise LrmsError("slurmctld does not tell its address: set lrms.slurmctld")
    return f"{match[2] or match[1]}:{port[0]}"
