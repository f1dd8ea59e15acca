"""Environment variables that tell Locust's processes what to do, and those that are withheld from them."""

from typing import Final

RUN: Final = "LOADPROOF_RUN"
"""The run directory, whose manifest holds scenario, seed and phases."""
PROGRESS_FD: Final = "LOADPROOF_PROGRESS_FD"
"""A descriptor for lines of JSON that report progress."""
SECRET: Final = "LOADPROOF_SECRET"  # noqa: S105 - the variable's name
"""The secret that only master and workers know; users set it if workers run on other machines."""
SECRET_FILE: Final = "LOADPROOF_SECRET_FILE"  # noqa: S105 - the variable's name
"""A file that contains the secret; only set by users."""
BEGINS_AT: Final = "LOADPROOF_BEGINS_AT"
"""Unix time of second 0 of a run that begins together with another one; it begins later if it isn't ready by then."""
LISTENER_FD: Final = "LOADPROOF_LISTENER_FD"
"""The descriptor of the socket on which the master listens for its workers."""
MARK: Final = "LOADPROOF_MARK"
"""A mark on a process of ours, inherited by everything it starts: whatever outlives it is found by it and ended."""
PARENT: Final = "LOADPROOF_PARENT"
"""Id of the process that started Locust's: they end when it does, even if it is gone before they first look."""
NOTIFY_SECRET: Final = "LOADPROOF_NOTIFY_SECRET"  # noqa: S105 - the variable's name
"""The key that proves to notified webhooks that the verdict comes from us: whsec_ and base64."""
TELEGRAM_TOKEN: Final = "LOADPROOF_TELEGRAM_TOKEN"  # noqa: S105 - the variable's name
"""The token of the bot that posts verdicts to a chat."""
TELEGRAM_API_URL: Final = "LOADPROOF_TELEGRAM_API_URL"
"""The base URL of Telegram's Bot API, if it isn't Telegram's own."""
FOR_NO_CHILD: Final = frozenset({NOTIFY_SECRET, TELEGRAM_TOKEN, TELEGRAM_API_URL})
"""Used only by the process itself and withheld from its children."""
WEBHOOK_SECRET: Final = "WEBHOOK_SECRET"  # noqa: S105 - the variable's name
"""The key of webhook signatures; the target reads the same variable."""
LOCUSTS_OWN: Final = "LOCUST_"
"""The prefix of Locust's own settings: none is passed on."""
