"""Which names are allowed for nodes and for the words that Slurm and the clouds share.

A node's name is at once a name for Slurm, the hostname of a VM and a word in ``slurm.conf``, so the
strictest of the three rules holds: letters, digits and hyphens, as RFC 952 and RFC 1123 have it.
"""

from __future__ import annotations

import re

#: The longest label that DNS allows.
LONGEST = 63

_NODE = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}")

#: ``NodeName=DEFAULT`` and ``PartitionName=DEFAULT`` set defaults in slurm.conf, ALL stands for every node.
_RESERVED = frozenset({"default", "all", "localhost"})


def what_is_wrong_with_node(name: str) -> str:
    """Return one clause that says why *name* cannot be a node, empty when it can."""
    if _NODE.fullmatch(name) is None:
        return (
            f"a node's name has letters, digits and hyphens, begins with a letter, "
            f"does not end with a hyphen, and is at most {LONGEST} long"
        )
    return _reserved(name)


def what_is_wrong_with_word(name: str) -> str:
    """Return one clause that says why *name* cannot name a cluster, site, pool, partition or feature."""
    if _WORD.fullmatch(name) is None:
        return f"a name has letters, digits and - _ . only, begins with a letter, and is at most {LONGEST} long"
    return _reserved(name)


def _reserved(name: str) -> str:
    return "this word means something else to Slurm: choose another name" if name.lower() in _RESERVED else ""
