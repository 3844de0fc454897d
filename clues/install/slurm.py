"""Slurm's part: the files that its configuration includes, made once there is a configuration to make them from.

slurm.conf is the site's and is never changed: what it lacks is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from clues.config import load
from clues.errors import ConfigError
from clues.install.manifest import InstallError, on
from clues.install.wanted import CONFIGURATION, File, configuration
from clues.model import Attach
from clues.offline import build_lrms
from clues.registry import find_plugins

_SLURM = PurePosixPath("/etc/slurm")
_FRAGMENT = "slurm-clues.conf"
#: what is included in what
_INCLUDED = {_FRAGMENT: "slurm.conf", "gres-clues.conf": "gres.conf"}


def slurms_part(root: Path) -> tuple[list[File], list[str]]:
    """Return the files for Slurm, once they can be made and there is a place for them; and what is left to do."""
    place = on(root, CONFIGURATION)
    start = ["systemctl enable --now clues.target", "clues doctor    looks at everything, Slurm and the clouds too"]
    edit = [
        f"write your sites and pools into {CONFIGURATION}; `clues config check` tells every mistake",
        "run `clues install` again: it then makes Slurm's part",
    ]
    if not place.is_file() or place.read_text(encoding="utf-8") == configuration().text:
        return [], [*edit, *start]
    try:
        loaded = load(place, find_plugins())
    except ConfigError as error:
        return [], [f"the configuration has mistakes: {error}", *edit, *start]
    tunnels = any(site.attach is not Attach.LOCAL for site in loaded.settings.sites.values())
    more = (
        ["systemctl enable --now clues-hub clues-broker    the tunnels; first `clues install --front-end`"]
        if tunnels
        else []
    )
    files = build_lrms(loaded, "").render_config(loaded.settings)
    main = on(root, _SLURM / "slurm.conf")
    if not main.is_file():
        elsewhere = f"there is no {_SLURM}/slurm.conf: `clues slurm-config --write FOLDER` beside yours, and include"
        return [], [f"{elsewhere} {_FRAGMENT} in it", *start, *more]
    made = [File(_SLURM / name, text, 0o755 if text.startswith("#!") else 0o644) for name, text in files.items()]
    asked = [
        f"add the line `include {name}` to {_SLURM}/{into}, which is yours and was left alone"
        for name, into in _INCLUDED.items()
        if _says_something(files.get(name, "")) and not _includes(on(root, _SLURM / into), name)
    ]
    restart = "systemctl restart slurmctld (new nodes need more than a reconfigure); `clues slurm-config --check`"
    return made, [*asked, restart, *start, *more]


def _says_something(text: str) -> bool:
    return any(line.strip() and not line.startswith("#") for line in text.splitlines())


def _includes(path: Path, name: str) -> bool:
    """Return whether a file of Slurm's configuration has a line that includes *name*."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    return any(name in line and line.split()[0].lower() == "include" for line in lines if line.strip())


def not_included(root: Path, files: Mapping[str, str]) -> None:
    """See to it that slurmctld, which does not start without a file that it includes, finds what it needs.

    :raises InstallError: a file that would go is in use.
    """
    for name, into in _INCLUDED.items():
        if str(_SLURM / name) in files and _includes(on(root, _SLURM / into), name):
            raise InstallError(f"slurmctld reads {name}: take `include {name}` out of {_SLURM}/{into} first")
