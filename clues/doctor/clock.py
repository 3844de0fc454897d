"""Whether somebody keeps this machine's clock right: munge refuses what is 300 s off, certificates have a beginning."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator

from clues.model import Finding, Soundness

#: of ``adjtimex(2)``: the answer where the clock is not synchronised, and the flag that says so, too
_TIME_ERROR = 5
_STA_UNSYNC = 0x0040

_CURE = "install and start chrony, or `timedatectl set-ntp true`"


class _Timex(ctypes.Structure):
    """The beginning of ``struct timex``; what follows is not read."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 512),
    ]


def ask_kernel() -> tuple[int, int, int]:
    """Return what ``adjtimex(2)`` answers, its flags, and the largest error in microseconds. Nothing is set.

    :raises OSError: this kernel, or what confines this process, does not tell.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    timex = _Timex()
    answer = libc.adjtimex(ctypes.byref(timex))
    if answer < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")
    return answer, timex.status, timex.maxerror


def examine_clock(ask: Callable[[], tuple[int, int, int]] = ask_kernel) -> Iterator[Finding]:
    """Look whether the kernel's clock is synchronised."""
    try:
        answer, status, error = ask()
    except (OSError, AttributeError) as failure:
        yield Finding(
            "clock", Soundness.UNKNOWN, f"the kernel does not tell whether it is synchronised ({failure})", _CURE
        )
        return
    if answer == _TIME_ERROR or status & _STA_UNSYNC:
        text = "nobody keeps it synchronised: workers whose clocks differ too much are not opened"
        yield Finding("clock", Soundness.BAD, text, _CURE)
    else:
        yield Finding("clock", Soundness.GOOD, f"synchronised, at most {error / 1000:.0f} ms off")
