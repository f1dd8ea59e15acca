"""gevent is what we take it for, and private parts of others stand in one file each."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import pytest
from gevent.exceptions import BlockingSwitchOutError
from greenlet import GreenletExit, greenlet

from tests.unpatched import locust  # isort: skip

from tests.commands import ROOT

assert locust


@contextmanager
def unchanged(library: str, what: str, used_in: str) -> Iterator[None]:
    """Whatever goes wrong inside is a change of that library."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{library} changed: {what}; used in {used_in} ({error!r})") from error


def test_watchers_call_on_the_hub():
    """A readable descriptor, again and again until stopped."""
    hub, seen = gevent.get_hub(), []
    reader, writer = os.pipe()
    with unchanged(
        "gevent", "loop.io(fd, 1).start(callback) calls on the hub", "http/connection.py, generator/alarm.py"
    ):
        watcher = hub.loop.io(reader, 1)
        watcher.start(lambda: seen.append(gevent.getcurrent()))
        os.write(writer, b"x")
        with gevent.Timeout(20):
            while len(seen) < 2:
                gevent.sleep(0.01)
        watcher.stop()
        calls = len(seen)
        gevent.sleep(0.02)
        assert calls == len(seen) > 1
        assert set(seen) == {hub}
        watcher.close()
    os.close(reader)
    os.close(writer)


def test_timers_call_on_the_hub_and_need_not_keep_the_loop():
    """Once, or again and again."""
    hub, once, again = gevent.get_hub(), [], []
    with unchanged(
        "gevent", "loop.timer(after, repeat, ref=), start(callback, update=)", "generator/alarm.py, http/deadlines.py"
    ):
        timers = [hub.loop.timer(0.001), hub.loop.timer(0.001, repeat=0.001, ref=False)]
        timers[0].start(lambda: once.append(gevent.getcurrent()), update=True)
        timers[1].start(lambda: again.append(gevent.getcurrent()))
        with gevent.Timeout(20):
            while len(again) < 3 or not once:
                gevent.sleep(0.001)
        assert once == [hub]
        assert set(again) == {hub}
        for timer in timers:
            timer.close()


def test_callbacks_switch_and_throw_but_never_wait():
    """The executor's users are plain greenlets below the hub, which callbacks switch to and end."""
    hub, seen = gevent.get_hub(), []

    def live(first: int) -> None:
        seen.append(first)
        try:
            seen.append(hub.switch())
        except GreenletExit:
            seen.append("ended")

    def wait() -> None:
        try:
            gevent.sleep(0.001)
        except BlockingSwitchOutError:
            seen.append("must not wait")

    with unchanged("gevent", "run_callback, hub.switch and greenlets below the hub", "generator/executor.py, http/"):
        users = [greenlet(live, hub), greenlet(live, hub)]
        for call, *arguments in (
            (users[0].switch, 1),
            (users[0].switch, 2),
            (users[1].switch, 3),
            (users[1].throw,),
            (wait,),
        ):
            hub.loop.run_callback(call, *arguments)
        gevent.sleep(0)
        assert seen == [1, 2, 3, "ended", "must not wait"]


def test_private_parts_of_others_stand_in_one_file_each():
    """Ruff's SLF001 finds them, and nobody outside waves it aside; names of theirs that Python mangles, too."""
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    allowed = {place for place, rules in lint["per-file-ignores"].items() if "SLF001" in rules}
    assert allowed == {"tests/**", "loadproof/internals/**"}
    assert lint["select"] == ["ALL"]
    assert "SLF001" not in lint["ignore"]
    found = {
        str(file.relative_to(ROOT))
        for package in ("analysis", "bench", "docs", "drills", "loadproof", "locustfiles", "payments_api", "simulation")
        for file in (ROOT / package).rglob("*.py")
        if re.search(r"noqa: *[A-Z0-9, ]*SLF001|# ruff: noqa|\b_[A-Z]\w*__[a-z]", file.read_text())
    }
    assert found == set()


@pytest.mark.parametrize("name", ["_handlers", "_send_stats", "_user_classes", "_worker_nodes", "_stats_history_"])
def test_no_text_reaches_them_by_name(name):
    """`getattr` with a name is no way around."""
    found = {
        str(file.relative_to(ROOT))
        for package in ("analysis", "loadproof", "locustfiles", "payments_api")
        for file in (ROOT / package).rglob("*.py")
        if re.search(rf"{name}\w*", file.read_text())
    }
    assert found == {"loadproof/internals/locust.py"}
