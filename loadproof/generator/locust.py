"""Runs Locust in this process: like `python -m locust`, but with settings from the command line only."""

from __future__ import annotations

from locust.main import main

from loadproof.generator.guards.hostguard import HostGuard
from loadproof.generator.guards.lastwords import say_what_ended_it, say_who_leaves_at_once
from loadproof.generator.guards.leftovers import end_children
from loadproof.generator.guards.maskedoutput import mask_outputs
from loadproof.internals.locust import ignore_setting_files
from loadproof.users import entrance
from loadproof.users.post import THIS_PROCESS

if __name__ == "__main__":
    # Before Locust's loggers get hold of the streams.
    THIS_PROCESS.masks.append(mask_outputs())
    say_who_leaves_at_once()
    ignore_setting_files()
    HostGuard().install()
    # Importing our user classes does this, too, but none may be loaded, and a web UI's form can name any host.
    entrance.stand_guard()
    try:
        main()
    except BaseException as error:
        say_what_ended_it(error)
        raise
    finally:
        end_children()
