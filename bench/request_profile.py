"""Where the microseconds of a request go: samples of the saturated generator's stacks, sorted by part.

    python -m bench.request_profile        writes bench/results/request-profile.json

py-spy sees Python's frames; the kernel's work for a system call counts for the frame that makes it.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bench.rounds import Rounds, Unmeasured
from bench.runs import process_of, saturated_run
from bench.serving import ROOT, loadproof_run, machine, nginx, write_results
from bench.throughput import SCENARIO

PARTS = {
    "send, with the kernel's way to the other side": ("Connection._send ",),
    "receive": ("Connection._on_readable ", "Connection._on_received ", "Connection._end "),
    "event loop and switching greenlets": ("Hub.", "sleep (gevent"),
    "parse the answer": ("AnswerParser.", "Answer.", "_read_head", "read_head", "ChunkedBody."),
    "one exchange: deadlines, timing, state": ("Connection.", "ClientConnections.", "Request.", "Deadline."),
    "read and check the body": ("Reply.", "BalanceUser.", "expect "),
    "pace and outcome of the user": ("ApiUser.", "TurnTaker.", "Workload.", "next_due", "<lambda>", "retry_after_s"),
    "record, while it ends": ("Recorder.finished", "Recorder.started"),
}
THE_REST = "work out, write and report each second"
SECONDS = 6


def main() -> None:
    rounds = Rounds()
    with nginx() as url:
        shares = rounds.measured("loadproof", functools.partial(shares_under_load, url))
    counts = rounds.reported()
    if shares is None:
        raise SystemExit("bench: no profile; bench/results/request-profile.json stays as it was")
    write_results("request-profile", {**machine(), "command": "make bench", "shares": shares, **counts})


def shares_under_load(url: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        out, raw = Path(directory) / "out", Path(directory) / "profile.raw"
        run = subprocess.Popen(loadproof_run(SCENARIO, url, str(out)), cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            time.sleep(5)
            profile(process_of(run.pid, "loadproof.generator.locust").pid, raw)
        finally:
            run.wait(60)
        saturated_run(out)
        return shares_of(raw.read_text())


def profile(pid: int, raw: Path) -> None:
    spy = [str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(pid)]
    options = ["--duration", str(SECONDS), "--rate", "250", "--format", "raw", "--output", str(raw)]
    done = subprocess.run([*spy, *options], check=False, capture_output=True, text=True)
    if done.returncode:
        raise Unmeasured(f"py-spy: {done.stderr[-300:]}")


def shares_of(profile: str) -> dict[str, float]:
    """Shares of the samples in which the event loop's thread was running."""
    samples: Counter[str] = Counter(dict.fromkeys((*PARTS, THE_REST), 0))
    for line in profile.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if "_threading" not in frames[-1]:
            samples[part_of(frames)] += int(count)
    total = samples.total()
    return {part: round(count / total, 4) for part, count in samples.items()}


def part_of(frames: list[str]) -> str:
    """The part of the innermost frame that belongs to one; everything called by a report belongs to the report."""
    if any("_report_every_second" in frame or "Writing." in frame for frame in frames):
        return THE_REST
    for frame in reversed(frames):
        for part, names in PARTS.items():
            if frame.startswith(names):
                return part
    return THE_REST


if __name__ == "__main__":
    main()
