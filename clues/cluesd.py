"""Starts `cluesd`: what is imported and made at the start stays for good, so it is not searched for garbage meanwhile.

That search takes a quarter of the start. It begins once all stands (:func:`clues.program.run`), without what is there
by then, so that later ones are shorter too.
"""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Run ``cluesd``; return its exit code."""
    gc.disable()
    from clues.program import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
