"""A scenario's `faults:`: what goes wrong on purpose, when and for how long, in toxiproxy's terms.

Source: github.com/Shopify/toxiproxy, README, 'Toxics': the names of the network faults and their attributes.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from loadproof.scenario.strict import Bandwidth, Duration, Name, Share, Strict
from loadproof.scenario.target.commands import BACKUP

_Bytes = Annotated[int, Field(ge=1, le=1_000_000_000)]


class _Timed(Strict):
    """When and where a fault happens; it is undone at its end, and also when the run ends, however it ends."""

    is_of_network: ClassVar[bool] = False

    phase: Name = Field(description="The phase in which it begins.")
    at: Duration | None = Field(None, description="Time after the start of that phase; default: at its start.")
    lasts: Duration = Field(description="How long it lasts; then it is undone.")
    of: Literal["target", "redis"] = Field(
        "target", description="What fails: the target, or the Redis that was started for the run."
    )

    @property
    def text(self) -> str:
        return f"{self.fault} of {self.of}"  # type: ignore[attr-defined]  # each kind has its own


class Pause(_Timed):
    """Its processes are suspended (SIGSTOP), then resumed."""

    fault: Literal["pause"]


class Kill(_Timed):
    """It is killed (SIGKILL), and restarted at the end: a target with the same database, Redis empty."""

    fault: Literal["kill"]


class Restart(_Timed):
    """It is asked to stop (SIGTERM), and restarted at the end as after a kill."""

    fault: Literal["restart"]


class _OfNetwork(_Timed):
    """Applied by a proxy in front, to the bytes that pass through it."""

    is_of_network = True

    stream: Literal["downstream", "upstream"] = Field(
        "downstream", description="Direction: responses (downstream) or requests (upstream)."
    )
    toxicity: Share = Field(1.0, description="Share of the connections that are affected.")


class Latency(_OfNetwork):
    """Bytes arrive later."""

    fault: Literal["latency"]
    latency: Duration
    jitter: Duration | None = Field(None, description="Random variation of the latency, up to this much more or less.")


class LowBandwidth(_OfNetwork):
    """No more bytes per second than this."""

    fault: Literal["bandwidth"]
    rate: Bandwidth


class Timeout(_OfNetwork):
    """Nothing gets through."""

    fault: Literal["timeout"]
    timeout: Duration | None = Field(None, description="Close the connection after this time; default: never.")


class ResetPeer(_OfNetwork):
    """Connections are reset (RST)."""

    fault: Literal["reset_peer"]
    timeout: Duration | None = Field(
        None, description="How long after the fault begins or the connection opens; default: at once."
    )


class SlowClose(_OfNetwork):
    """When one side closes a connection, it is closed for the other side later."""

    fault: Literal["slow_close"]
    delay: Duration


class LimitData(_OfNetwork):
    """A connection is closed once this much has passed."""

    fault: Literal["limit_data"]
    bytes: _Bytes


class _OfCommand(_Timed):
    """Runs a command of the target file on this machine."""

    of: Literal["target"] = "target"


class Backup(_OfCommand):
    """The target file's command `backup` takes one; the reference API has its own."""

    fault: Literal["backup"]
    lasts: Duration = Field(description="Time limit; a backup that exceeds it is killed and counts as failed.")

    @property
    def command(self) -> str:
        return BACKUP


class NamedCommand(_OfCommand):
    """A command of the target file is run."""

    fault: Literal["command"]
    name: Name = Field(description="The command to run, one of the target file's `commands`.")
    undo: Name | None = Field(None, description="The command that undoes it at the end; default: none.")
    lasts: Duration = Field(description="Time limit; then `undo` is run.")

    @property
    def command(self) -> str:
        return self.name

    @property
    def text(self) -> str:
        return f"command {self.name}"


CommandFault = Backup | NamedCommand
NetworkFault = Latency | LowBandwidth | Timeout | ResetPeer | SlowClose | LimitData
Fault = Annotated[
    Pause | Kill | Restart | CommandFault | NetworkFault,
    Field(discriminator="fault"),
]
