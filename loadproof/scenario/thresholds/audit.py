"""Thresholds that name an audit of the target's promises."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from loadproof.scenario.strict import Strict

Audit = Literal["limits", "ledger", "webhooks", "backup"]
ONE_IN: Final = 5_000
"""By default, an audit has to detect the loss of one in this many payments or events."""


class AuditThreshold(Strict):
    """Passes if an audit of the target's promises finds no violation; the run then keeps a journal of all requests."""

    audit: Audit = Field(
        description="Which promises to audit: the declared limits, the ledger, the webhooks, or a backup."
    )
    detects: Annotated[str, StringConstraints(pattern=r"^1 in [1-9][0-9]{0,8}$")] | None = Field(
        None,
        description="The rarest loss of payments or events that must be detected (not for limits); "
        f"default: 1 in {ONE_IN}.",
        examples=["1 in 1000"],
    )

    @property
    def one_in(self) -> int:
        return int(self.detects.removeprefix("1 in ")) if self.detects else ONE_IN
