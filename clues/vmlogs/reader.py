"""Which VM's log, from where: looked up by the daemon's owner, read on the thread of whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import BoundedSemaphore

from clues.config import Ssh
from clues.errors import InvalidRequest, NotFound, Transient
from clues.model import Claim, SshWay, VmLog
from clues.ports import Connector
from clues.vmlogs.ssh import read_boot_log
from clues.vmlogs.text import shown

#: So many are read at once: each may hold a thread of the API for as long as its provider takes.
_AT_ONCE = 4


class LogReader:
    """Reads consoles and boot logs."""

    def __init__(
        self,
        claims: Callable[[], Mapping[str, Claim]],
        connectors: Callable[[], Mapping[str, Connector]],
        ssh: Callable[[], Ssh | None],
    ) -> None:
        """:param claims: the live claims; called on the owner's thread.
        :param connectors: those in use.
        :param ssh: how VMs are reached by SSH; None: they are not.
        """
        self._claims, self._connectors, self._ssh = claims, connectors, ssh
        self._places = BoundedSemaphore(_AT_ONCE)

    def find(self, node: str) -> Claim:
        """Return the claim whose VM a node (or a router) has. The owner's thread.

        :raises NotFound: it has none.
        """
        found = [one for one in self._claims().values() if one.node == node and one.instance_id]
        if not found:
            raise NotFound(f"{node} has no VM now: `clues explain {node}` tells what became of the last one")
        return max(found, key=lambda one: one.generation)

    def way(self, node: str) -> SshWay:
        """Return how the VM of a node is reached by SSH. The owner's thread.

        :raises NotFound: it has none.
        :raises InvalidRequest: it told no host keys, or has no address: it could not be known.
        """
        claim, ssh = self.find(node), self._ssh()
        keys = claim.facts.host_keys if claim.facts is not None else ()
        if not keys or not claim.address:
            raise InvalidRequest(f"{node} has told no SSH host keys, so it could not be known: `clues history {node}`")
        identity = ssh.identity if ssh is not None and "/" in ssh.identity else ""
        user, port = (ssh.user, ssh.port) if ssh is not None else ("", 22)
        return SshWay(node, claim.key, claim.address, keys, user, identity, port)

    def read(self, claim: Claim, *, ssh: bool) -> VmLog:
        """Return the end of its console, or of its boot log by *ssh*. Any thread; may take long.

        :raises CluesError: it cannot be had; the text says why.
        """
        if not self._places.acquire(blocking=False):
            raise Transient(f"{_AT_ONCE} logs are being read already; try again in a moment")
        try:
            text = self._boot_log(claim) if ssh else self._console(claim)
        finally:
            self._places.release()
        return VmLog(claim.node, claim.offer.site, claim.instance_id, "boot log" if ssh else "console", shown(text))

    def _console(self, claim: Claim) -> str:
        connector = self._connectors().get(claim.offer.site)
        if connector is None:
            raise NotFound(f"site {claim.offer.site} is no longer in the configuration")
        return connector.console(claim.instance_id)

    def _boot_log(self, claim: Claim) -> str:
        ssh = self._ssh()
        if ssh is None:
            raise InvalidRequest(
                "VMs are not reached by SSH: write `ssh:` with an `identity` into clues.yaml to allow it"
            )
        return read_boot_log(claim, ssh)
