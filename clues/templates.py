"""Where the data files are: `templates/` and `systemd/` beside the packages in a checkout, `clues/_templates/` and
`clues/_systemd/` in a wheel.

The wheel's copy is asked for first, because it exists only in a wheel: a checkout never holds one, so neither
can hide the other, and nobody has to say which of the two is running.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

import clues


def folder() -> Traversable:
    """The folder that holds the templates.

    Raises `FileNotFoundError` if there is none, which means a broken installation.
    """
    return _find("templates")


def systemd() -> Traversable:
    """The folder that holds the units and what belongs to them.

    Raises `FileNotFoundError` if there is none, which means a broken installation.
    """
    return _find("systemd")


def _find(name: str) -> Traversable:
    packed = files(clues) / f"_{name}"
    if packed.is_dir():
        return packed
    beside = Path(clues.__file__).resolve().parent.parent / name
    if beside.is_dir():
        return beside
    raise FileNotFoundError(f"no {name}: neither {packed} nor {beside} is a folder")


def read(name: str) -> str:
    """The text of the template `name`, a relative path such as `slurm/slurm.conf`, decoded as UTF-8.

    Raises `ValueError` for a name that leads out of the folder, `FileNotFoundError` if there is none.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"not the name of a template: {name!r}")
    return folder().joinpath(*path.parts).read_text(encoding="utf-8")
