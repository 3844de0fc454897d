"""Where the daemon and its helpers keep what they share: one place for every path.

Each process has a user of its own; a folder belongs to the one that writes it, and what is in ``trust`` and the
inventory may be read by all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """The paths of one cluster, from the two that its configuration names."""

    #: ``state`` of the configuration
    state: Path
    #: ``socket`` of the configuration: the daemon's API
    socket: Path

    @property
    def inventory(self) -> Path:
        """Who belongs to the cluster now: written by cluesd after each commit, read by everybody."""
        return self.state / "inventory.json"

    @property
    def trust(self) -> Path:
        """Folder of public certificates and the CRL: written by the signer, read by everybody."""
        return self.state / "trust"

    @property
    def crl(self) -> Path:
        """The revocation list that central points go by."""
        return self.trust / "crl.pem"

    @property
    def signer(self) -> Path:
        """The signer's own folder: the CA's key and its list of what it has issued."""
        return self.state / "signer"

    @property
    def hub(self) -> Path:
        """Folder of the central point: its own key, and what the broker tells of its tunnels."""
        return self.state / "hub"

    @property
    def hub_status(self) -> Path:
        """What the broker tells: read by cluesd."""
        return self.hub / "status.json"

    @property
    def requests(self) -> Path:
        """What the batch system's hook asks for: written by the batch system's user, read and emptied by cluesd."""
        return self.state / "requests"

    @property
    def hook_socket(self) -> Path:
        """Where that hook knocks."""
        return self.socket.with_suffix(".hook.sock")

    @property
    def desk_socket(self) -> Path:
        """Where the signer asks cluesd whether a VM is expected."""
        return self.socket.with_suffix(".desk.sock")

    @property
    def read_socket(self) -> Path:
        """Where everybody may look at the cluster, as far as Slurm would show it to them."""
        return self.socket.with_suffix(".read.sock")

    @property
    def signer_socket(self) -> Path:
        """Where the enrolment front and the central point ask the signer."""
        return self.socket.with_suffix(".signer.sock")

    @property
    def management_socket(self) -> Path:
        """OpenVPN's management interface, between the central point and its broker."""
        return self.socket.with_suffix(".hub.sock")
