"""The cost of parsing and of recording a request, and the time that a run takes to start.

python -m bench.parts        writes bench/results/parts.json
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable
from pathlib import Path

import orjson
import yaml

from bench.serving import ROOT, machine, write_results
from loadproof.histogram import bucket_of
from loadproof.http.answers import AnswerParser
from loadproof.http.messages import Timing
from loadproof.outcome import Outcome
from loadproof.plan.pacing import Due
from loadproof.plan.phases import plan_phases
from loadproof.recording.recorder import Recorder
from loadproof.rundir.manifest import read_manifest
from loadproof.scenario.loading import load_scenario

REQUESTS = 50_000
VALUES_PER_REQUEST = 6
"""Response time, service time, start lag, first byte, transfer, and the second of completion."""
STARTS = 5
BODY = b'{"account":"acct-000000","balance":100000,"currency":"EUR"}'
HEAD = "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"


def main() -> None:
    kept_us, worked_us = zip(*(recording_us() for _ in range(7)), strict=True)
    total_us = statistics.median(kept_us) + statistics.median(worked_us)
    write_results(
        "parts",
        {
            **machine(),
            "command": "make bench",
            "kept_per_request_us": round(statistics.median(kept_us), 3),
            "worked_out_per_request_us": round(statistics.median(worked_us), 3),
            "parse_known_head_us": round(parse_us(known=True), 3),
            "parse_new_head_us": round(parse_us(known=False), 3),
            "orjson_us": round(best_us(lambda: orjson.loads(BODY)), 3),
            "json_us": round(best_us(lambda: json.loads(BODY)), 3),
            "values_per_request": VALUES_PER_REQUEST,
            "per_value_us": round(total_us / VALUES_PER_REQUEST, 3),
            "one_by_one_per_value_us": round(statistics.median(one_by_one_us() for _ in range(7)), 3),
            "share_of_a_core_at_1000_rps": round(total_us * 1000 / 1e6, 5),
            "command_to_second_0_s": sorted(round(start_s(), 2) for _ in range(STARTS)),
        },
    )


def best_us(action: Callable[[], object]) -> float:
    """Microseconds per call: the shortest time, because noise only ever adds."""
    number = 20_000
    return min(timeit.repeat(action, number=number, repeat=5)) / number * 1e6


def parse_us(*, known: bool) -> float:
    """Microseconds to parse a complete answer of nginx, with a known or a new head."""
    dates = itertools.repeat(0) if known else itertools.count()
    answers = [HEAD.format(next(dates), len(BODY)).encode() + BODY for _ in range(20_000)]
    parser = AnswerParser()

    def parse_all() -> None:
        for answer in answers:
            parser.begin(is_head=False, accepted=None)
            parser.feed(answer)

    return min(timeit.repeat(parse_all, number=1, repeat=5)) / len(answers) * 1e6


def recording_us() -> tuple[float, float]:
    """Microseconds per request: when it ends, and for processing at the end of the second."""
    spans = plan_phases(load_scenario(ROOT / "scenarios/load-100.yaml"))
    recorder = Recorder(spans, deadline_s=1.0, worker="1")
    recorder.start_s = 0.0
    timings = []
    for number in range(REQUESTS):
        timing = Timing()
        timing.sent_s = 20 + number / REQUESTS
        timing.first_byte_s, timing.ended_s = 0.001 + number * 1e-9, timing.sent_s + 0.0011 + number * 1e-8
        timings.append((Due(timing.sent_s - 0.0001), timing))
    began_s = time.perf_counter()
    for due, timing in timings:
        recorder.started()
        recorder.finished("balance", "GET", Outcome.OK, due, timing, 57)
    kept_s = time.perf_counter() - began_s
    began_s = time.perf_counter()
    recorder.take(21.0, 100)
    return kept_s / REQUESTS * 1e6, (time.perf_counter() - began_s) / REQUESTS * 1e6


def one_by_one_us() -> float:
    """The simple way, for comparison: a Python call and an increment per value."""
    counts = [0] * 2560
    values_us = [1000 + number % 5000 for number in range(REQUESTS)]
    began_s = time.perf_counter()
    for value_us in values_us:
        counts[bucket_of(value_us)] += 1
    return (time.perf_counter() - began_s) / REQUESTS * 1e6


def start_s() -> float:
    """Seconds from the command to second 0 of a run against the embedded target."""
    scenario = yaml.safe_load((ROOT / "scenarios/smoke.yaml").read_text())
    scenario["phases"] = [{"name": "smoke", "duration": "3 s", "users": 10}]
    scenario["thresholds"] = [{"expect": "goodput_ratio >= 10 %"}]
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "start.yaml"
        file.write_text(yaml.safe_dump(scenario))
        began_s = time.time()
        command = [sys.executable, "-m", "loadproof", "run", str(file), "--out", f"{directory}/out"]
        subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60)
        (run,) = (Path(directory) / "out").iterdir()
        return read_manifest(run).start_unix_s - began_s


if __name__ == "__main__":
    main()
