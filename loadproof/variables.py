"""Environment variables by which the runner tells its Locust process what to do; nothing else passes between them."""

from typing import Final

RUN: Final = "LOADPROOF_RUN"
"""The run directory, whose manifest holds scenario, seed and phases."""
PROGRESS_FD: Final = "LOADPROOF_PROGRESS_FD"
"""A descriptor for lines of JSON that tell how the run goes."""
WEBHOOK_SECRET: Final = "WEBHOOK_SECRET"  # noqa: S105 - the variable's name
"""The key of webhook signatures; the target reads the same variable."""
