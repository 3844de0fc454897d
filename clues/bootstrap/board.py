"""The board: what the members are told now. One watcher looks at the inventory for all of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from clues.bootstrap import settings
from clues.bootstrap.members import member_of
from clues.bootstrap.settings import Text
from clues.bootstrap.trust import TrustStore
from clues.errors import CluesError, ConfigError
from clues.inventory import Inventory, Member, Reader

log = logging.getLogger(__name__)

#: how often it is looked whether something has changed; accounts that come from elsewhere are asked for every minute
_LOOK_SECONDS = 0.1
_ACCOUNTS_SECONDS = 60.0


class Board:
    """Lives on one event loop, which runs :meth:`watch`; all methods are called there."""

    def __init__(
        self,
        reader: Reader,
        trust: TrustStore,
        own_lines: Callable[[Inventory, Member], Sequence[str]],
        accounts: Callable[[], tuple[str, ...]],
        accounts_stamp: Callable[[], object] = tuple,
    ) -> None:
        """:param own_lines: what one member is told beside what all are.
        :param accounts: returns the lines with users and groups; may be slow. What it raises lets the last ones stand.
        :param accounts_stamp: returns something else as soon as they have changed on this machine; quick.
        """
        self._reader, self._trust, self._own_lines = reader, trust, own_lines
        self._read_accounts, self._accounts_stamp = accounts, accounts_stamp
        self._inventory: Inventory | None = None
        self._accounts: tuple[str, ...] | None = None
        self._shared: tuple[str, ...] = ()
        self._digest = ""
        self._keys: frozenset[str] = frozenset()
        self._news = asyncio.Event()
        self._trouble = ""

    def look(self) -> None:
        """Take in what has changed, and wake whoever waits for it."""
        try:
            inventory, bundle = self._reader.read(), self._trust.bundle()
        except CluesError as error:
            return self._tell(str(error))
        self._tell(self._reader.trouble)
        shared = (settings.trust_line(bundle), *settings.host_lines(inventory), *(self._accounts or ()))
        if inventory is self._inventory and shared == self._shared:
            return None
        self._inventory, self._shared, self._digest = inventory, shared, settings.digest(shared)
        self._keys = frozenset(one.key for one in inventory.members)
        self._news.set()
        self._news = asyncio.Event()
        return None

    async def watch(self) -> None:
        """Look again and again, for ever."""
        loop, due, seen = asyncio.get_running_loop(), 0.0, self._accounts_stamp()
        while True:
            stamp = self._accounts_stamp()
            if stamp != seen or loop.time() >= due:
                due, seen = loop.time() + _ACCOUNTS_SECONDS, stamp
                await self._take_accounts(loop)
            self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def _take_accounts(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._accounts = await loop.run_in_executor(None, self._read_accounts)
        except (CluesError, OSError) as error:
            log.warning("enrolment: %s; the last accounts stand", error)

    def knows(self, key: str) -> bool:
        """Return whether a live claim has this launch key; True while that cannot be told."""
        self.look()
        return self._inventory is None or key in self._keys

    def member(self, certificate: bytes) -> Member | None:
        """Return the live member that shows this certificate.

        :raises ConfigError: no inventory could be read yet, so nobody can tell.
        """
        self.look()  # it may have enrolled, or been put out, a moment ago
        if self._inventory is None:
            raise ConfigError("no inventory yet")
        return member_of(certificate, self._inventory)

    def text(self, member: Member) -> Text:
        """Return what a member is told now.

        :raises ConfigError: it is not known yet. A text without accounts would take them from a VM that has them.
        """
        if self._inventory is None or self._accounts is None:
            raise ConfigError("no inventory yet, or no accounts")
        return settings.render(self._shared, self._digest, self._own_lines(self._inventory, member))

    def news(self) -> asyncio.Event:
        """Return the event that is set at the next change."""
        return self._news

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            log.warning("enrolment: %s", trouble)
        self._trouble = trouble
