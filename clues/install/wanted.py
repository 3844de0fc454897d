"""Which files an installation consists of: units, users, folders, kernel settings, a configuration to start from.

They lie in two places: those of the administrator below ``/etc`` (`clues install`), those of a distribution's package
below ``/usr/lib``.  Their text is that of `systemd/`, but for the paths of the programs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from clues import templates

CONFIGURATION = PurePosixPath("/etc/clues/clues.yaml")
#: where the units of `systemd/` look for the programs
_WRITTEN_FOR = "ExecStart=/usr/bin/"


@dataclass(frozen=True, slots=True)
class File:
    """One file to be."""

    path: PurePosixPath
    text: str
    mode: int = 0o644
    #: one that is there already stays as it is, whoever wrote it
    only_new: bool = False


@dataclass(frozen=True, slots=True)
class Homes:
    """Where systemd finds each kind of file."""

    units: PurePosixPath
    sysusers: PurePosixPath
    tmpfiles: PurePosixPath
    #: what needs Slurm's user, who may not be there yet
    slurm_tmpfiles: PurePosixPath
    sysctl: PurePosixPath


OF_THE_ADMINISTRATOR = Homes(
    PurePosixPath("/etc/systemd/system"),
    PurePosixPath("/etc/sysusers.d/clues.conf"),
    PurePosixPath("/etc/tmpfiles.d/clues.conf"),
    PurePosixPath("/etc/tmpfiles.d/clues-slurm.conf"),
    PurePosixPath("/etc/sysctl.d/60-clues.conf"),
)
OF_A_PACKAGE = Homes(
    PurePosixPath("/lib/systemd/system"),
    PurePosixPath("/usr/lib/sysusers.d/clues.conf"),
    PurePosixPath("/usr/lib/tmpfiles.d/clues.conf"),
    PurePosixPath("/usr/lib/tmpfiles.d/clues-slurm.conf"),
    PurePosixPath("/usr/lib/sysctl.d/60-clues.conf"),
)


def service_files(programs: Path, homes: Homes, *, front_end: bool) -> list[File]:
    """Return units, users and folders.

    :param programs: the folder that `cluesd` and the others are started from.
    :param front_end: with the kernel settings of a central point, where tunnels end.
    """
    source = templates.systemd()
    texts = {entry.name: entry.read_text(encoding="utf-8") for entry in source.iterdir() if entry.is_file()}
    files = [
        File(homes.units / name, text.replace(_WRITTEN_FOR, f"ExecStart={programs}/"))
        for name, text in sorted(texts.items())
        if name.endswith((".service", ".target"))
    ]
    files.append(File(homes.sysusers, texts["clues.sysusers.conf"]))
    files.append(File(homes.tmpfiles, texts["clues.tmpfiles.conf"]))
    files.append(File(homes.slurm_tmpfiles, texts["clues-slurm.tmpfiles.conf"]))
    if front_end:
        files.append(File(homes.sysctl, texts["clues.sysctl.conf"]))
    return files


def configuration() -> File:
    """Return the example to start from."""
    return File(CONFIGURATION, templates.read("clues.yaml"), only_new=True)
