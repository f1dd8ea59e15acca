"""What Locust finds in a locustfile, in a form that one process can pass to another."""

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
    """The client that sends its requests."""
    host: str = ""
    """The base URL set in the class."""
    tags: list[list[str] | None] = field(default_factory=list)
    """The tags of each task, also in nested task sets; None for a set that tags never exclude."""
    fixed_count: int = 0
    """Number of users of this class, whatever the total; 0: by weight."""
    replaced_loops: list[str] = field(default_factory=list)
    """Methods that replace those with which Locust runs tasks."""
    never_run: dict[str, str] = field(default_factory=dict)
    """Methods that Locust would call without effect, and what each of them is, such as a coroutine."""


@dataclass(frozen=True)
class Locustfile:
    """What Locust finds in one file of users."""

    stem: str
    """The file's name without `.py`; for our own files also the endpoint."""
    error: str = ""
    """The last line of the traceback, if it can't be loaded."""
    has_shape: bool = False
    stages: list[dict[str, Any]] = field(default_factory=list)
    """The shape as a scenario's phases."""
    shape_error: str = ""
    """Why the shape can't be turned into phases."""
    shape_takes_options: bool = False
    """The shape uses Locust's --users, --spawn-rate and --run-time."""
    shape_chooses: bool = False
    """The shape itself chooses user classes, and not always all of them."""
    requests: list[str] = field(default_factory=list)
    """Names given to requests, as far as they are literals."""
    feeders: list[str] = field(default_factory=list)
    """Names of the feeders it takes rows from, as far as they are literals."""
    has_other_requests: bool = False
    """There may be requests with names only known at run time."""
    roles: list[Role] = field(default_factory=list)
