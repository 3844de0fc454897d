"""What a user or a group may use: limits and what is used of them, by table and id.

A limit is a number, -1 for what the defaults say, or -2 for none. A table that nobody has used or limited is empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DEFAULT, UNLIMITED = -1.0, -2.0

#: The metrics of each table, and the element that holds the table.
TABLES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "DATASTORE": ("DATASTORE_QUOTA", ("IMAGES", "SIZE")),
    "NETWORK": ("NETWORK_QUOTA", ("LEASES",)),
    "VM": (
        "VM_QUOTA",
        ("VMS", "RUNNING_VMS", "MEMORY", "RUNNING_MEMORY", "CPU", "RUNNING_CPU", "SYSTEM_DISK_SIZE"),
    ),
    "IMAGE": ("IMAGE_QUOTA", ("RVMS",)),
}

#: What is used or wanted: amounts by (table, id of what, metric); the id of VMs is empty.
Usage = Mapping[tuple[str, str, str], float]


@dataclass
class Quotas:
    """Limits and usage of one user, one group, or (limits only) of the defaults."""

    implicit: float = DEFAULT
    limits: dict[tuple[str, str, str], float] = field(default_factory=dict)
    used: dict[tuple[str, str, str], float] = field(default_factory=dict)

    def limit(self, metric: str, amount: float, table: str = "VM", of: str = "") -> None:
        """Set a limit."""
        self.limits[table, of, metric] = amount

    def refusal(self, wanted: Usage, defaults: Quotas) -> str:
        """Return why *wanted* is too much, in oned's words; empty where it is not."""
        for (table, of, metric), amount in wanted.items():
            limit = self.limits.get((table, of, metric), self.implicit)
            if limit == DEFAULT:
                limit = defaults.limits.get((table, of, metric), UNLIMITED)
            if limit != UNLIMITED and self.used.get((table, of, metric), 0.0) + amount > limit:
                where = f"{table} with ID: {of}" if of else table
                return f"limit of {number(limit)} reached for {metric} quota in {where}"
        return ""

    def charge(self, wanted: Usage, sign: int = 1) -> None:
        """Book what is used, or give it back."""
        for key, amount in wanted.items():
            self.used[key] = self.used.get(key, 0.0) + sign * amount

    def xml(self) -> str:
        """Return the tables; an entry without limits of its own and without usage is not there."""
        parts = []
        for table, (tag, metrics) in TABLES.items():
            rows = []
            for of in sorted({of for name, of, _ in (*self.limits, *self.used) if name == table}):
                limits = {one: self.limits.get((table, of, one), self.implicit) for one in metrics}
                used = {one: self.used.get((table, of, one), 0.0) for one in metrics}
                if not any(used.values()) and all(limit == self.implicit for limit in limits.values()):
                    continue
                inner = "".join(
                    f"<{one}><![CDATA[{number(limits[one])}]]></{one}><{one}_USED><![CDATA[{number(used[one])}]]></{one}_USED>"
                    for one in metrics
                )
                rows.append(f"<{table}>{f'<ID>{of}</ID>' if of else ''}{inner}</{table}>")
            parts.append(f"<{tag}>{''.join(rows)}</{tag}>" if rows else f"<{tag}></{tag}>")
        return "".join(parts)


def number(value: float) -> str:
    """Return a number as oned writes it: whole ones without a point."""
    return f"{value:.0f}" if value == int(value) else f"{value:.2f}".rstrip("0")
