"""The `clues` command: a thin, quick client of the daemon's API.

It imports the API's wire types and the standard library, nothing else, so that a look at the cluster costs
little. Whatever happens, its user gets one line and an exit code, never a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from clues.api.codec import printable
from clues.cli.client import DEFAULT_SOCKET, Client
from clues.cli.command import Session
from clues.cli.errors import CliError
from clues.cli.output import make_output
from clues.cli.parser import build_parser
from clues.cli.server import server_of


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (see :data:`clues.cli.errors.EXIT_CODES`)."""
    if sys.stdout is None:  # started with standard output closed
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - lives as long as the process
    if hasattr(sys.stdout, "reconfigure"):  # a terminal that cannot show a letter gets its escape
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _run(argv)
    except SystemExit as end:  # argparse: help, or a wrong command line
        return end.code if isinstance(end.code, int) else 2
    except CliError as error:
        return _tell(str(error), error.code)
    except KeyboardInterrupt:
        return _hush(130)
    except BrokenPipeError:
        return _hush(141)
    except OSError as error:
        _hush(1)
        return _tell(f"the output cannot be written: {error.strerror or error}", 1)
    except Exception as error:
        if os.environ.get("CLUES_DEBUG"):
            raise
        return _tell(f"internal error: {type(error).__name__}: {error} (CLUES_DEBUG=1 shows where)", 1)


def _run(argv: Sequence[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    given = os.environ.get("CLUES_SOCKET") or DEFAULT_SOCKET
    server = server_of(os.environ) if arguments.socket == given else None  # `--socket` goes before the environment
    session = Session(Client(arguments.socket, server), make_output(arguments.output, sys.stdout, os.environ))
    code: int = arguments.run(arguments, session)
    sys.stdout.flush()
    return code


def _tell(message: str, code: int) -> int:
    if sys.stderr is not None:
        sys.stderr.write(f"clues: {printable(message)}\n")
    return code


def _hush(code: int) -> int:
    """Let Python's own flush at exit go nowhere: whoever read the output is gone."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):  # a stream that has no descriptor needs no such care
        return code
    finally:
        os.close(null)
    return code
