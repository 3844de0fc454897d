"""Serves AWS on a free port of loopback until its standard input is closed: then whoever started it is gone."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

# moto reads these when it is imported: unknown images and types are refused, as AWS does
os.environ["MOTO_ENABLE_AMI_VALIDATION"] = "1"
os.environ["MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION"] = "1"

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from tests.lab.aws.front import Front
from tests.lab.aws.speed import look_tags_up


class Handler(MotoRequestHandler):
    """Says nothing, and keeps connections, as AWS does."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def main() -> int:
    """Serve, and print the port."""
    look_tags_up()
    server: Any = make_server(
        "127.0.0.1", 0, Front(DomainDispatcherApplication(create_backend_app)), threaded=True, request_handler=Handler
    )
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.buffer.read()
    server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
