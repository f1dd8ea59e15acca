"""The columns of the run directory's tables, and the series that intervals hold."""

from __future__ import annotations

from typing import Final, NamedTuple

PARTS: Final = ("connect", "first_byte", "transfer")
"""A request's parts: connecting, if necessary; sending to the answer's first byte; from there to its last."""
HISTOGRAMS: Final = ("response", "service", "lag", *PARTS)
"""Series with a histogram: `bucket` is an index of loadproof.histogram, in the second of the intended start."""
RETRY_KEPT, RETRY_BROKEN, RETRY_MISSING = "retry_kept", "retry_broken", "retry_missing"
RETRY_UNREADABLE: Final = "retry_unreadable"
REPEATED: Final = "repeated"
SURPLUS: Final = "surplus"
NEVER_SENT: Final = "dropped"
WANTS: Final = {"ports": "want_ports", "files": "want_files", "memory": "want_memory"}
"""Requests for which the generator's machine had no port, file or memory: not an outcome, and in no ratio."""
SENT_NOTHING, SET_OUT, FOLLOWED = "sent_nothing", "set_out", "followed"
"""Counters: for a kind of user, turns and arrivals whose task sent no request, and those whose first request had
another name; for a request, those that were not the first of their turn."""
RETRIED: Final = "retried"
"""A counter: requests that users sent again because the one before had failed; each is a request of its own."""
UNREAD: Final = "unread"
"""A counter with a response time: answers that count as `invalid` because loadproof doesn't read that much."""
UNREPORTED: Final = "unreported"
"""A counter: requests of a locustfile that ended without their user saying how."""
ELSEWHERE: Final = "elsewhere"
"""A counter: requests of a locustfile whose URL is not the target's."""
ABANDONED: Final = "abandoned"
UNJUDGED: Final = (ABANDONED, *WANTS.values(), UNREPORTED)
"""Series of requests that ended without an outcome; in a row per request, they take the outcome's place."""
COUNTERS: Final = (
    *("good", "completed", NEVER_SENT, ABANDONED, *WANTS.values(), SENT_NOTHING, SET_OUT, FOLLOWED),
    *(RETRIED, REPEATED, SURPLUS, UNREAD, UNREPORTED, ELSEWHERE),
    *(RETRY_KEPT, RETRY_BROKEN, RETRY_MISSING, RETRY_UNREADABLE),
)
"""Series that only count, in the second of the intended start and, except for UNREAD, in bucket 0: correct within the
deadline; planned and never sent, for the reason in the outcome; cut off by our own stop; wants; turns without a
request; turns that began with a request of another name; requests beyond a turn's first; sent twice, the first time in
vain; bytes beyond an answer; not read; refusals after whose Retry-After the client was admitted or refused again,
refusals without one, or with one that can't be read. `completed` counts answers in the second in which they ended.
"""
ANSWER_DATE: Final = "answer_date"
"""The key in a journal row's `noted` for the answer's Date, if its Retry-After is a date, too."""
TOKEN: Final = "oauth2 token"  # noqa: S105 - a name
"""The endpoint of requests for tokens, which are set-up; no request, user or group of a scenario can have this name."""
PRESENT_MS, LATE_MS = "present_ms", "late_ms"
USER_TIMES: Final = (PRESENT_MS, LATE_MS)
"""Series of the closed model that add up users' time in each second, in ms: how long they were present, and how long of
that their own code or the event loop kept them from sending when they were due."""

FAULT_BEGUN, FAULT_ENDED, FAULT_FAILED = FAULT_EVENTS = ("fault_begun", "fault_ended", "fault_failed")
"""Kinds of events: a planned fault begins, is undone, or could not be begun or undone."""
REDIS_DIED: Final = "redis_died"
"""The kind of event when the Redis that the run started ends by itself."""

ENDED_BY: Final = "ended by "
"""Precedes the place in the users' own code that ended a generator."""
LISTENER_RAISED: Final = "a listener raised "
"""How the message of a listener's exception begins; it ended no task."""
MOST_NAMES: Final = 1_000
OTHERS: Final = "others"
"""The most request names of a locustfile in a process, and the name for all others: with identifiers in its paths,
every request would have a row of its own."""


class IntervalRow(NamedTuple):
    """One cell of an interval histogram; equal keys add up."""

    second: int
    phase: str
    endpoint: str
    outcome: str
    series: str
    bucket: int
    count: int  # type: ignore[assignment]  # the column's name; tuple.count is not used


class GeneratorRow(NamedTuple):
    """One worker in one second; ratios of one core, 0-1. Columns with a default may be missing in a file."""

    second: int
    worker: str
    cpu_ratio: float
    steal_ratio: float
    """As a share of all cores."""
    loop_delay_s: float
    """How late a timer of the event loop fired, the worst of the second."""
    lag_p99_s: float
    users: int
    in_flight: int
    """The most requests without an answer at any one time of the second; when an arrival is dropped, including users
    that have their answer but have not run since."""
    sent: int
    dropped: int
    abandoned: int
    wait_ratio: float = 0.0
    """Ready to run while another process ran; 0 if the system doesn't report it."""
    clock_step_s: float = 0.0
    """How far somebody set the wall clock forward, in s."""
    asleep_s: float = 0.0
    """How long the machine slept."""
    clock_skew_s: float = 0.0
    """How far the worker's clock is ahead of the master's, as far as that is beyond doubt; the best estimate so far."""
    length_s: float = 1.0
    """From the start of the second: the last one may be cut short, and one in which the process stalled is longer."""
    clock_doubt_s: float = 0.0
    """The most by which `clock_skew_s` may be wrong, in either direction; the smallest so far, infinite at first."""


class JournalRow(NamedTuple):
    """One request as it ended. Times are whole µs from second 0 by the worker's own clock; they may be negative."""

    worker: str
    client: str
    """What the target's limits see: an address, a header's value, or `shared`."""
    request: str
    phase: str
    """Of the intended start, as in the intervals."""
    intended_us: int
    sent_us: int
    """When its first byte was sent; when it began if none was."""
    ended_us: int
    status: int
    """0 if there was no answer."""
    outcome: str
    """An Outcome, or one of UNJUDGED."""
    retry_after: str
    """The header's text; empty if there was none."""
    repeated: int
    """1 if the transport sent it twice."""
    noted: str
    """A JSON object of what the user and the answer said about it, without secrets; empty if nothing."""


class TargetRow(NamedTuple):
    """One sample of the target's /metrics; values are in the metric's own unit."""

    time_s: float
    """From the run's start."""
    metric: str
    value: float


class EventRow(NamedTuple):
    """Something that happened, noted once: the start of a phase, a burst, an example of a failure, an ending."""

    time_s: float
    """From the run's start."""
    kind: str
    detail: str
    """A sentence, or JSON if there are several facts."""
