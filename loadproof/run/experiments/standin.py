"""A server that answers at once, so that only the generator is measured.

python -m loadproof.run.experiments.standin PID

It prints its port, and serves until it is terminated or its parent, PID, is gone. It expects requests as loadproof's
own client sends them: a head, and a body of Content-Length bytes.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from loadproof.run.processes import children

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BACKLOG: Final = 4096
_PARENT_POLL_S: Final = 0.5


class _Standin(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._waiting = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport if isinstance(transport, asyncio.Transport) else None

    def data_received(self, data: bytes) -> None:
        waiting = self._waiting + data
        while (end := waiting.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(waiting, 0, end + 2)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(waiting) < whole:
                break
            waiting = waiting[whole:]
            if self._transport is not None:
                self._transport.write(_ANSWER)
        self._waiting = waiting


async def _serve(parent: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Standin, "127.0.0.1", 0, backlog=_BACKLOG)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    while os.getppid() == parent:  # noqa: ASYNC110 - there is no event for a parent's end
        await asyncio.sleep(_PARENT_POLL_S)


@contextmanager
def standin(directory: Path, cores: set[int]) -> Iterator[str]:
    """Run the server in a separate process until the end; yields its base URL."""
    child = children.start(
        children.python("loadproof.run.experiments.standin", str(os.getpid())),
        directory=directory,
        environment={},
        cores=cores,
        log=directory / "standin.log",
        pipe_output=True,
    )
    try:
        output = child.stdout
        port = output.readline().strip().decode() if output is not None else ""
        yield f"http://127.0.0.1:{port}"
    finally:
        children.stop(child)
        if child.stdout is not None:
            child.stdout.close()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
