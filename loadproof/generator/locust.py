"""The process that is Locust: like `python -m locust`, but only with the settings of its command line."""

from __future__ import annotations

from locust.main import main

from loadproof.internals.locust import ignore_setting_files

if __name__ == "__main__":
    ignore_setting_files()
    main()
