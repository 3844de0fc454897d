"""What is shown, and what keys do with it. Nothing here touches a terminal: text and time come in, lines go out.

Three lists stand below each other: pools, nodes, jobs. One has the keys; its chosen row is marked with ``>``, so that
nothing depends on colour. The chosen row is kept by its name, since rows come and go under the finger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from textwrap import wrap as wrap_text
from typing import Any

from clues.api import wire
from clues.api.codec import printable
from clues.cli import words
from clues.cli.tables import Column, Style, table
from clues.cli.top import keys
from clues.cli.top.picture import Picture

_PANES = ("pools", "nodes", "jobs")
_HELP = "arrows move  Tab list  Enter explain  s sort  / filter  a all nodes  q quit"

#: What somebody should look at comes first, what is simply off last.
_ORDER = """failed down held unknown draining stopping joining booting launching wanted busy idle disabled on-premises
    off"""
_RANK: dict[str, int] = {word: at for at, word in enumerate(_ORDER.split())}

#: By what each list can be sorted: a word, and the key of a row. An empty word: as the daemon tells it.
_SORTS: dict[str, tuple[tuple[str, Callable[[Any], Any]], ...]] = {
    "pools": (("", lambda _: 0), ("waiting", lambda pool: -pool.jobs_waiting), ("name", lambda pool: pool.name)),
    "nodes": (
        ("state", lambda node: (_RANK.get(node.state, 0), node.name)),
        ("name", lambda node: node.name),
        ("cost", lambda node: -(node.cost_per_hour or 0.0)),
        ("since", lambda node: node.since or "~"),
    ),
    "jobs": (
        ("", lambda _: 0),
        ("start", lambda job: job.start_early or "~"),
        ("since", lambda job: job.since or "~"),
        ("user", lambda job: (job.user, job.id)),
    ),
}


@dataclass(frozen=True, slots=True)
class Explain:
    """The user wants to know more of this node, job or pool."""

    subject: str


@dataclass(frozen=True, slots=True)
class Quit:
    """The user has seen enough."""


@dataclass(slots=True)
class Screen:
    """What the user has chosen so far."""

    pane: str = "jobs"
    #: the name of the chosen row of each list, and where it stood
    chosen: dict[str, str] = field(default_factory=dict)
    index: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_PANES, 0))
    sort: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_PANES, 0))
    filter: str = ""
    typing: bool = False
    all_nodes: bool = False
    #: what is read instead of the lists, and how far it is scrolled
    reading: tuple[str, str] | None = None
    scrolled: int = 0

    # --- keys ---

    def press(self, key: str, picture: Picture, page: int = 10) -> Explain | Quit | None:
        """Take a key (see :mod:`clues.cli.top.keys`); return what only others can do about it."""
        if self.reading is not None:
            self._read(key, page)
            return None
        if self.typing:
            self._type(key)
            return None
        if key in ("q", "Q"):
            return Quit()
        rows = self.rows(self.pane, picture)
        if key in _MOVES:
            self._choose(rows, self._at(rows) + _MOVES[key] * (page if key in _PAGES else 1))
        elif key in (keys.HOME, keys.END):
            self._choose(rows, 0 if key == keys.HOME else len(rows))
        elif key in (keys.TAB, keys.RIGHT, keys.BACK_TAB, keys.LEFT):
            step = 1 if key in (keys.TAB, keys.RIGHT) else -1
            self.pane = _PANES[(_PANES.index(self.pane) + step) % len(_PANES)]
        elif key == keys.ENTER and rows:
            return Explain(_name(rows[self._at(rows)]))
        elif key == "s":
            self.sort[self.pane] = (self.sort[self.pane] + 1) % len(_SORTS[self.pane])
        elif key == "a":
            self.all_nodes = not self.all_nodes
        elif key == "/":
            self.typing = True
        elif key == keys.ESCAPE:
            self.filter = ""
        return None

    def read(self, subject: str, text: str) -> None:
        """Show a text until a key ends it."""
        self.reading, self.scrolled = (subject, text), 0

    def _read(self, key: str, page: int) -> None:
        if key in _MOVES:
            self.scrolled = max(0, self.scrolled + _MOVES[key] * (page if key in _PAGES else 1))
        else:
            self.reading = None

    def _type(self, key: str) -> None:
        if key == keys.ENTER:
            self.typing = False
        elif key == keys.ESCAPE:
            self.typing, self.filter = False, ""
        elif key == keys.BACKSPACE:
            self.filter = self.filter[:-1]
        elif len(key) == 1 and len(self.filter) < 64:
            self.filter += key

    def _at(self, rows: Sequence[Any]) -> int:
        """Return where the chosen row is now; if it has gone, who stands where it stood."""
        name = self.chosen.get(self.pane)
        for at, row in enumerate(rows):
            if _name(row) == name:
                return at
        return max(0, min(self.index[self.pane], len(rows) - 1))

    def _choose(self, rows: Sequence[Any], at: int) -> None:
        if rows:
            at = max(0, min(at, len(rows) - 1))
            self.index[self.pane], self.chosen[self.pane] = at, _name(rows[at])

    # --- rows ---

    def rows(self, pane: str, picture: Picture) -> list[Any]:
        """Return a list's rows as they are shown: filtered and sorted."""
        found: list[Any]
        if pane == "pools":
            found = list(picture.status.pools) if picture.status else []
        elif pane == "nodes":
            found = [one for one in picture.nodes.values() if self.all_nodes or one.state not in ("off", "on-premises")]
        else:
            found = list(picture.jobs)
        if wanted := self.filter.lower():
            found = [row for row in found if wanted in _searched(row)]
        return sorted(found, key=_SORTS[pane][self.sort[pane]][1])

    # --- lines ---

    def lines(self, picture: Picture, style: Style, now: datetime) -> list[str]:
        """Return the screen: at most as many lines as it has, none wider than it is."""
        height, width = style.height or 24, style.width or 80
        if self.reading is not None:
            return self._page(height, width)
        above = _head(picture, style)
        below = f"/{self.filter}_  Enter keeps it, Esc drops it" if self.typing else _HELP
        room = max(0, height - len(above) - 1)
        shown = {pane: self.rows(pane, picture) for pane in _PANES}
        sizes = _share(room, [len(shown[pane]) + 2 for pane in _PANES], _PANES.index(self.pane))
        body: list[str] = []
        for pane, size in zip(_PANES, sizes, strict=True):
            body += self._list(pane, shown[pane], size, style, now)
        body += [""] * (room - len(body))
        return [*above, *body, style.cut(below)][:height]

    def _page(self, height: int, width: int) -> list[str]:
        subject, text = self.reading or ("", "")
        lines = [
            part for line in text.split("\n") for part in (wrap_text(printable(line), max(1, width)) if line else [""])
        ]
        self.scrolled = min(self.scrolled, max(0, len(lines) - (height - 2)))
        part = lines[self.scrolled : self.scrolled + height - 2]
        more = "arrows scroll, " if len(lines) > height - 2 else ""
        style = Style(width=width)
        return [
            style.cut(printable(f"explain {subject}")),
            *part,
            *[""] * (height - 2 - len(part)),
            style.cut(f"{more}any other key goes back"),
        ]

    def _list(self, pane: str, rows: list[Any], size: int, style: Style, now: datetime) -> list[str]:
        """Return a list in so many lines: its name, its titles, its rows around the chosen one."""
        if size < 3 or not style.width:
            return []
        here, room = pane == self.pane, size - 2
        at = self._at(rows) if here else 0
        first = max(0, min(at - room // 2, len(rows) - room))
        part = rows[first : first + room]
        sort = _SORTS[pane][self.sort[pane]][0]
        notes = [f"{first + 1}-{first + len(part)} of {len(rows)}" if rows else "none"]
        notes += [f"by {sort}"] if sort else []
        notes += [f"with {self.filter!r}"] if self.filter else []
        title = style.cut(f"{'>' if here else ' '} {pane.upper()}  {', '.join(notes)}")
        inner = replace(style, width=max(1, style.width - 2))
        made = table(part, _columns(pane, now), inner) if part else []
        marked = [f"{'> ' if here and number == at - first else '  '}{line}" for number, line in enumerate(made[1:])]
        return [title, *(f"  {line}" for line in made[:1]), *marked]


_MOVES = {keys.UP: -1, keys.DOWN: 1, "k": -1, "j": 1, keys.PAGE_UP: -1, keys.PAGE_DOWN: 1}
_PAGES = (keys.PAGE_UP, keys.PAGE_DOWN)


def _share(room: int, wanted: Sequence[int], chosen: int) -> list[int]:
    """Return how many of *room* lines each list gets: what it needs, as far as there is room, the chosen one first and
    never less than a third each where they need it."""
    fair = room // len(wanted)
    sizes = [min(need, fair) for need in wanted]
    for at in sorted(range(len(wanted)), key=lambda one: (one != chosen, one)):
        sizes[at] += min(wanted[at] - sizes[at], room - sum(sizes))
    return sizes


def _head(picture: Picture, style: Style) -> list[str]:
    status = picture.status
    if status is None:
        return [style.cut(printable(picture.trouble or "waiting for cluesd"))]
    states = Counter(node.state for node in picture.nodes.values())
    counted = sorted(states.items(), key=lambda one: _RANK.get(one[0], 0))
    cost = f"{status.cost_per_hour:.2f} {status.currency}/h, today {status.spent_today:.2f}"
    troubles = [picture.trouble] if picture.trouble else [f"trouble: {one}" for one in status.troubles[:1]]
    lines = [
        f"{status.cluster}  {status.state}  {cost}  {picture.jobs_total} jobs",
        "nodes  " + ", ".join(f"{count} {state}" for state, count in counted),
        *troubles,
    ]
    return [style.cut(printable(line)) for line in lines]


def _name(row: Any) -> str:
    return str(row.id if isinstance(row, wire.JobView) else row.name)


def _searched(row: Any) -> str:
    """Return what the filter looks through."""
    if isinstance(row, wire.JobView):
        return " ".join((row.id, row.user, row.state, row.verdict, row.pool, row.why, *row.nodes)).lower()
    if isinstance(row, wire.NodeView):
        return " ".join((row.name, row.state, row.pool, row.site, row.offer, row.reason, *row.jobs)).lower()
    return str(row.name).lower()


def _columns(pane: str, now: datetime) -> Sequence[Column[Any]]:
    made: dict[str, Sequence[Column[Any]]] = {"pools": _POOLS, "nodes": _nodes(now), "jobs": _jobs(now)}
    return made[pane]


_POOLS: tuple[Column[wire.PoolRow], ...] = (
    Column("POOL", lambda pool: pool.name, essential=True),
    Column("UP", lambda pool: str(pool.up), right=True),
    Column("BUSY", lambda pool: str(pool.busy), right=True),
    Column("IDLE", lambda pool: str(pool.idle), right=True),
    Column("STARTING", lambda pool: str(pool.starting), right=True),
    Column("CLOSED", lambda pool: str(pool.closed), right=True),
    Column("WAITING", lambda pool: str(pool.jobs_waiting), right=True, essential=True),
)


def _nodes(now: datetime) -> tuple[Column[wire.NodeView], ...]:
    return (
        Column("NODE", lambda node: node.name, essential=True),
        Column("STATE", lambda node: node.state, essential=True),
        Column("SINCE", lambda node: words.age(_since(node.since, now))),
        Column("SITE", lambda node: node.site or words.NOTHING),
        Column("JOBS", lambda node: words.jobs(node.jobs), least=6),
        Column("WHY", lambda node: node.reason or words.NOTHING, least=8),
    )


def _jobs(now: datetime) -> tuple[Column[wire.JobView], ...]:
    return (
        Column("JOB", lambda job: job.id, essential=True, least=10),
        Column("USER", lambda job: job.user or words.NOTHING, least=6),
        Column("STATE", lambda job: job.verdict or job.state, essential=True),
        Column("START", lambda job: _start(job, now)),
        Column(
            "WAITS FOR", lambda job: job.why or job.slurm_reason or words.nodes(job.nodes), least=10, essential=True
        ),
    )


def _start(job: wire.JobView, now: datetime) -> str:
    if job.state != "pending":
        return f"{words.age(_since(job.since, now))} ago"
    early, late = (_since(text, now) for text in (job.start_early, job.start_late))
    return words.expected(None if early is None else -early, None if late is None else -late)


def _since(iso: str, now: datetime) -> float | None:
    """Return the seconds since a time of the API, negative where it is yet to come; None for none."""
    try:
        return (now - datetime.fromisoformat(iso)).total_seconds() if iso else None
    except ValueError:
        return None
