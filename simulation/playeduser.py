"""One user in simulated time, and a target with scripted answers: shows when the user sends and what is counted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from gevent.pool import Group
from locust.env import Environment

from loadproof.http.answers import Answer
from loadproof.users.post import Post
from loadproof.users.user import ApiUser
from simulation.clock import FakeTime
from simulation.rundirs import manifest, scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from loadproof.http.messages import Request, Timing

_FIRST_S: Final = 0.5
"""Time of the first turn."""


class Waiting(ApiUser):
    """A user that waits on its simulation's clock."""

    abstract = True

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._pacer.offset_s = _FIRST_S

    def wait(self) -> None:
        self.post.clock.sleep(self.wait_time())


def ask(user: ApiUser) -> None:
    """A task with one request."""
    user.send(user.api.ask_health(), lambda _: None)


class PlayedUser:
    """One user of `health` with a turn every 2 s, and a target with configurable delays and statuses."""

    origin: Any = None  # it never redirects

    def __init__(
        self,
        *,
        task: Callable[[Any], None] = ask,
        statuses: Sequence[int] = (),
        headers: Mapping[str, str] | None = None,
        takes_s: Callable[[int], float] = lambda _: 0.1,
        seconds: int = 30,
        **plan: Any,
    ) -> None:
        """Answers have these statuses, in order, then 200; 429 and 503 have these headers.

        `takes_s` maps the request's number, from 1, to the time until its answer.
        """
        content: dict[str, Any] = {
            "phases": [{"name": "steady", "duration": f"{seconds} s", "users": 1}],
            "mix": {"health": {"share": "100 %", "every": "2 s"}},
            "deadline": "500 ms",
            "thresholds": [{"expect": "goodput_ratio >= 1 %"}],
        }
        self.time = FakeTime()
        self.clock = self.time.clock()
        self.statuses, self.headers, self.takes_s = list(statuses), headers or {}, takes_s
        self.sent_s: list[float] = []
        self.post = Post(self.clock, lambda *_: self)
        self.work = self.post.assign(manifest(scenario(**content | plan)), rank=0, workers=1)
        self.recorder: Any = self.work.recorder
        self.work.begin(0.0)
        own = {"post": self.post, "clock": self.clock, "host": "http://127.0.0.1:8000", "endpoint": "health"}
        user_class = type("Playing", (Waiting,), own | {"tasks": [task]})
        self.user: Any = user_class(Environment(user_classes=[user_class]))

    def exchange(self, _: Request, timing: Timing) -> Answer:
        timing.began_s = timing.sent_s = self.clock.now_s()
        self.sent_s.append(round(self.work.now_s(), 3))
        self.clock.sleep(self.takes_s(len(self.sent_s)))
        timing.ended_s = self.clock.now_s()
        status = self.statuses.pop(0) if self.statuses else 200
        return Answer(status, dict(self.headers) if status in {429, 503} else {}, b'{"status": "ok"}')

    def live(self, until_s: float) -> Counter[str]:
        """Run the user until then; returns what was counted, in ms and turns, by outcome, or by series without one."""
        life = self.user.start(Group())
        self.time.advance_to(until_s)
        life.kill(block=False)
        self.time.advance_to(until_s)
        return self.counted(until_s)

    def counted(self, until_s: float) -> Counter[str]:
        """The counts since the last call."""
        counted: Counter[str] = Counter()
        for _, _, _, outcome, series, _, count in self.recorder.user_time.take(until_s):
            counted[outcome or series] += count
        return counted
