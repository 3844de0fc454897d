"""Standing by: look at the lease, tell who is active, and take it when its holder has stopped."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

from clues import inventory, systemd
from clues.api.server import ApiServer
from clues.config import FrontEnds, Loaded
from clues.errors import CluesError, ConfigError
from clues.metrics import Exposition
from clues.standby import identity, restoring
from clues.standby.face import make_face
from clues.standby.folder import SharedFolder
from clues.standby.keeper import Keeper, boot_time
from clues.standby.lease import Lease, Timing, Watch, may_take, seen

log = logging.getLogger(__name__)


_OTHER_AUTHORITY = "the CA here is not the active one's, VMs could not enrol here: copy signer and trust from it"


@dataclass(frozen=True, slots=True)
class Turn:
    """It is this front-end's turn: the lease is held, and renewed from now on."""

    keeper: Keeper
    folder: SharedFolder
    #: as it was read last
    loaded: Loaded
    #: what shows whose folder it is
    proof: bytes
    #: the host that was active before; empty: this one, or nobody
    taken_from: str = ""


class StandBy:
    """A front-end that waits for its turn."""

    def __init__(
        self,
        loaded: Loaded,
        front_ends: FrontEnds,
        cluster: Callable[[Path], str],
        reload: Callable[[], Loaded],
        name: str,
    ) -> None:
        """
        :param cluster: returns the cluster's id, made if this is its first start.
        :param reload: reads the configuration again.
        :param name: this host's name, for people.
        :raises ConfigError: this front-end is not one of the cluster that the shared folder belongs to.
        """
        self._loaded, self._reload, self._name = loaded, reload, name
        self._folder = SharedFolder(front_ends.shared)
        self._timing = Timing(front_ends.lease / timedelta(seconds=1))
        self._ledger = loaded.state / "ledger.db"
        identity.check_first(self._folder, loaded.state)
        self._me = identity.front_end_id(loaded.state)
        self._proof = identity.what_is_shared(loaded.state, cluster(loaded.state))
        self._watch = Watch()
        self._mistakes = ""
        #: what would keep this front-end from taking over
        self._not_taken = self._trouble = self._other_authority = ""
        self._stopped, self._to_reload = threading.Event(), threading.Event()
        self._looks = 0

    # --- what is told ---

    def who_acts(self) -> str:
        """Return in one sentence who is active."""
        lease = self._watch.lease
        if lease is None:
            return "this front-end stands by, and who is active is not known"
        if not lease.holder:
            return "this front-end stands by, and no other is active yet"
        age = boot_time() - self._watch.since
        return f"this front-end stands by: {lease.name} is active (its lease moved {age:.0f} s ago)"

    def troubles(self) -> list[str]:
        """Return what would keep this front-end from taking over."""
        every = (self._watch.trouble, self._not_taken, self._trouble, self._other_authority, self._mistakes)
        return [one for one in every if one]

    @property
    def told_to_reload(self) -> bool:
        """Whether the configuration is to be read again and was not: the turn came first."""
        return self._to_reload.is_set()

    # --- the wait ---

    def run(self) -> Turn | None:
        """Wait until the lease is ours; None: told to stop."""
        self._watch_signals()
        apis: tuple[ApiServer, ...] = ()
        metrics = Exposition(lambda: None, lambda: datetime.now(UTC))
        try:
            turn = self._step()
            if turn is None and not self._stopped.is_set():
                log.info("%s", self.who_acts())
                face = make_face(lambda: self._loaded.settings.cluster, self.who_acts, self.troubles)
                places = self._loaded.places
                apis = (ApiServer(face, places.socket), ApiServer(face, places.read_socket, mode=0o666))
                for api in apis:
                    api.start()
                metrics.standing_by = lambda: len(self.troubles())
                self._listen(metrics)
                systemd.notify("READY=1")
            while turn is None and not self._stopped.wait(min(2.0, self._timing.renew_every)):
                turn = self._step()
            return turn
        finally:
            metrics.stop()
            for api in apis:
                api.stop()

    def _listen(self, metrics: Exposition) -> None:
        try:
            metrics.listen(self._loaded.metrics_listen)
        except ConfigError as error:  # it may stand by all the same
            log.error("%s", error)

    def _step(self) -> Turn | None:
        """Look once; return the turn if it has come."""
        if self._to_reload.is_set():
            self._to_reload.clear()
            self._read_again()
        lease, trouble = self._folder.look()
        self._watch = seen(self._watch, lease, trouble, boot_time())
        wanted = self._watch.lease
        takes = may_take(self._watch, self._me, boot_time(), self._timing)
        if not takes:
            self._not_taken = ""
        turn = self._take(wanted) if takes and wanted is not None else None
        if turn is None:
            self._follow(lease)
            self._looks += 1
            systemd.notify(f"WATCHDOG=1\nSTATUS={systemd.summary(self.who_acts(), self.troubles())}")
        return turn

    def _take(self, lease: Lease) -> Turn | None:
        own = lease.holder in (self._me, "")
        try:
            identity.check_same(self._folder, self._proof)
            if not own:
                restoring.make_stale(self._ledger)
            if restoring.is_stale(self._ledger):
                restoring.fetch(self._folder, self._ledger)  # before anything is taken: can it be read at all?
            began = boot_time()
            mine = lease.next(self._me, self._name)
            if not self._folder.move(lease, mine):
                self._watch, self._not_taken = Watch(), ""  # somebody was quicker, or it moved unseen
                return None
        except (OSError, CluesError) as error:
            why = f"the lease is not taken: {error}"
            if why != self._not_taken:
                log.error("%s", why)
            self._not_taken = why
            return None
        log.warning("the lease is ours, number %d; it was %s's", mine.number, lease.name or "nobody")
        keeper = Keeper(self._folder, mine, began, self._timing)
        keeper.start()
        if restoring.is_stale(self._ledger):
            # once more: what its holder wrote until it lost the lease counts
            restoring.put_in_place(restoring.fetch(self._folder, self._ledger), self._ledger)
        return Turn(keeper, self._folder, self._loaded, self._proof, "" if own else lease.name)

    def _follow(self, lease: Lease | None) -> None:
        """Do what a front-end does while another is active."""
        try:
            if lease is not None and lease.holder not in (self._me, ""):
                restoring.make_stale(self._ledger)
                self._copy_inventory()
                theirs, mine = self._folder.read("authority"), identity.authority(self._loaded.places.trust)
                self._other_authority = _OTHER_AUTHORITY if theirs and theirs != mine else ""
            self._folder.write(f"standby.{self._me}", f"{self._name} {self._looks}".encode())
        except OSError as error:
            self._trouble = f"{self._folder.path}: {error.strerror or error}"
        else:
            self._trouble = ""

    def _copy_inventory(self) -> None:
        """Keep the list of members as the active one has it: hub, broker and signer of this front-end go by it."""
        text = self._folder.read("inventory.json")
        path = self._loaded.places.inventory
        if text is None or (path.exists() and path.read_bytes() == text):
            return
        try:
            inventory.write(path, inventory.Inventory.from_json(text.decode()))
        except ValueError as error:
            log.warning("the inventory of the other front-end is not believed: %s", error)

    def _read_again(self) -> None:
        systemd.notify("RELOADING=1")
        try:
            fresh = self._reload()
        except CluesError as error:
            self._mistakes = f"the new configuration is not in use: {error}"
        else:
            self._mistakes = ""
            # where this process stands is settled at its start
            self._loaded = replace(fresh, state=self._loaded.state, socket=self._loaded.socket)
        log.info("configuration: %s", self._mistakes or "read again and in use")
        systemd.notify("READY=1")

    def _watch_signals(self) -> None:
        def on_signal(number: int, _: FrameType | None) -> None:
            (self._to_reload if number == signal.SIGHUP else self._stopped).set()

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, on_signal)


def begin(loaded: Loaded, cluster: Callable[[Path], str], reload: Callable[[], Loaded], name: str) -> StandBy | None:
    """Return what waits for this front-end's turn; None where it is alone.

    :raises ConfigError: it cannot be one of two.
    """
    given = loaded.front_ends
    if given is None:
        if restoring.is_stale(loaded.state / "ledger.db"):
            raise ConfigError(
                f"{loaded.state}: another front-end has been active since, and `front_ends` was taken out of the file: "
                "put it back and let this one take over, or copy the other's ledger here and remove ledger.db.stale"
            )
        return None
    return StandBy(loaded, given, cluster, reload, name)
