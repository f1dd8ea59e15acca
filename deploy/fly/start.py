"""Started as root: gives the volume to the API's user, and then runs the API as that user.

A new volume belongs to root. Without this, the API couldn't create its ledger and would end at once, so there would be
no running Machine on which to change the owner.
"""

import os
import sys
from pathlib import Path

USER = 10_001
os.chown(Path(os.environ["DATABASE"]).parent, USER, USER)
os.setgroups([])
os.setgid(USER)
os.setuid(USER)
os.execvp("python", ["python", "-m", "payments_api", *sys.argv[1:]])  # noqa: S606, S607 - no shell; the image's own
