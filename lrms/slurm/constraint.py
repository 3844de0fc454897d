"""A site added to a job's constraint, so that a gang is kept together.

Slurm 22.05's grammar has ``a&b``, ``a|b``, ``(a|b)&c``, ``[a|b]`` and counts ``a*2``; brackets do not nest.  So a
site is added with ``&``, around which an alternative needs its own brackets; what cannot be said in this
grammar is refused rather than said wrongly.
"""

from __future__ import annotations

import re

from clues.errors import LrmsError

_BRACKET = re.compile(r"\([^()\[\]]*\)|\[[^()\[\]]*\]")


def with_site(constraint: str, site: str) -> str:
    """Return *constraint* with *site* required as well.

    :raises LrmsError: it has counts, or an alternative that cannot be put in brackets.
    """
    if not constraint:
        return site
    if "*" in constraint:
        raise LrmsError(f"the constraint {constraint!r} counts nodes by feature: a site cannot be added to it")
    outside = _BRACKET.sub("", constraint)
    if "|" not in outside:
        return f"{constraint}&{site}"
    if outside != constraint:
        raise LrmsError(
            f"the constraint {constraint!r} has brackets inside an alternative: a site cannot be added to it"
        )
    return f"({constraint})&{site}"
