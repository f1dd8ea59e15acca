"""Sends requests, records one outcome for each, and backs off when refused; subclasses decide what to send."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from greenlet import GreenletExit
from locust.exception import StopUser

from loadproof.api.calls import Call, Reply
from loadproof.http.messages import (
    UNAUTHORIZED,
    ConnectionFailedError,
    Request,
    RequestTimeoutError,
    Timing,
    UnreadAnswerError,
    WantError,
)
from loadproof.outcome import Outcome
from loadproof.recording.journalrows import EndedRequest
from loadproof.rundir.journal import LONGEST
from loadproof.rundir.rows import ABANDONED, WANTS
from loadproof.users.judging import checked
from loadproof.users.noting import found_in
from loadproof.users.retryafter import PromiseTracker, RetryPromise, promising_nothing, retry_after_s
from loadproof.users.tries import Tries
from loadproof.users.turns import TurnTaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from locust.env import Environment

    from loadproof.http.answers import Answer
    from loadproof.plan.clients import Client
    from loadproof.plan.pacing import Due
    from loadproof.scenario.traffic.retries import Retries
    from loadproof.users.credentials import Credential

_FIRST_BACK_OFF_S: Final = 1.0
_LONGEST_BACK_OFF_S: Final = 60.0


class UndeclaredRequestError(LookupError):
    """A request whose name is not in the scenario, so no threshold could apply to it."""


class Sender(TurnTaker):
    """A client with its connections, the target's promises to it, and its back-offs."""

    abstract = True

    def __init__(self, environment: Environment, identity: Client | None = None, number: int = 0) -> None:
        """Users that share a client and endpoint get different numbers, and so make different random choices."""
        super().__init__(environment, identity, number)
        self._connections = self.workload.clients.connections(self.identity, self.host or "")
        self._trackers: dict[str, PromiseTracker] = {}
        """By request name."""
        self._latest = Timing()
        """Of the request sent last, which may have ended."""
        self._back_offs_s: dict[str, float] = {}
        """By request name, for those throttled most recently: the longest random back-off after the next refusal."""
        self._retries = self.workload.habits.retries
        self._guise = self.workload.guise(self.endpoint)
        self._seen_as = self.workload.clients.seen_as(self.identity, self.host or "") if self._recorder.journals else ""
        """For the journal: how the target's limits identify this client."""

    def is_held_up(self, now_s: float) -> bool:
        """Whether this turn's answers, or the one it waits for, have taken longer than their deadlines allow."""
        latest = self._latest
        waiting_s = now_s - latest.began_s if latest.began_s and not latest.ended_s else 0.0
        return self._turn.answering_s + waiting_s > len(self._turn.sent) * self.workload.habits.deadline_s

    def _send_patiently(self, send: Callable[[Tries], Reply | None], retries: Retries) -> Reply | None:
        """Send, and retry as often as the scenario allows; returns the last reply.

        The waits in between count as waiting for the target.
        """
        tries = Tries(retries)
        reply = send(tries)
        while tries.has_another and not self._is_to_end:
            with self._kept_by_target():
                self.post.clock.sleep(self._wait_before_retry_s(tries))
            tries.attempt += 1
            reply = send(tries)
        return reply

    def _wait_before_retry_s(self, tries: Tries) -> float:
        """Seconds: its back-off, or what a Retry-After asks for if that is longer and users honour it."""
        asked_s = self._back_off.until_s - self.workload.now_s()
        back_off_s = tries.retries.wait_s(tries.attempt, self.random)
        return max(back_off_s, asked_s) if asked_s < math.inf else back_off_s

    def _send_with(
        self,
        credential: Credential | None,
        call: Call,
        check: Callable[[Reply], object],
        *,
        due: Due | None = None,
        tries: Tries | None = None,
    ) -> Reply | None:
        if credential is None:
            return self._send(call, check, due=due, tries=tries)
        call, number = credential.on(call)
        return self._send(call, check, (credential, number), due=due, tries=tries)

    def _send(
        self,
        call: Call,
        check: Callable[[Reply], object],
        used: tuple[Credential, int] | None = None,
        *,
        due: Due | None = None,
        tries: Tries | None = None,
    ) -> Reply | None:
        """Send once. `used` is the credential in the call, with its number; `due` defaults to the current turn.

        `tries` is set for calls that may be retried, and is given the outcome.
        """
        name = call.name or self.endpoint
        is_setup = self._is_setting_up or due is not None
        tracker = None if is_setup else self._trackers.get(name)
        if tracker is None:
            name, tracker = self._first_tracker(name, is_setup=is_setup)
        due = due or self._take_due(name, is_retry=tries is not None and tries.attempt > 0)
        recorder, timing = self._recorder, Timing()
        self._latest = timing
        recorder.started(due.burst)
        tested = tracker.promise and tracker.take_due(self.workload.monotonic_s())
        try:
            reply, outcome, error = self._exchange(name, call, check, timing)
        except BaseException as cut_off:
            self._end_cut_off(name, call, cut_off, due, timing)
            raise
        self._turn.add_answering(timing.began_s, timing.ended_s)
        # The usual case first: checking for everything else there may be to record would cost a call each.
        if error is None and reply is not None and recorder.only_counts and not timing.is_marked:
            recorder.finished(name, call.request.method, outcome, due, timing, reply.answer.size)
        else:
            self._record(name, call, reply, error, outcome=outcome, due=due, timing=timing)
        if tries is not None or self._has_groups:
            self._end_try(name, tries, outcome, error, due, timing)
        if tested and (became := tested.became(outcome)):
            recorder.retry_after(name, became, tested.due)
        if outcome is Outcome.THROTTLED and reply is not None:
            self._heed(name, reply.answer, due, timing.ended_s, tracker)
            return None
        tracker.promise = None
        if self._back_offs_s:
            self._back_offs_s.pop(name, None)
        if used is not None and reply is not None:
            self._look_after(used, name, outcome, reply.answer.status)
        if outcome is Outcome.OK:
            return reply
        self._let_others_run()
        return None

    def _end_try(
        self, name: str, tries: Tries | None, outcome: Outcome, error: Exception | None, due: Due, timing: Timing
    ) -> None:
        """Tell the request's groups how it ended; they go on if there will be a retry."""
        if tries is not None:
            tries.end = outcome, error
        has_retry = tries is not None and tries.has_another
        if outcome is Outcome.THROTTLED and self.workload.habits.when_throttled == "stop":
            # A user that stops for good doesn't retry, so the group ends as its request did.
            has_retry = False
        self._groups.saw(name, outcome, due, timing, is_unsent=isinstance(error, WantError), has_retry=has_retry)

    def _look_after(self, used: tuple[Credential, int], name: str, outcome: Outcome, status: int) -> None:
        """Tell the credential whether it was accepted; a renewal counts as waiting for the target."""
        credential, number = used
        if outcome is Outcome.OK:
            credential.accepted(name, number)
        elif status == UNAUTHORIZED:
            with self._kept_by_target():
                credential.refused(name, number)

    def _first_tracker(self, name: str, *, is_setup: bool) -> tuple[str, PromiseTracker]:
        """The name to record, and the tracker of its promises, before the first request with this name.

        Setup is read by no threshold, so its names needn't be in the scenario: those that aren't count as the endpoint.
        """
        is_unknown = self.workload.is_of_run and name not in self._journey
        if is_unknown and not is_setup:
            raise UndeclaredRequestError(
                f"request '{name}' is not in the scenario: add it to mix.{self.endpoint}.requests"
            )
        name = self.endpoint if is_unknown else name
        tracker = self.workload.clients.promise_tracker(self.identity, name)
        if not is_setup:
            self._trackers[name] = tracker
        return name, tracker

    def _end_cut_off(self, name: str, call: Call, error: BaseException, due: Due, timing: Timing) -> None:
        """Record a request cut off by our own stop, or by the user's own code, which counts as a timeout."""
        now_s = self.workload.monotonic_s()
        self._turn.add_answering(timing.began_s or now_s, now_s)
        timing.began_s, timing.ended_s = timing.began_s or now_s, now_s
        timing.sent_s = timing.sent_s or timing.began_s
        if isinstance(error, GreenletExit) and self._is_to_end:
            self._recorder.abandoned(name, due)
            if self._recorder.journals:
                self._journal(name, call, None, ABANDONED, due, timing)
            self._groups.forget()
            return
        given_up = RequestTimeoutError(f"given up by the user's own code ({type(error).__name__})")
        self._record(name, call, None, given_up, outcome=Outcome.TIMEOUT, due=due, timing=timing)
        self._groups.saw(name, Outcome.TIMEOUT, due, timing)

    def _record(
        self,
        name: str,
        call: Call,
        reply: Reply | None,
        error: Exception | None,
        *,
        outcome: Outcome,
        due: Due,
        timing: Timing,
    ) -> None:
        recorder, request = self._recorder, call.request
        if recorder.journals:
            ended = WANTS[error.of] if isinstance(error, WantError) else outcome
            self._journal(name, call, reply, ended, due, timing)
        if timing.is_repeated:
            recorder.repeated(name, outcome, due)
        if timing.has_surplus:
            recorder.surplus(name, outcome, due)
        if isinstance(error, WantError):
            recorder.unsent(name, error.of, due)
        else:
            if isinstance(error, UnreadAnswerError):
                recorder.unread(name, due, timing)
            size = reply.answer.size if reply else 0
            recorder.finished(name, request.method, outcome, due, timing, size)
        if error is not None or not recorder.feeds_locust:
            self._tell_locust(name, request, reply, error, timing)

    def _journal(self, name: str, call: Call, reply: Reply | None, outcome: str, due: Due, timing: Timing) -> None:
        """Journal the request, without yielding before it is counted, so that both are in the same report."""
        status, asked, noted = 0, "", None
        if reply is not None:
            # A secret may begin in the part that is finally kept, and end beyond it.
            longest = LONGEST + self.workload.mask.reach
            noted = found_in(reply, call, longest)
            status, headers = reply.answer.status, reply.answer.headers
            if "retry-after" in headers:
                asked = headers["retry-after"][:longest]
        seen_as, sent_s, ended_s, is_repeated = self._seen_as, timing.sent_s, timing.ended_s, timing.is_repeated
        self._recorder.ended(
            EndedRequest(seen_as, name, due, sent_s, ended_s, status, outcome, asked, is_repeated, call.note, noted)
        )

    def _let_others_run(self) -> None:
        """Yield after a failure: a refused connection may not have yielded at all, which would starve other users."""
        with self._not_free():
            self.post.clock.sleep(0)

    @contextmanager
    def _not_free(self) -> Iterator[None]:
        """While it waits, the user has its answer but can't take another arrival."""
        self._recorder.yielding += 1
        try:
            yield
        finally:
            self._recorder.yielding -= 1

    @contextmanager
    def _kept_by_target(self) -> Iterator[None]:
        """Count the time inside as waiting for the target, even if the end of the plan cuts it off."""
        began_s = self.workload.monotonic_s()
        try:
            with self._not_free():
                yield
        finally:
            self._turn.add_answering(began_s, self.workload.monotonic_s())

    def _exchange(
        self, name: str, call: Call, check: Callable[[Reply], object], timing: Timing
    ) -> tuple[Reply | None, Outcome, Exception | None]:
        try:
            answer = self._connections.exchange(call.request, timing)
            reply = Reply(answer, call.operation, may_be_second=timing.is_repeated)
        except RequestTimeoutError as error:
            return None, Outcome.TIMEOUT, error
        except (ConnectionFailedError, WantError) as error:
            return None, Outcome.CONNECTION, error
        except UnreadAnswerError as error:
            return None, Outcome.INVALID, error
        return checked(reply, check, name)

    def _tell_locust(
        self, name: str, request: Request, reply: Reply | None, error: Exception | None, timing: Timing
    ) -> None:
        answer = reply.answer if reply else None
        response_s = timing.ended_s - timing.began_s
        if error is not None:
            error = self.workload.mask.error(error)
            self._recorder.failed(name, request, answer, error)
        self.environment.events.request.fire(
            request_type=request.method,
            name=name,
            response_time=response_s * 1000,
            response_length=answer.size if answer else 0,
            response=answer,
            context=self.context(),
            exception=error,
            start_time=self.post.clock.unix_s() - response_s,
            url=request.path,
        )

    def _heed(self, name: str, answer: Answer, due: Due, ended_s: float, tracker: PromiseTracker) -> None:
        """Remember what a refusal promised, and react as the scenario says: back off, ever longer; stop; or ignore."""
        asked_s = retry_after_s(answer)
        if asked_s is None:
            self._recorder.retry_after(name, promising_nothing(answer), due)
        else:
            tracker.promise = RetryPromise(ended_s + asked_s, due)
        match self.workload.habits.when_throttled:
            case "stop" if self._back_off.is_for_good:
                # Another request of the same turn has reported it already.
                raise StopUser
            case "stop":
                # It remains one of the planned users, but takes no more turns.
                self._give_up()
                raise StopUser
            case "honour":
                # Jitter on top of what the server asked for: users come back no earlier, and not all at once.
                back_off_s = self._back_offs_s.get(name, _FIRST_BACK_OFF_S)
                wait_s = (asked_s or 0.0) + self.random.uniform(0, back_off_s)
                self._back_off.until_s = self.workload.now_s() + wait_s
                self._back_offs_s[name] = min(2 * back_off_s, _LONGEST_BACK_OFF_S)
