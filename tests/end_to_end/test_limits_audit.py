"""Complete runs against small servers with a limit: a correct one passes its audit, one that admits more fails."""

from __future__ import annotations

import json
import threading
import time

import pytest
import yaml

from loadproof.rundir import files
from simulation.limiters import Limiter, MovingLog, ceiled
from tests.commands import code_of, in_process, only_run, scenario_file, verdict_of
from tests.servers import read_request, serving

pytestmark = [pytest.mark.process, pytest.mark.long]

PLAN = {
    "expect_throttling": True,
    "mix": {"health": {"share": "100 %", "every": "50 ms"}},
    "phases": [{"name": "steady", "duration": "3 s", "users": 24}],
    "thresholds": [{"audit": "limits"}, {"expect": "goodput_ratio >= 1 %"}],
    "settings": {},
}
LIMITS = {"health": {"amount": 5, "period": "1 s", "algorithm": "moving-window", "retry_after": True}}


def limited(limiter: Limiter):
    """A server that answers `/health` as often as the limiter allows each address."""
    lock = threading.Lock()

    def script(connection, _):
        client = connection.getpeername()[0]
        while read_request(connection):
            with lock:
                wait = limiter.take(client, time.monotonic())
            body = b'{"status":"ok"}'
            status = b"200 OK" if wait <= 0 else b"429 Too Many Requests\r\nRetry-After: %s" % ceiled(wait, 0).encode()
            connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))

    return serving(script)


@pytest.mark.parametrize(
    ("limiter", "promise"),
    [(MovingLog(5, 1.0), None), (MovingLog(6, 1.0), "health: quota")],
    ids=["right", "one more"],
)
def test_a_run_shows_whether_the_limit_is_kept(tmp_path, limiter, promise):
    with limited(limiter) as url:
        target = tmp_path / "target.yaml"
        target.write_text(yaml.safe_dump({"base_url": url, "limits": LIMITS}))
        done = in_process("run", scenario_file(tmp_path, **PLAN), "--target", target, "--out", tmp_path / "out")
    run = only_run(tmp_path / "out")
    # On a machine that is busy with other tests, the run may be INVALID whatever the audit finds.
    assert done.returncode == code_of(run), done.stdout + done.stderr
    (audit,) = json.loads((run / files.AUDIT).read_text())["audits"]
    broken = [evidence["promise"] for evidence in audit["evidence"] if evidence["word"] == "FAIL"]
    assert promise in broken if promise else broken == []
    assert verdict_of(run)["audits"][0]["word"] == audit["word"] == ("FAIL" if promise else "PASS")


def test_an_audit_without_declared_limits_is_refused_before_anything_is_sent(tmp_path):
    with limited(MovingLog(5, 1.0)) as url:
        target = tmp_path / "target.yaml"
        target.write_text(yaml.safe_dump({"base_url": url}))
        done = in_process("run", scenario_file(tmp_path, **PLAN), "--target", target, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "none is declared for what is sent" in done.stderr
    assert not (tmp_path / "out").exists()
