"""Announcements come out at the other end of the pipe, however they are split."""

from __future__ import annotations

import os
from typing import get_args

import pytest

from loadproof.recording.announcements import (
    Announcement,
    Begun,
    DiskFull,
    PlanIsOver,
    StopAsked,
    StrangerRefused,
    Tick,
    WorkerLost,
    announcement_of,
    line_of,
)
from loadproof.run.watching.listener import Listener

ONE_OF_EACH = [
    Begun(1.5, workers=3),
    Tick(3.0, "steady", users=None, in_flight=2, sent=33, p95_s=0.0123, errors=0, throttled=0, dropped=0),
    PlanIsOver(),
    StopAsked("in the web UI"),
    DiskFull("ünlesbar:\nno space left"),
    WorkerLost("worker 1 stopped reporting"),
    StrangerRefused(),
]


@pytest.fixture
def pipe():
    read_end, write_end = os.pipe()
    yield Listener(read_end), write_end
    os.close(read_end)


def test_each_announcement_is_one_complete_line():
    """Even if its texts contain newlines."""
    assert {type(announcement) for announcement in ONE_OF_EACH} == set(get_args(Announcement))
    for announcement in ONE_OF_EACH:
        line = line_of(announcement)
        assert line.index(b"\n") == len(line) - 1
        assert announcement_of(line) == announcement


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_listener_gets_whole_lines_however_they_are_split(pipe, size):
    """And never blocks for the rest."""
    listener, write_end = pipe
    text, heard = b"".join(map(line_of, ONE_OF_EACH)), []
    for at in range(0, len(text), size):
        os.write(write_end, text[at : at + size])
        heard += listener.read()
    assert heard == ONE_OF_EACH
    assert listener.read() == []
    assert not listener.has_ended


def test_a_listener_notices_when_the_writer_is_gone(pipe):
    """A line that was cut off is ignored."""
    listener, write_end = pipe
    os.write(write_end, line_of(PlanIsOver()) + b'{"kind": "Ti')
    os.close(write_end)
    assert listener.read() == [PlanIsOver()]
    assert listener.read() == []
    assert listener.has_ended


def test_a_listener_knows_when_there_is_nothing_left_to_read(pipe):
    """Not before the other end is closed, and not while anything is unread."""
    listener, write_end = pipe
    assert not listener.has_ended
    assert listener.read() == []
    assert not listener.has_ended
    os.write(write_end, line_of(PlanIsOver()))
    os.close(write_end)
    assert (listener.read(), listener.has_ended) == ([PlanIsOver()], False)
    assert (listener.read(), listener.has_ended) == ([], True)
