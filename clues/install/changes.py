"""What differs between the files that shall be and those that are there, and making it so.

A file belongs to us if it is as we put it (its hash is in the manifest), or as we would put it now.  Every other one is
somebody's: it stays, and is named.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from clues.install import manifest as manifest_module
from clues.install.manifest import Manifest, digest, on
from clues.install.wanted import File


class Step(StrEnum):
    """What is done with one file."""

    PUT = "put"
    RENEW = "renew"
    SAME = "same"
    KEEP = "keep"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Change:
    """One file and what is done with it."""

    step: Step
    path: PurePosixPath
    file: File | None = None
    why: str = ""


def to_install(root: Path, wanted: Sequence[File], manifest: Manifest, units: PurePosixPath) -> list[Change]:
    """Return what makes the files below *root* the wanted ones.

    Of what an earlier version has put, only units that this one does not have are taken away: slurmctld does not start
    without a file that it includes, so Slurm's part stays also while the configuration has a mistake.

    :param units: the folder of units.
    """
    changes = [_of(root, file, manifest) for file in wanted]
    names = {str(file.path) for file in wanted}
    stale = [path for path in manifest.files if path not in names and PurePosixPath(path).parent == units]
    return changes + [_away(root, path, manifest) for path in stale]


def to_uninstall(root: Path, manifest: Manifest) -> list[Change]:
    """Return what takes away everything that was put."""
    return [_away(root, path, manifest) for path in manifest.files]


def carry_out(root: Path, changes: Sequence[Change], manifest: Manifest, *, keep: bool = True) -> None:
    """Make the changes, note each in the manifest, and write that. With nothing left of ours our empty folders go, too.

    :param keep: write the manifest; a package needs none, as its manager knows its files.
    """
    if keep and any(change.file is not None for change in changes):
        _make_folders(root, manifest_module.PLACE.parent, manifest)
    for change in changes:
        path, name = on(root, change.path), str(change.path)
        if change.file is not None and change.step in {Step.PUT, Step.RENEW}:
            _make_folders(root, change.path.parent, manifest)
            _put(path, change.file)
            manifest.files[name] = digest(change.file.text.encode())
        elif change.file is not None and change.step is Step.SAME and not change.file.only_new:
            manifest.files[name] = digest(change.file.text.encode())
        elif change.step is Step.REMOVE:
            path.unlink(missing_ok=True)
            del manifest.files[name]
        elif change.file is None:
            del manifest.files[name]  # changed since: it is whose who changed it
    if keep:
        manifest_module.write(root, manifest)
    for name in sorted(manifest.folders, key=len, reverse=True) if not manifest.files else ():
        folder = on(root, name)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _of(root: Path, file: File, manifest: Manifest) -> Change:
    path = on(root, file.path)
    present = _content(path)
    if present is None and path.is_symlink():
        return Change(Step.KEEP, file.path, file, "a link that somebody made")
    if present is None:
        return Change(Step.PUT, file.path, file)
    if present == file.text.encode():
        return Change(Step.SAME, file.path, file)
    if file.only_new:
        return Change(Step.KEEP, file.path, file, "yours")
    if manifest.files.get(str(file.path)) == digest(present):
        return Change(Step.RENEW, file.path, file)
    return Change(Step.KEEP, file.path, file, "changed by somebody: move it away to get the one of this version")


def _away(root: Path, name: str, manifest: Manifest) -> Change:
    path = on(root, name)
    present = _content(path)
    if present is not None and digest(present) != manifest.files[name]:
        return Change(Step.KEEP, PurePosixPath(name), why="changed since it was put: remove it by hand")
    if present is None and path.is_symlink():
        return Change(Step.KEEP, PurePosixPath(name), why="a link that somebody made")
    return Change(Step.REMOVE, PurePosixPath(name))


def _content(path: Path) -> bytes | None:
    """Return what a file says; None for one that is not there, and for a link, which is never followed."""
    if path.is_symlink() or not path.is_file():
        return None
    return path.read_bytes()


def _make_folders(root: Path, folder: PurePosixPath, manifest: Manifest) -> None:
    for one in [*reversed(folder.parents), folder]:
        place = on(root, one)
        if not place.is_dir():
            place.mkdir(mode=0o755)
            place.chmod(0o755)  # whatever the umask
            if str(one) not in manifest.folders:
                manifest.folders.append(str(one))


def _put(path: Path, file: File) -> None:
    new = path.with_name(f".{path.name}.new")
    with os.fdopen(
        os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w", encoding="utf-8"
    ) as to:
        to.write(file.text)
    new.chmod(file.mode)
    new.replace(path)
