"""What ends a command early: one line for the user and an exit code each."""

from __future__ import annotations

#: The exit codes, in words for the reference.
EXIT_CODES: dict[int, str] = {
    0: "done",
    1: "the request failed or was refused; one line on standard error says why",
    2: "the command line is wrong",
    3: "the daemon cannot be reached",
    4: "not permitted",
    130: "interrupted with Ctrl-C",
    141: "the reader of the output went away (as with `| head`)",
}


class CliError(Exception):
    """Base; its text is shown after ``clues:``."""

    code = 1


class Failed(CliError):
    """The daemon refused, or could not do it."""


class Usage(CliError):
    """Something on the command line cannot be meant so."""

    code = 2


class NotReachable(CliError):
    """Nobody answers at the socket, or not as cluesd would."""

    code = 3


class AnswerLost(NotReachable):
    """The order was sent, and no answer came: it may have been carried out."""


class NotPermitted(CliError):
    """The user may not open the socket, or may not give this order."""

    code = 4
