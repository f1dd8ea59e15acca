"""Shared by benchmarks: nginx on one core, a command on the other, results files, a description of the machine."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench/results"
GENERATOR_CORE, SERVER_CORE = 0, 1
MOST_RUNS = 10
"""The number of runs kept in a results file; the oldest are dropped."""
_AND: Final = " and "


def machine(beside: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Date, machine and Python version of the figures; adds the machines of earlier results that are kept, too."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    here = f"{model}, {os.cpu_count()} shared cores"
    earlier = [] if beside is None else beside["machine"].split(_AND)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": _AND.join(dict.fromkeys([*earlier, here])),
        "python": platform.python_version(),
    }


def read_results(name: str) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return results


def has_results(name: str) -> bool:
    return (RESULTS / f"{name}.json").exists()


def write_results(name: str, result: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")


def add_run(name: str, run: dict[str, Any]) -> None:
    """Add a run to a results file that keeps several, replacing a run of the same day and machine."""

    def when_and_where(earlier: dict[str, Any]) -> tuple[str, str]:
        return earlier["date"], earlier["machine"]

    before = read_results(name)["runs"] if has_results(name) else []
    others = [earlier for earlier in before if when_and_where(earlier) != when_and_where(run)]
    write_results(name, {"runs": [*others, run][-MOST_RUNS:]})


def pinned(command: list[object], core: int = GENERATOR_CORE) -> list[str]:
    return ["taskset", "-c", str(core), *map(str, command)]


@contextmanager
def nginx(*, over_tls: bool = False) -> Iterator[str]:
    """Run nginx; yields its base URL. Over TLS, SSL_CERT_FILE makes clients that verify certificates trust it."""
    if shutil.which("nginx") is None:
        raise SystemExit("bench: no nginx; install it (Debian: apt-get install nginx-light)")
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        text = (ROOT / "bench/peers/nginx.conf").read_text()
        listen = f"listen 127.0.0.1:{port} backlog=4096"
        if over_tls:
            certificate = _new_certificate(Path(directory))
            stack.enter_context(mock.patch.dict(os.environ, SSL_CERT_FILE=str(certificate)))
            listen += (
                f" ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {certificate}; ssl_certificate_key {certificate}"
            )
        for name, value in (("DIRECTORY", directory), ("LISTEN", f"{listen};"), ("CORE", f"{1 << SERVER_CORE:b}")):
            text = text.replace(name, value)
        config = Path(directory) / "nginx.conf"
        config.write_text(text)
        server = subprocess.Popen(pinned(["nginx", "-c", config], SERVER_CORE), stderr=subprocess.DEVNULL)
        try:
            _await_port(port, server)
            yield f"{'https' if over_tls else 'http'}://127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(10)


def _new_certificate(directory: Path) -> Path:
    """A certificate and its key in one file."""
    path = directory / "server.pem"
    options = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=bench"
    command = f"openssl req {options} -addext subjectAltName=IP:127.0.0.1 -keyout {path}.key -out {path}"
    subprocess.run(command.split(), check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + Path(f"{path}.key").read_bytes())
    return path


def _await_port(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.05)
        else:
            return
    raise SystemExit("bench: nginx did not come up")


def loadproof_run(scenario: Path, url: str, out: str, *options: object) -> list[str]:
    """The command of a run against this URL, on the generator's core."""
    command = [sys.executable, "-m", "loadproof", "run", scenario, "--out", out, *options]
    return pinned(["env", f"TARGET_URL={url}", *command])
