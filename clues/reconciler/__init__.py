"""The tick: observe, decide, commit, act; and what comes in between.

One thread calls everything here.  Time comes from the clock that is given, calls go out through the workers that are
given: the daemon and the simulated world run this same code.
"""

from clues.reconciler.books import Books
from clues.reconciler.clerk import Clerk
from clues.reconciler.counter import Counter
from clues.reconciler.observer import Observer
from clues.reconciler.tick import Reconciler

__all__ = ["Books", "Clerk", "Counter", "Observer", "Reconciler"]
