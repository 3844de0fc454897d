"""Slurm's ``--constraint``, as far as one kind of node decides it.

The grammar of 22.05: names joined by ``&`` and ``|``, parentheses, ``[a|b]`` (all nodes of the job the same one of
them) and counts ``a*2``.  A constraint becomes its *alternatives*: sets of features, one of which a node must have.
For ``[a|b]`` every alternative is tried for the whole job, which is just what Slurm wants.  Counts (``[a*2&b*4]``: two
nodes of one kind and four of another) describe a job on unlike nodes; these are not modelled and say so.
"""

from __future__ import annotations

import re
from functools import lru_cache

_TOKEN = re.compile(r"[A-Za-z0-9_.:+=-]+|[&|()\[\]*,]")

#: More alternatives than this are a puzzle, not a request.
MOST_ALTERNATIVES = 64

Alternatives = tuple[frozenset[str], ...]


class UnreadableConstraint(ValueError):
    """The constraint is outside the grammar that is modelled."""


@lru_cache(maxsize=4096)
def parse_constraint(text: str) -> Alternatives:
    """Return the feature sets of which a node needs one; one empty set for no constraint.

    :raises UnreadableConstraint: on counts and on anything that is not Slurm's grammar.
    """
    if not text or text == "(null)":
        return (frozenset(),)
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != text.replace(" ", ""):
        raise UnreadableConstraint(f"constraint {text!r} is not understood")
    if "*" in tokens:
        raise UnreadableConstraint(f"constraint {text!r} wants counts of unlike nodes, which is not modelled")
    alternatives, rest = _joined(tokens)
    if rest:
        raise UnreadableConstraint(f"constraint {text!r} is not understood")
    return tuple(dict.fromkeys(alternatives))


def satisfied(alternatives: Alternatives, features: frozenset[str]) -> bool:
    """Return whether a node with these features can take the job."""
    return any(wanted <= features for wanted in alternatives)


def _joined(tokens: list[str]) -> tuple[list[frozenset[str]], list[str]]:
    """Read operands joined by ``&`` and ``|``: strictly from left to right, as Slurm does, neither binding tighter."""
    found, tokens = _one(tokens)
    while tokens and tokens[0] in {"&", "|", ","}:
        operator, (more, tokens) = tokens[0], _one(tokens[1:])
        found = [left | right for left in found for right in more] if operator == "&" else found + more
        if len(found) > MOST_ALTERNATIVES:
            raise UnreadableConstraint("constraint has too many alternatives")
    return found, tokens


def _one(tokens: list[str]) -> tuple[list[frozenset[str]], list[str]]:
    if not tokens:
        raise UnreadableConstraint("constraint ends too early")
    head, rest = tokens[0], tokens[1:]
    closing = {"(": ")", "[": "]"}.get(head)
    if closing is None:
        if not re.match(r"[A-Za-z0-9_]", head):
            raise UnreadableConstraint(f"constraint has a {head!r} where a feature should be")
        return [frozenset({head})], rest
    found, rest = _joined(rest)
    if not rest or rest[0] != closing:
        raise UnreadableConstraint(f"constraint lacks a {closing!r}")
    return found, rest[1:]
