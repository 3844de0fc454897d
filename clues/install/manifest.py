"""What was put, with the hash of each file: so that only that is taken away, and only if nobody changed it.

It lies where only root writes: who could change it could have any file taken away.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path, PurePosixPath

from clues.errors import CluesError

PLACE = PurePosixPath("/usr/lib/clues/installed.json")


class InstallError(CluesError):
    """It cannot be installed or removed like this; the text says what to do."""


@dataclass(slots=True)
class Manifest:
    """The files that were put, by path, with their hashes; and the folders that were made for them, outermost first."""

    files: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)


def digest(content: bytes) -> str:
    """Return what the manifest remembers of a file."""
    return sha256(content).hexdigest()


def on(root: Path, path: PurePosixPath | str) -> Path:
    """Return where a path of the front-end lies, whose root is *root*."""
    return root / str(path).lstrip("/")


def read(root: Path) -> Manifest:
    """Return what was put below *root* so far.

    :raises InstallError: the manifest is damaged.
    """
    place = on(root, PLACE)
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
        return Manifest(dict(found["files"]), list(found["folders"]))
    except FileNotFoundError:
        return Manifest()
    except (ValueError, KeyError, TypeError) as error:
        raise InstallError(
            f"{place} is damaged, so it is not known what was installed: remove it and run `clues install` again, "
            "which takes every file that is as it should be for one of its own"
        ) from error


def write(root: Path, manifest: Manifest) -> None:
    """Keep *manifest*; without a file in it there is nothing to keep."""
    place = on(root, PLACE)
    if not manifest.files:
        place.unlink(missing_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.with_name(place.name + ".new")
    new.write_text(json.dumps({"files": manifest.files, "folders": manifest.folders}, indent=1) + "\n", "utf-8")
    new.replace(place)
