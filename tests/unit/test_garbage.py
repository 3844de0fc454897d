"""What a tick makes of a large cluster does not have everything searched for garbage."""

import subprocess
import sys

_MAKES_MUCH = """
import gc
from clues import garbage
{how}
before = gc.get_stats()[2]["collections"]
made = [[number] for number in range(500_000)]
class Loop: pass
loops = 0
def gone(phase, info):
    global loops
    loops += info["collected"] if phase == "stop" else 0
gc.callbacks.append(gone)
for _ in range(20_000):
    loop = Loop()
    loop.itself = loop
print(gc.get_stats()[2]["collections"] - before, loops > 10_000)
"""


def _searches_among_all(how: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", _MAKES_MUCH.format(how=how)], capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_many_new_objects_do_not_have_all_searched_and_young_garbage_is_found() -> None:
    assert _searches_among_all("garbage.search_seldom()") == ["0", "True"]
    assert int(_searches_among_all("gc.enable()")[0]) > 0  # which is what Python does by itself
