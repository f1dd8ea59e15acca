"""`unshare -n python -m tests.end_to_end.fewports …`: `loadproof …` with few ports and a closing target.

A separate network namespace has its own range of ports. The target announces the closing and lets the client close
first, whose port then stays taken for a minute.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

from loadproof.cli import app
from tests.servers import read_request, serving

PORTS = 50
_SETTINGS = {"ip_local_port_range": f"40000 {40000 + PORTS - 1}", "tcp_tw_reuse": "0"}
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_BODY = b'{"status": "ok"}'
_ANSWER = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


def closing(connection: socket.socket, _: int) -> None:
    read_request(connection)
    connection.sendall(_ANSWER)
    connection.recv(1)


def main() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
    for name, value in _SETTINGS.items():
        Path("/proc/sys/net/ipv4", name).write_text(value)
    with serving(closing) as url:
        os.environ["TARGET_URL"] = url
        sys.argv[0] = "loadproof"
        app.main()


if __name__ == "__main__":
    main()
