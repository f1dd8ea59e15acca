"""The processes that share a run and report on it: the master's side and the workers'.

    master → worker   Begin, then a ClockTime every second, then End
    worker → master   a Measured every second, then Ended; or Refused

A run in one process is a crew of one, without messages.
"""

from __future__ import annotations

import math
import sys
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final, cast

import gevent

from loadproof.errors import TargetError
from loadproof.generator.crew.consent import refusals
from loadproof.generator.crew.copies import copy_problems, digest_of
from loadproof.generator.crew.measuring import Measuring
from loadproof.generator.crew.messages import Begin, ClockTime, End, Ended, Measured, Refused, hear, send
from loadproof.generator.crew.writing import Writing
from loadproof.internals.locust import send_statistics
from loadproof.recording.announcements import WorkerLost
from loadproof.recording.clock import UnsetClock
from loadproof.recording.reports import SecondReport
from loadproof.recording.skew import Skew
from loadproof.rundir.manifest import Manifest
from loadproof.rundir.rows import GeneratorRow
from loadproof.scenario.target.auth import token_url_of
from loadproof.users.post import THIS_PROCESS
from loadproof.users.tokenkeeper import keep_token
from loadproof.users.user import take_likes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from locust.env import Environment
    from locust.runners import MasterRunner, WorkerRunner

    from loadproof.errors import Problem
    from loadproof.recording.runwriter import RunWriter
    from loadproof.users.post import Post

_LEAD_S: Final = 2.0
_TOKEN_S: Final = 3.0
"""How long a slow server may take to issue a token."""
_TELLING_S: Final = 0.5
"""ZeroMQ sends in the background; a worker waits this long for its last message to be sent."""
_OVERDUE_S: Final = 6.0
"""A worker that has not reported for this long is lost."""
_END_LOOK_S: Final = 0.05
"""How often the master checks whether all workers have ended."""
_ANSWERS_LOOK_S: Final = 0.02
"""How often a worker checks whether everything it sent has been answered."""


class LocalCrew:
    """A single process that measures and writes."""

    is_of_many: Final = False
    lead_s: Final = 0.5
    """Users are created before second 0, so that creating them isn't measured."""

    def __init__(self, environment: Environment, writer: RunWriter, post: Post = THIS_PROCESS) -> None:
        self._post = post
        self.writing = Writing(environment, writer, post)
        self._measuring = Measuring(environment, self.writing.take, post)
        # The last event of Locust's shutdown: by then, users have stopped, whatever the cause.
        environment.events.quit.add_listener(self._finish)

    @property
    def in_flight(self) -> int:
        return self._post.workload().recorder.in_flight

    @property
    def is_sound(self) -> bool:
        """Whether it has measured, without failures."""
        return self._measuring.is_sound

    def begin(self, start_unix_s: float) -> int:  # noqa: ARG002 - nobody else needs to know
        """Nothing to send; returns the number of processes that generate load."""
        return 1

    def hurry(self) -> None:
        """Nothing to do: it waits for nobody."""

    def end(self) -> None:
        """Nothing to do: Locust stops the users of its own process."""

    def _finish(self, **_: Any) -> None:
        self._measuring.finish()
        self.writing.finish()


class MasterCrew:
    """The master's side: assigns shares of the run, collects reports, and waits for the last ones."""

    is_of_many: Final = True

    def __init__(
        self, environment: Environment, writer: RunWriter, manifest: Manifest, post: Post = THIS_PROCESS
    ) -> None:
        """The environment's runner is a MasterRunner or a stand-in for one."""
        self._environment = environment
        self._runner = cast("MasterRunner", environment.runner)
        self._manifest = manifest
        self.lead_s = _LEAD_S + (_TOKEN_S if token_url_of(manifest.target) else 0.0)
        """Longer than in a single process: workers also create payloads and obtain tokens before they have users."""
        self._post = post
        self._clock = post.clock
        self._unset = UnsetClock(post.clock)
        """Of the moment when second 0 was set: a wall clock that is set later moves no phase, and is no skew."""
        self.writing = Writing(environment, writer, post)
        self._waits_until_s = math.inf
        """When the last reports have to be there."""
        self._heard_s: dict[str, float] = {}
        """Time of the last message, by client id, of workers that were assigned a share."""
        self._at_work: dict[str, str] = {}
        """Client id to number (from 1), of workers that have not yet sent Ended."""
        self._reports: Counter[str] = Counter()
        """By client id, the number of the last report."""
        self._skews: defaultdict[str, Skew] = defaultdict(Skew)
        hear(self._runner, Measured, self._take, is_from_ours=self.has_part)
        hear(self._runner, Ended, self._dismiss, is_from_ours=self.has_part)
        hear(self._runner, Refused, self._hear_refusal, is_from_ours=self.has_part)
        environment.events.quit.add_listener(self._finish)

    def has_part(self, client_id: str) -> bool:
        """Whether this worker was assigned a share of the run; one that connected later waits for the next run."""
        return client_id in self._heard_s

    @property
    def in_flight(self) -> int:
        """Always 0: workers wait for their own requests in flight when they end."""
        return 0

    @property
    def is_sound(self) -> bool:
        """Whether there were any workers; their failures are announced."""
        return bool(self._heard_s)

    def begin(self, start_unix_s: float) -> int:
        """Send every connected worker its share; returns the number of workers."""
        self._unset = UnsetClock(self._clock)
        ids = sorted(worker.id for worker in self._runner.clients.ready)
        text, digest = self._manifest.model_dump_json(), digest_of(self._environment)
        # A worker reports only after its locustfile's listeners have returned.
        silent_s = max(0.0, start_unix_s - self._clock.unix_s() - self.lead_s)
        for rank, worker in enumerate(ids):
            self._at_work[worker] = str(rank + 1)
            self._heard_s[worker] = self._clock.now_s() + silent_s
            send(self._runner, Begin(text, start_unix_s, rank, len(ids), digest), worker)
        gevent.spawn(self._look_after_workers)
        return len(ids)

    def end(self) -> None:
        """Tell the workers to end, and wait until they have ended, are lost, or their time is up."""
        for worker in list(self._at_work):
            send(self._runner, End(self._plan_is_over()), worker)
        if self._plan_is_over():
            # With a target that hangs, a worker waits for answers; then Locust waits for the `on_stop` of users without
            # a turn, and then for the others.
            timeouts = self._manifest.scenario.timeouts
            self._wait_at_most(timeouts.total + 1 + 2 * timeouts.stop_s)
        else:
            self.hurry()
        while self._at_work and self._clock.now_s() < self._waits_until_s:
            self._clock.sleep(_END_LOOK_S)
        self._miss_ends()

    def hurry(self) -> None:
        """The parent has stopped the run, and doesn't wait as long for us as we would for workers."""
        timeouts = self._manifest.scenario.timeouts
        self._wait_at_most(timeouts.connect + timeouts.total)

    def _wait_at_most(self, seconds: float) -> None:
        self._waits_until_s = min(self._waits_until_s, self._clock.now_s() + seconds + _OVERDUE_S)

    def _miss_ends(self) -> None:
        """Announce the workers whose last report has not arrived, and stop waiting for them."""
        for rank in self._at_work.values():
            self.writing.writer.announce(WorkerLost(f"worker {rank} did not report its end"))
        self._at_work.clear()

    def _finish(self, **_: Any) -> None:
        """Also runs if something else stopped this process while it was waiting."""
        self._miss_ends()
        self.writing.finish()

    def _plan_is_over(self) -> bool:
        return self._post.workload().now_s() >= self._manifest.phases[-1].end_s

    def _take(self, measured: Measured, client_id: str) -> None:
        if measured.number <= self._reports[client_id]:
            return
        self._heard_s[client_id] = self._clock.now_s()
        self._miss_reports(client_id, before=measured.number)
        self._reports[client_id] = measured.number
        skew = self._skews[client_id]
        skew.back(self._unset.unix_s() - measured.now_unix_s)
        skew.out(measured.clock_took_s)
        report = SecondReport(**measured.report)
        if report.generator is not None:
            row = GeneratorRow(*report.generator)
            report.generator = row._replace(clock_skew_s=skew.ahead_s, clock_doubt_s=skew.doubt_s)
        self.writing.take(report)

    def _miss_reports(self, client_id: str, *, before: int) -> None:
        """Announce reports numbered below `before` that have not arrived."""
        missing = before - 1 - self._reports[client_id]
        if missing > 0 and (rank := self._at_work.get(client_id)):
            reports = "a report" if missing == 1 else f"{missing} reports"
            self.writing.writer.announce(WorkerLost(f"{reports} of worker {rank} got lost on the way"))

    def _dismiss(self, ended: Ended, client_id: str) -> None:
        self._miss_reports(client_id, before=ended.reports + 1)
        self._at_work.pop(client_id, None)

    def _hear_refusal(self, refused: Refused, client_id: str) -> None:
        if rank := self._at_work.pop(client_id, None):
            self.writing.writer.announce(WorkerLost(f"worker {rank} refused its part: {refused.why}"))

    def _look_after_workers(self) -> None:
        while True:
            self._clock.sleep(1)
            for worker in list(self._at_work):
                send(self._runner, ClockTime(self._unset.unix_s()), worker)
            for worker, rank in list(self._at_work.items()):
                if self._clock.now_s() - self._heard_s[worker] > _OVERDUE_S:
                    del self._at_work[worker]
                    self.writing.writer.announce(WorkerLost(f"worker {rank} stopped reporting"))


class WorkerCrew:
    """A worker's side: receives its share from the master and reports to it."""

    def __init__(self, environment: Environment, post: Post = THIS_PROCESS) -> None:
        """The environment's runner is a WorkerRunner or a stand-in for one."""
        self._environment = environment
        self._runner = cast("WorkerRunner", environment.runner)
        self._post = post
        self._clock = post.clock
        self._unset = UnsetClock(post.clock)
        """As the master's, of this machine."""
        self._measuring = Measuring(environment, self._report, post)
        self._clock_took_s = math.inf
        self._run_id = ""
        """The run it takes part in."""
        self._reports = 0
        self._is_ending = False
        self.has_refused = False
        """It has refused its share of a run."""
        hear(self._runner, Begin, self._begin)
        hear(self._runner, ClockTime, self._hear_clock)
        hear(self._runner, End, self._end, concurrent=True)

    def _begin(self, begin: Begin, _: str) -> None:
        manifest = Manifest.model_validate_json(begin.manifest)
        if manifest.run_id == self._run_id:
            return
        self._run_id = manifest.run_id
        self._unset = UnsetClock(self._clock)
        take_likes(self._environment, manifest.scenario)
        problems = [*refusals(manifest), *copy_problems(manifest, begin.digest, self._environment)]
        if problems:
            self._refuse(problems)
            return
        work = self._post.assign(manifest, rank=begin.rank, workers=begin.workers)
        work.begin(begin.start_unix_s - self._unset.unix_s())
        try:
            keep_token(self._environment, self._post)
        except TargetError as error:
            self._refuse(error.problems)

    def _refuse(self, problems: Sequence[Problem]) -> None:
        """Report the reasons on both sides, and exit; no message is handled in between, so no users are created."""
        sys.stderr.write("".join(f"{problem}\n" for problem in problems))
        send(self._runner, Refused("; ".join(map(str, problems))))
        self._clock.sleep(_TELLING_S)
        self.has_refused = True
        self._environment.process_exit_code = 1
        self._runner.quit()

    def _hear_clock(self, clock: ClockTime, _: str) -> None:
        self._clock_took_s = min(self._clock_took_s, self._unset.unix_s() - clock.unix_s)

    def _report(self, report: SecondReport) -> None:
        self._reports += 1
        measured = Measured(
            number=self._reports,
            report=vars(report),
            now_unix_s=self._unset.unix_s(),
            clock_took_s=self._clock_took_s,
        )
        send(self._runner, measured)

    def _await_answers(self) -> None:
        """Wait for requests in flight first: stopping users blocks the event loop, and would make answers look late."""
        work = self._post.workload()
        until_s = work.now_s() + work.scenario.timeouts.total + 1
        while work.recorder.in_flight and work.now_s() < until_s:
            self._clock.sleep(_ANSWERS_LOOK_S)

    def _end(self, end: End, _: str) -> None:
        if self._is_ending:
            return
        self._is_ending = True
        if end.plan_is_over:
            self._await_answers()
        self._runner.stop()
        self._measuring.finish()
        # Locust's own statistics of the last seconds, before the message that ends the reports.
        send_statistics(self._runner)
        send(self._runner, Ended(self._reports))


Crew = LocalCrew | MasterCrew
