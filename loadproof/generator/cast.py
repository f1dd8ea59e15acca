"""What Locust finds in a locustfile, in the form in which one process passes it to another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Client = Literal["loadproof's HttpUser", "HttpUser", "FastHttpUser", "a client_pool of its own", "a client of its own"]


@dataclass(frozen=True)
class Role:
    """A user class that could be given virtual users."""

    name: str
    is_api_user: bool
    endpoint: str | None
    has_tasks: bool
    has_task_sets: bool
    has_wait_time: bool
    client: Client = "a client of its own"
    """What sends its requests."""
    host: str = ""
    """The base URL that the class itself names."""
    tags: list[list[str] | None] = field(default_factory=list)
    """Of each of its tasks, also those of nested sets; None: of a set that no tags leave out."""
    fixed_count: int = 0
    """Users that there are of it whatever the number of all; 0: by its weight."""
    own_loops: list[str] = field(default_factory=list)
    """Methods in place of Locust's that run its tasks, or whatever else."""
    never_run: dict[str, str] = field(default_factory=dict)
    """Its methods that Locust would call without effect, and what each of them is."""


@dataclass(frozen=True)
class Locustfile:
    """What Locust finds in one file of users."""

    stem: str
    """The file's name without `.py`, which is also its endpoint."""
    error: str = ""
    """The last line of the traceback, if it can't be loaded."""
    has_shape: bool = False
    stages: list[dict[str, Any]] = field(default_factory=list)
    """The shape of somebody's own locustfile, as a scenario's phases."""
    shape_error: str = ""
    """Why it can't be one."""
    shape_takes_options: bool = False
    """It goes by Locust's --users, --spawn-rate and --run-time."""
    shape_chooses: bool = False
    """It says itself which user classes there are, and not always all."""
    requests: list[str] = field(default_factory=list)
    """Names that its calls give to requests, as far as they are written out."""
    feeders: list[str] = field(default_factory=list)
    """Names of those that it takes rows of, as far as they are written out."""
    has_other_requests: bool = False
    """Some names are worked out when it runs."""
    roles: list[Role] = field(default_factory=list)
