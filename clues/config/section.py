"""What every mapping of ``clues.yaml`` is."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A mapping of the file. Assigning to a field checks it, so that one bad key does not hide another."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, arbitrary_types_allowed=False)

    #: the key that a plain value stands for, where the mapping may be left out (``keep_warm: 2``)
    shorthand: ClassVar[str] = ""
    #: where a list of these is wanted, a single one may stand for a list of one
    alone: ClassVar[bool] = False


class PluginSection(Section):
    """A mapping whose other keys belong to a plugin."""

    model_config = ConfigDict(extra="allow", validate_assignment=True)
