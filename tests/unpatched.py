"""Imports Locust without its monkey-patching, which would change all sockets of the test process; import it first."""

import os
from unittest import mock

with mock.patch.dict(os.environ, LOCUST_SKIP_MONKEY_PATCH="1"):
    import locust

__all__ = ["locust"]
