"""Checks the lists that let clients in or keep them out, and says whom the limits don't concern."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from loadproof.analysis.audit.audit import MOST_ROWS, Evidence, Offence, promise_word

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from loadproof.scenario.limits import Access

NEEDED: Final = 10
_LIMITED: Final = 429
_SERVER_ERROR: Final = 500


def listed(journal: pd.DataFrame, texts: Sequence[str]) -> NDArray[np.bool_]:
    """The rows of clients within these networks; a client that is no address is in none."""
    networks = [ipaddress.ip_network(text) for text in texts]
    within = {}
    for client in journal["client"].unique():
        try:
            address = ipaddress.ip_address(str(client))
        except ValueError:
            continue
        within[client] = any(address in network for network in networks)
    return journal["client"].astype(object).map(within).eq(True).to_numpy()


def audit_lists(journal: pd.DataFrame, access: Access) -> tuple[pd.DataFrame, list[Evidence], list[Offence]]:
    """The rows of clients on no list; and for each list that has entries, whether it was kept to."""
    denied = listed(journal, access.deny)
    allowed = listed(journal, access.allow) & ~denied
    status = journal["status"].to_numpy()
    is_answered = (status > 0) & ((status < _SERVER_ERROR) | (status == access.status))
    evidence, offences = [], []
    for name, texts, mine, is_wrong in (
        ("deny list", access.deny, denied, status != access.status),
        ("allow list", access.allow, allowed, (status == access.status) | (status == _LIMITED)),
    ):
        if not texts:
            continue
        rows = journal[mine & is_answered & is_wrong]
        n = int((mine & is_answered).sum())
        what = "answered although it is on the deny list" if name == "deny list" else "refused although allowed"
        reason = f"{what} ({len(rows):,} times)" if len(rows) else f"{n:,} answers to clients on it"
        reason += "" if n >= NEEDED or len(rows) else f", needs {NEEDED}"
        evidence.append(Evidence(name, promise_word(broken=len(rows), n=n, needed=NEEDED), n, NEEDED, reason))
        shown = [{str(key): value for key, value in row.items()} for row in rows[:MOST_ROWS].to_dict("records")]
        offences += [Offence(name, what, (row,)) for row in shown]
    return journal[~denied & ~allowed], evidence, offences
