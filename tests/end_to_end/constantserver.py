"""`python -m tests.end_to_end.constantserver PORT`: answers loadproof's health requests after 100 ms."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

ANSWER_S = 0.1
_BODY = b'{"status": "ok"}'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(ANSWER_S)
            writer.write(_ANSWER)
    writer.close()


async def main(port: int) -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", port, backlog=2000)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
