"""How often the daemon searches for garbage: objects that only each other hold, and that nobody else knows any more.

There is little of it, and it is young: what an exception or a thread leaves. Python looks for it among everything
there is whenever a quarter of that is new, and what a tick makes of a large cluster is as much. So a search among all
came in nearly every tick, and took a quarter of its CPU time (5,000 nodes, 10,000 jobs). The young are still searched
at once; all of them a hundred times less often.
"""

from __future__ import annotations

import gc

#: A search among the newest after so many more objects; among those that survived it after so many such searches; and
#: among all after so many of those.
NEWEST, YOUNG, ALL = 5000, 10, 100


def search_seldom() -> None:
    """Search for garbage from now on, and never in what has been made so far: that stays for good."""
    gc.freeze()
    gc.set_threshold(NEWEST, YOUNG, ALL)
    gc.enable()
