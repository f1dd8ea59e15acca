"""Actions on a run while it is running, and checks of their effects."""

from __future__ import annotations

import contextlib
import gzip
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgpack  # type: ignore[import-untyped]
import psutil
import zmq

from bench.serving import ROOT

if TYPE_CHECKING:
    from bench.adversary.case import Check, Played
    from bench.adversary.play import Command, Deed
    from bench.adversary.wire import Server

CANARY = "canary-7d1e44b0c9"
SECRET = "5e" * 32


def signals(number: signal.Signals, *, to: str, most: int = 99) -> Deed:
    """Send the signal to at most `most` of the run's processes that have this text in their command line."""

    def do(command: Command, _: Server) -> None:
        for process in command.children(to)[:most]:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)

    return do


def signals_command(number: signal.Signals) -> Deed:
    return lambda command, _: command.process.send_signal(number)


def stops(seconds: float, *, target: bool = False) -> Deed:
    """Suspend the generator for this long, and with `target` also the server."""

    def do(command: Command, server: Server) -> None:
        processes = command.children("locust")
        for process in processes:
            process.suspend()
        if target:
            server.stand(seconds)
        time.sleep(seconds)
        for process in processes:
            process.resume()

    return do


def _master_port(command: Command) -> int | None:
    for master in command.children("--master"):
        with contextlib.suppress(psutil.Error):
            for one in master.net_connections("tcp"):
                if one.status == psutil.CONN_LISTEN:
                    return int(one.laddr.port)
    return None


def _frames() -> Iterator[bytes]:
    """Garbage, and messages as workers of Locust 2.47 send them, without a key."""
    yield b"\xc1 garbage"
    cells = [(2, "steady", "balance", "ok", series, 0, 1000) for series in ("response", "service", "good", "completed")]
    for kind, content in (
        ("client_ready", "2.47.0"),
        ("client_stopped", None),
        ("loadproof-second", {"report": {"worker": "9", "second": 3, "cells": cells}, "now_unix_s": time.time()}),
        ("stats", {"stats": [], "errors": {}, "user_count": 0, "user_classes_count": {}}),
        ("exception", {"msg": "made up", "traceback": "made up"}),
        ("quit", None),
    ):
        yield bytes(msgpack.dumps((kind, content, "stranger")))


def imitates(command: Command, _: Server) -> None:
    """Send all kinds of worker messages to the master's port."""
    port = _master_port(command)
    if port is None:
        return
    with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
        stranger.setsockopt(zmq.LINGER, 0)
        stranger.setsockopt(zmq.SNDTIMEO, 2000)
        stranger.setsockopt(zmq.IDENTITY, b"stranger")
        stranger.connect(f"tcp://127.0.0.1:{port}")
        for frame in _frames():
            time.sleep(0.2)
            # Once it has been turned away, there may be nobody to send to.
            with contextlib.suppress(zmq.Again):
                stranger.send(frame)
        time.sleep(0.5)
    with socket.create_connection(("127.0.0.1", port), 2) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n" + os.urandom(300))


def worker(secret: str = SECRET, *options: str) -> Deed:
    """Start another load-generating process for this run's master."""

    def do(command: Command, _: Server) -> list[subprocess.Popen[bytes]]:
        arguments = [sys.executable, "-m", "loadproof", "worker", f"127.0.0.1:{command.port}", "--once", *options]
        environment = {**os.environ, "LOADPROOF_SECRET": secret, "WORKER_CANARY": CANARY}
        return [
            subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ]

    return do


def fills_the_disk(command: Command, _: Server) -> None:
    """Fill the run's disk, through the mount namespace of its process."""
    inside = Path(f"/proc/{command.process.pid}/root{command.last}/filling")
    with contextlib.suppress(OSError), inside.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 512)


def leaks(secret: str) -> Check:
    """The secret must not appear in the terminal or in any file of the run."""

    def check(played: Played) -> Iterator[str]:
        if secret in played.output:
            yield "a secret is printed"
        for path in played.reports.rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                data = gzip.decompress(data) if path.suffix == ".gz" else data
                if secret.encode() in data:
                    yield f"a secret stands in {path.name}"

    return check


def not_sent(text: str) -> Check:
    def check(played: Played) -> Iterator[str]:
        if any(text in value for request in played.seen for _, value in request.headers):
            yield "the target was sent a secret"

    return check


def tells(word: str) -> Check:
    def check(played: Played) -> Iterator[str]:
        if not played.told(word):
            yield f"says nothing of '{word}'"

    return check


def imitates_early(command: Command, server: Server) -> None:
    """Do as `imitates`, as soon as the master listens."""
    while command.process.poll() is None and _master_port(command) is None:
        time.sleep(0.02)
    imitates(command, server)
