"""A front-end for the doctor: a configuration with a local site, in a folder, and what may run beside it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from clues.bootstrap.tls import server_context
from clues.config import Loaded, load
from clues.registry import find_plugins

CONFIG = """
cluster: deep
state: {folder}/state
socket: {folder}/clues.sock
overlay: {{type: flat, network: 10.203.0.0/16, public: 127.0.0.1}}
enrolment: {{listen: "127.0.0.1:{port}"}}
sites:
  here:
    connector: local
    network: 10.203.1.0/24
    gateway: 10.203.0.1
    folder: {folder}/site
    flavors:
      small: {{cpus: 4, memory: 4GiB}}
      dear: {{cpus: 4, memory: 4GiB, price: 0.5 USD}}
pools:
  cpu:
    nodes: cpu-[01-04]
    shape: {{cpus: 4, memory: 3GiB}}
    offers:
      - {{site: here, flavor: [small, dear], image: x}}
"""


def write(folder: Path, port: int = 1, instead: Mapping[str, str] | None = None) -> Path:
    """Write the configuration, with some of its text replaced."""
    text = CONFIG.format(folder=folder, port=port)
    for old, new in (instead or {}).items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "clues.yaml"
    path.write_text(text)
    return path


def loaded(folder: Path, port: int = 1) -> Loaded:
    """Return the configuration, checked by the installed plugins."""
    return load(write(folder, port), find_plugins())


@contextmanager
def tls_server(leaf: Path) -> Iterator[int]:
    """Serve TLS handshakes with this certificate; yield the port."""
    context = server_context(leaf)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    plain, _ = listener.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(plain, server_side=True).close()
                except (OSError, ssl.SSLError):
                    plain.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
