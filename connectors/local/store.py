"""A site's memory: one small file for each instance, written before the VM is started.

What a provider keeps in its database lies here in a folder, so that every process that is given the folder sees the
same site: the daemon, the daemon that comes after it, and a test that looks over their shoulders. A file is replaced
whole, never changed, so that no reader finds half of it; decisions that need several files to hold still are made under
one lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from clues.errors import Transient
from clues.model import Gpu, Resources
from connectors.local import machine

_ID = re.compile(r"vm-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Record:
    """What the site knows of an instance, save whether its process lives: that is looked up each time."""

    id: str
    cluster: str
    launch_key: str
    node: str
    kind: str
    pool: str
    generation: int
    offer: str
    flavor: str
    resources: Resources
    address: str
    created_at: datetime
    #: somebody asked for its end
    stopping: bool = False
    #: when it was seen dead after that; it is listed for a while yet
    gone_at: datetime | None = None
    #: what the site failed at; the instance is in error when this is not empty
    fault: str = ""

    @property
    def live(self) -> bool:
        """It takes up room."""
        return self.gone_at is None

    def to_json(self) -> str:
        """Return the record as its file holds it."""
        return json.dumps(asdict(self), default=lambda value: value.isoformat(), indent=1)

    @staticmethod
    def from_json(text: str) -> Record:
        """Return the record of a file.

        :raises ValueError: when that is not what it holds.
        """
        raw: dict[str, Any] = json.loads(text)
        try:
            gpus = tuple(Gpu(**gpu) for gpu in raw["resources"].pop("gpus"))
            raw["resources"] = Resources(**raw["resources"], gpus=gpus)
            raw["created_at"] = datetime.fromisoformat(raw["created_at"])
            raw["gone_at"] = raw["gone_at"] and datetime.fromisoformat(raw["gone_at"])
            return Record(**{field.name: raw[field.name] for field in fields(Record)})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a record: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Living:
    """A VM that runs."""

    id: str
    process: machine.Process


class Store:
    """The folder of one site: ``instances/ID.json``, and ``vms/ID/`` for the files of each VM."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._records = folder / "instances"
        self._vms = folder / "vms"
        for path in (folder, self._records, self._vms):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other thread and process from changing the site meanwhile. The kernel frees it if we die."""
        with (self.folder / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @staticmethod
    def new_id() -> str:
        """Return an instance id that was never used."""
        return f"vm-{secrets.token_hex(6)}"

    @staticmethod
    def is_id(text: str) -> bool:
        """Return whether *text* has the form of an id, and so may become part of a path."""
        return _ID.fullmatch(text) is not None

    def vm_folder(self, instance_id: str) -> Path:
        """Return where the files of a VM are, or would be."""
        return self._vms / instance_id

    def vm_folders(self) -> list[Path]:
        """Return the folders of all VMs, those included that no record knows."""
        return sorted(path for path in self._vms.iterdir() if self.is_id(path.name))

    def leftovers(self) -> list[Path]:
        """Return folders of VMs that somebody began to make more than a minute ago, and died."""
        begun = [path for path in self._vms.iterdir() if path.name.startswith(".")]
        return [path for path in begun if time.time() - path.stat().st_mtime > 60]

    def records(self) -> list[Record]:
        """Return all records, oldest first.

        :raises Transient: when one of them cannot be read: a list without it would be a lie.
        """
        found = [self.read(path.stem) for path in self._records.glob("vm-*.json")]
        return sorted((one for one in found if one is not None), key=lambda one: (one.created_at, one.id))

    def read(self, instance_id: str) -> Record | None:
        """Return one record, None if there is none (any more).

        :raises Transient: when it cannot be read.
        """
        path = self._records / f"{instance_id}.json"
        try:
            return Record.from_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise Transient(f"the record of instance {instance_id} cannot be read", words=f"{path}: {error}") from error

    def write(self, record: Record) -> None:
        """Keep a record, in place of the one that was there."""
        replace_file(self._records / f"{record.id}.json", record.to_json())

    def living(self) -> list[Living]:
        """Return what really runs, by looking at processes, whatever the records say."""
        found = []
        for folder in self.vm_folders():
            process = machine.process_of(folder)
            if process is not None and process.lives():
                found.append(Living(folder.name, process))
        return found

    def end_all(self, timeout: float = 10.0) -> None:
        """Pull the plug of every VM of the site, of whichever cluster: the machine room is closed.

        :raises TimeoutError: one of them does not die.
        """
        for one in self.living():
            machine.power_off(one.process, timeout)

    def forget(self, instance_id: str) -> None:
        """Remove a record; one that is not there is no error."""
        (self._records / f"{instance_id}.json").unlink(missing_ok=True)


def replace_file(path: Path, text: str) -> None:
    """Put *text* into the file at *path* so that readers find the old text or the new; only we can read it."""
    new = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
