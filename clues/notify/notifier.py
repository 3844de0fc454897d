"""Who has been told of which alarm. All of it runs on the owner's thread; sending is done on a lane.

The event log is the outbox: an alarm is a note in the ledger before anybody is told, and for each receiver the ledger
keeps up to where it has been told. So a restart loses none; one may come twice, if the daemon died between the sending
and the commit. A receiver who does not answer is tried again some times, ever later; then those alarms are given up,
and the trouble stays until something gets through.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

from clues.config import Notify, Webhook
from clues.errors import LedgerError
from clues.model import LoggedNote
from clues.notify.send import send_mail, send_webhook
from clues.ports import Workers

log = logging.getLogger(__name__)

#: How long after each failure it is tried again; after the last one it is given up.
RETRIES = tuple(timedelta(seconds=one) for one in (10, 60, 300, 900, 3600))
#: Alarms that come together are told together.
PAUSE = timedelta(seconds=10)
_AT_ONCE = 100
#: 0 would ask for the newest notes instead.
_FROM_THE_FIRST = -1

#: Sends alarms of a cluster: the cluster's name, the alarms, the time.
Send = Callable[[str, Sequence[LoggedNote], datetime], None]


@dataclass(slots=True)
class _Receiver:
    """One that is told, and how that goes."""

    name: str
    send: Send
    #: notes up to this id are told, or were none to be told
    told: int
    failures: int = 0
    #: not before
    next_at: datetime | None = None
    busy: bool = False


class Notifier:
    """Tells receivers of new alarms."""

    def __init__(
        self,
        workers: Workers,
        notes: Callable[[int, int], Sequence[LoggedNote]],
        told: Mapping[str, int],
        remember: Callable[[Mapping[str, int]], None],
        trouble: Callable[[str, str], None],
        now: Callable[[], datetime],
    ) -> None:
        """:param notes: returns at most so many notes after an id, oldest first; with 0 the newest.
        :param told: up to where each receiver had been told, by its name.
        :param remember: commits that; may raise :class:`LedgerError`.
        :param trouble: shows something a sysadmin has to see to, by a name; empty: no more.
        """
        self._workers, self._notes, self._remember, self._trouble, self._now = workers, notes, remember, trouble, now
        self._told = dict(told)
        self._receivers: dict[str, _Receiver] = {}
        self._cluster = ""

    def use(self, cluster: str, notify: Notify) -> None:
        """Tell these receivers from now on; a new one is told nothing of the past."""
        self._cluster = cluster
        wanted: dict[str, Send] = {_webhook_name(hook): partial(send_webhook, hook) for hook in notify.webhooks}
        if notify.mail is not None:
            wanted[f"mail to {', '.join(notify.mail.to)}"] = partial(send_mail, notify.mail)
        for name in self._receivers.keys() - wanted.keys():
            self._trouble(f"notify {name}", "")
        newest = max((note.id for note in self._notes(0, 1)), default=0)
        kept = self._receivers
        self._receivers = {
            name: _Receiver(name, send, kept[name].told if name in kept else self._told.get(name, newest))
            for name, send in wanted.items()
        }
        self._keep()

    def look(self) -> None:
        """Begin to tell what is new; call it after each tick."""
        for one in self._receivers.values():
            if not one.busy and (one.next_at is None or self._now() >= one.next_at):
                self._tell(one)

    def _tell(self, one: _Receiver) -> None:
        fresh = self._notes(one.told or _FROM_THE_FIRST, _AT_ONCE)
        alarms = [note for note in fresh if note.kind == "alarm"]
        if not alarms:
            one.told = max((note.id for note in fresh), default=one.told)
            return
        one.busy = True
        call = partial(one.send, self._cluster, alarms, self._now())
        self._workers.submit("notify", call, partial(self._sent, one, fresh[-1].id, len(alarms)))

    def _sent(self, one: _Receiver, last: int, count: int, _: object, error: BaseException | None) -> None:
        one.busy = False
        if error is None:
            self._trouble(f"notify {one.name}", "")
            one.failures, one.next_at, one.told = 0, self._now() + PAUSE, last
            self._keep()
            return
        what = f"{count} alarm{'' if count == 1 else 's'}"
        log.warning("%s not told to %s: %s", what, one.name, error)
        if one.failures < len(RETRIES):
            one.next_at = self._now() + RETRIES[one.failures]
            one.failures += 1
            again = "it is tried again"
        else:
            one.failures, one.next_at, one.told = 0, self._now() + PAUSE, last
            again = "given up: see `clues events`"
            self._keep()
        self._trouble(f"notify {one.name}", f"{what} not told to {one.name}: {error}; {again}")

    def _keep(self) -> None:
        self._told = {one.name: one.told for one in self._receivers.values()}
        try:
            self._remember(self._told)
        except LedgerError as error:  # it is shown as a trouble already; the worst is an alarm that is told twice
            log.warning("who was told is not recorded: %s", error)


def _webhook_name(hook: Webhook) -> str:
    """Return what it is called where people read it: a URL may hold a secret, so only its host and a mark."""
    mark = hashlib.sha256(hook.url.encode()).hexdigest()[:6]
    return f"webhook {urlsplit(hook.url).hostname} ({mark})"
