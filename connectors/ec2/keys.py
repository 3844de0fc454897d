"""What signs a call."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key with its secret, and a token where they are those of a session."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)
    #: when the session ends; None: it does not, or nobody tells
    until: datetime | None = None
    #: there will be others by then, without a human
    renewed: bool = False
