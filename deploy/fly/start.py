"""Started as root: gives the volume to the API's user, and becomes the API, as that user.

A new volume belongs to root. The API can't create its ledger there and ends at once, so that there would be no Machine
on which somebody could change the owner.
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
