"""The API's socket on a port of this machine, as ``ssh -L`` brings it, and Debian's Chromium in front of it."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

#: It talks to nobody but our page.
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic")


@contextmanager
def forwarded(path: Path) -> Iterator[str]:
    """The address at which the socket at *path* answers over TCP."""
    loop = asyncio.new_event_loop()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(str(path))
        await asyncio.gather(carry(reader, back), carry(there, writer), return_exceptions=True)

    # on a thread of its own: the browser's driver keeps a loop in this one
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(connected, "127.0.0.1", 0), loop).result(10)
    try:
        yield f"http://localhost:{server.sockets[0].getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(_end_all(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _end_all(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    command = shutil.which("chromium")
    assert command, "Debian's package chromium is missing: ./dev setup"
    with sync_playwright() as playwright:
        # its own sandbox wants privileges that a container has not; it is shown nothing but our page
        browser = playwright.chromium.launch(executable_path=command, args=["--no-sandbox", *QUIET])
        try:
            yield browser
        finally:
            browser.close()
