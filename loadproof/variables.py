"""Environment variables that tell Locust's processes what to do, and those that are kept from them."""

from typing import Final

RUN: Final = "LOADPROOF_RUN"
"""The run directory, whose manifest holds scenario, seed and phases."""
PROGRESS_FD: Final = "LOADPROOF_PROGRESS_FD"
"""A descriptor for lines of JSON that tell how the run goes."""
SECRET: Final = "LOADPROOF_SECRET"  # noqa: S105 - the variable's name
"""What master and workers know and nobody else does; users set it where workers come from elsewhere."""
SECRET_FILE: Final = "LOADPROOF_SECRET_FILE"  # noqa: S105 - the variable's name
"""A file that holds it; for users alone."""
LISTENER_FD: Final = "LOADPROOF_LISTENER_FD"
"""The descriptor of a socket on which the master listens for its workers."""
NOTIFY_SECRET: Final = "LOADPROOF_NOTIFY_SECRET"  # noqa: S105 - the variable's name
"""The key by which webhooks that are told verdicts know that they come from us, whsec_ and base64."""
TELEGRAM_TOKEN: Final = "LOADPROOF_TELEGRAM_TOKEN"  # noqa: S105 - the variable's name
"""The token of the bot that tells verdicts to a chat."""
TELEGRAM_API_URL: Final = "LOADPROOF_TELEGRAM_API_URL"
"""The base URL of Telegram's Bot API, if it is not its own."""
FOR_NO_CHILD: Final = frozenset({NOTIFY_SECRET, TELEGRAM_TOKEN, TELEGRAM_API_URL})
"""Only the process that was started uses them."""
WEBHOOK_SECRET: Final = "WEBHOOK_SECRET"  # noqa: S105 - the variable's name
"""The key of webhook signatures; the target reads the same variable."""
LOCUSTS_OWN: Final = "LOCUST_"
"""What the names of Locust's own settings begin with: none is handed on."""
