"""The daemon's folder of state: one daemon at a time, and the name that the cluster keeps for ever."""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path

from clues.bootstrap import secret_file
from clues.errors import ConfigError


def cluster_id(state: Path) -> str:
    """Return the cluster's UUID, minted at the first start. It is kept apart from the ledger: with the ledger lost, the
    VMs that carry it are still ours."""
    path = state / "cluster-id"
    text = secret_file.read(path, public=True)
    if text is None:
        text = secret_file.create(path, f"{uuid.uuid4()}\n".encode())
        path.chmod(0o644)  # a name, not a secret: the signer asks for it
    try:
        return str(uuid.UUID(text.decode().strip()))
    except ValueError:
        raise ConfigError(
            f"{path}: is not a UUID: restore it from a backup; without it no VM is known as ours"
        ) from None


def hold(state: Path) -> int:
    """Make the state folder if there is none, and keep a second daemon away from it for as long as the returned
    descriptor is open."""
    state.mkdir(parents=True, exist_ok=True, mode=0o711)  # others find in it what is theirs, and list nothing
    descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigError(f"another cluesd runs on {state} (it holds {state / 'lock'})") from None
    return descriptor
