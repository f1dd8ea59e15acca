"""The README's example: an app of somebody's own behind this protection, run as it is printed."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from loadproof.run.ports import free_port
from payments_api.protection.options import Options
from tests.commands import ROOT

EXAMPLE = re.search(r"```python\n(.*?)```", (ROOT / "payments_api/README.md").read_text(), re.DOTALL).group(1)


@pytest.mark.process
def test_the_example_protects_an_app_of_ones_own(tmp_path):
    """Limits, fields, bots and penalties: with the lines that are printed, and no others."""
    assert len([line for line in EXAMPLE.splitlines() if line]) <= 15
    Path(tmp_path / "own.py").write_text(EXAMPLE)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "own:app", "--port", str(port), "--no-proxy-headers"]
    command += ["--http", "payments_api.protection.fairness:FairProtocol"]
    command += ["--log-level", "warning", "--app-dir", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT) as server:
        try:
            url = f"http://127.0.0.1:{port}"
            until_answers(f"{url}/unknown")
            answers = [requests.get(f"{url}/orders/{number}", timeout=5) for number in range(5)]
            assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 2
            assert answers[0].headers["ratelimit-policy"] == '"orders";q=3;w=60'
            assert int(answers[3].headers["retry-after"]) > 60
            assert requests.get(f"{url}/unknown", timeout=5).json()["type"] == "urn:problem:penalty"
            bot = requests.get(f"{url}/unknown", headers={"User-Agent": "sqlmap"}, timeout=5)
            assert bot.status_code == 403
        finally:
            server.terminate()
        assert server.wait(10) in {0, -15}


def until_answers(url: str) -> None:
    deadline_s = time.monotonic() + 20
    while True:
        try:
            requests.get(url, timeout=1)
        except requests.ConnectionError:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        else:
            return


def test_limits_without_one_for_all_other_paths_are_refused():
    """Or whoever mistypes a path would be let through, or be an error."""
    with pytest.raises(ValueError, match="other"):
        Options(limits={"orders": "3/min"})
