"""A process's place in a run: its clock, and the workload assigned to it.

`loadproof run` assigns the workload. In plain `locust -f locustfiles` there is none: users keep the default pace, and
only Locust's own statistics are recorded.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, cast

from loadproof.recording.clock import SYSTEM_CLOCK
from loadproof.recording.recorder import Recorder
from loadproof.recording.requestlistener import RequestListener
from loadproof.users.workload import REFERENCE, Workload, masks_of

if TYPE_CHECKING:
    from loadproof.recording.clock import Clock
    from loadproof.rundir.manifest import Manifest
    from loadproof.scenario.masking.masking import Masker
    from loadproof.users.clients import Connect


class Post:
    """One per process; a simulation has several."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK, connect: Connect | None = None) -> None:
        self.clock = clock
        self._connect = connect
        self._workload: Workload | None = None
        self.masks: list[Masker] = []
        """Masks of the process's own output, such as its log."""

    def workload(self) -> Workload:
        """The assigned workload, or plain Locust's."""
        if self._workload is None:
            recorder, run_id = RequestListener(), secrets.token_hex()
            self._workload = Workload(
                None,
                seed=0,
                recorder=recorder,
                run_id=run_id,
                clock=self.clock,
                connect=self._connect,
                masks=[*masks_of(REFERENCE), *self.masks],
            )
        return self._workload

    @property
    def recorder(self) -> Recorder:
        """The recorder of the assigned run; plain Locust has none."""
        return cast("Recorder", self.workload().recorder)

    def assign(
        self, manifest: Manifest, *, rank: int, workers: int, recorder: RequestListener | None = None
    ) -> Workload:
        """Make this process the worker with this rank (from 0) in the run; `recorder` replaces the usual one."""
        (mask,) = masks_of(manifest.target)
        self._workload = Workload(
            manifest.scenario,
            seed=manifest.seed,
            recorder=recorder or self._new_recorder(manifest, rank, mask),
            run_id=manifest.run_id,
            target=manifest.target,
            rank=rank,
            workers=workers,
            clock=self.clock,
            connect=self._connect,
            masks=[mask, *self.masks],
        )
        return self._workload

    def _new_recorder(self, manifest: Manifest, rank: int, mask: Masker) -> Recorder:
        return Recorder(
            manifest.phases,
            deadline_s=manifest.scenario.deadline,
            group_deadlines_s={name: group.deadline for name, group in manifest.scenario.groups.items()},
            worker=str(rank + 1),
            clock=self.clock,
            mask=mask,
            journals=manifest.scenario.records_requests,
        )

    def leave(self) -> None:
        """Forget the assigned workload."""
        self._workload = None


THIS_PROCESS: Final = Post()
"""For users that Locust creates: it can't pass them a post."""
