"""Two tasks of one job send each other data over TCP, by the names of their nodes; run by srun on the workers.

Usage: exchange.py RESULT MIB. Task 0 listens and sends back what it gets; task 1 measures and writes RESULT.
"""

import json
import os
import socket
import sys
import time
from pathlib import Path

DEADLINE = 60.0


def answer(meeting: Path) -> None:
    """Say where we listen, and send everything back to the one who comes."""
    with socket.create_server(("", 0)) as listener:
        listener.settimeout(DEADLINE)
        new = meeting.with_suffix(".new")
        new.write_text(f"{os.environ['SLURMD_NODENAME']} {listener.getsockname()[1]}")
        new.replace(meeting)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(DEADLINE)
            while piece := connection.recv(1 << 16):
                connection.sendall(piece)


def ask(meeting: Path, result: Path, size: int) -> None:
    """Send to the other node and take back as much; write down what it was and how long it took."""
    deadline = time.monotonic() + DEADLINE
    while not meeting.exists():
        if time.monotonic() > deadline:
            sys.exit("the other task does not listen")
        time.sleep(0.02)
    node, port = meeting.read_text().split()
    block = os.urandom(1 << 16)
    with socket.create_connection((node, int(port)), timeout=DEADLINE) as connection:
        began = time.monotonic()
        for _ in range(size // len(block)):
            connection.sendall(block)
            left = len(block)
            while left:
                piece = connection.recv(left)
                if not piece:
                    sys.exit("the other task hung up")
                left -= len(piece)
        seconds = time.monotonic() - began
    nodes = [os.environ["SLURMD_NODENAME"], node]
    result.write_text(json.dumps({"bytes": 2 * size, "seconds": round(seconds, 3), "nodes": nodes}))


if __name__ == "__main__":
    where = Path(sys.argv[1])
    if os.environ["SLURM_PROCID"] == "0":
        answer(where.with_suffix(".meeting"))
    else:
        ask(where.with_suffix(".meeting"), where, int(sys.argv[2]) << 20)
