"""Which listeners see the same, and so are told the same."""

from __future__ import annotations

from threading import Lock

from clues.api.privacy import viewer
from clues.api.stream import Feed
from clues.api.watching import Pictures
from clues.ports import Control

#: Feeds of users, where something is hidden from each; the oldest goes first, and its listeners ask anew.
_MOST = 64


class Feeds:
    """One feed for all who may see everything, and where Slurm hides something one for each user. Any thread."""

    def __init__(self, control: Control, pictures: Pictures) -> None:
        self._control, self._pictures = control, pictures
        self._feeds: dict[str | None, Feed] = {}
        self._lock = Lock()

    def of(self, user: str | None) -> Feed:
        """Return the feed of who sees with these eyes now."""
        published = self._control.published()
        seen = user if published is None else viewer(published, user)
        with self._lock:
            if seen not in self._feeds:
                if len(self._feeds) >= _MOST:
                    del self._feeds[next(iter(self._feeds))]
                self._feeds[seen] = Feed(lambda: self._pictures.present(seen))
            return self._feeds[seen]
