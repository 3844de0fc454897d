"""Who this front-end is, and whether it is one of the cluster whose lease it wants."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from pathlib import Path

from clues.bootstrap import secret_file
from clues.bootstrap.tickets import Tickets
from clues.errors import ConfigError
from clues.standby.folder import SharedFolder

#: What a second front-end needs of the first, below the folder of its state.
COPIED = "cluster-id, ticket.key and the folders signer and trust"


def front_end_id(state: Path) -> str:
    """Return the id of this state folder, made at its first start. It is not the host's name: two may have the same."""
    path = state / "front-end-id"
    text = (secret_file.read(path) or secret_file.create(path, secrets.token_hex(8).encode())).decode().strip()
    if not re.fullmatch(r"[0-9a-f]{16}", text):
        raise ConfigError(f"{path}: is not an id: remove it while cluesd is stopped; a new one is made")
    return text


def what_is_shared(state: Path, cluster: str) -> bytes:
    """Return what shows that two front-ends are of one cluster, without telling any secret."""
    proof = hashlib.sha256(Tickets.open(state).issue("front-ends").encode()).hexdigest()
    return json.dumps({"cluster": cluster, "tickets": proof}).encode()


def check_first(folder: SharedFolder, state: Path) -> None:
    """See to it that no new cluster is founded beside one that is there: its id would be of no VM.

    :raises ConfigError: this front-end lacks what has to be copied.
    """
    missing = [name for name in ("cluster-id", "ticket.key") if not (state / name).exists()]
    if missing and _told(folder) is not None:
        raise ConfigError(
            f"{state}: lacks {' and '.join(missing)}: copy {COPIED} from the other front-end (docs: two front-ends)"
        )


def check_same(folder: SharedFolder, mine: bytes) -> None:
    """See to it that this front-end is of the cluster that the folder belongs to.

    :raises ConfigError: it is not.
    """
    told = _told(folder)
    if told is not None and told != mine:
        raise ConfigError(
            f"{folder.path}: belongs to another cluster, or to this one with another ticket key: copy {COPIED} from "
            "the front-end that is active"
        )


def tell(folder: SharedFolder, mine: bytes) -> None:
    """Say whose folder it is, if nobody has.

    :raises OSError: it cannot be written.
    """
    if folder.read("cluster") is None:
        folder.write("cluster", mine)


def authority(trust: Path) -> bytes:
    """Return what tells the certificates that VMs trust apart from others; empty: there are none yet.

    :raises OSError: they cannot be read.
    """
    found = sorted(trust.glob("ca*.pem"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in found)).hexdigest().encode() if found else b""


def _told(folder: SharedFolder) -> bytes | None:
    try:
        return folder.read("cluster")
    except OSError as error:
        raise ConfigError(
            f"{folder.path}: cannot be read ({error.strerror}): it has to belong to the user clues"
        ) from None
