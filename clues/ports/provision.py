"""What a VM is given when it enrols, and where its secrets come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that a VM shall get as a file; whoever decides so knows its name only, the signer has its content."""

    #: in the vaults of the signer (``munge``, ``tls-crypt-v2``)
    name: str
    path: str
    mode: int


@dataclass(frozen=True, slots=True)
class Provision:
    """What a VM is given when it enrols, without a secret in it: it may be logged and sent between processes. Once the
    signer has opened the secrets they are files here; so these are not shown."""

    files: tuple[tuple[str, int, bytes], ...] = field(default=(), repr=False)
    settings: Mapping[str, str] = field(default_factory=dict)
    #: started in this order
    services: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()
    #: file systems, as (source, target, type, options)
    mounts: tuple[tuple[str, str, str, str], ...] = ()

    def plus(self, other: Provision) -> Provision:
        """Return both together; what this one starts is started first."""
        return Provision(
            self.files + other.files,
            {**self.settings, **other.settings},
            self.services + other.services,
            self.secrets + other.secrets,
            self.mounts + other.mounts,
        )


class Vault(Protocol):
    """Where the signer finds or makes one kind of secret. Lives in the signer's process alone."""

    def open(self, launch_key: str) -> bytes:
        """Return the secret for the VM of this claim; asked again, one that is as good.

        :raises clues.errors.ConfigError: it cannot be had; the text says what the sysadmin has to mend.
        """
        ...
