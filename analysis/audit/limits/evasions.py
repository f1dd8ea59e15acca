"""Separates clients that try to evade a limit: whatever they try, they have the same quota as anyone else.

Nothing else is judged for them. Their refusals, and what those announce, may come from another limit, such as one for
unknown paths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadproof.scenario.traffic.usermix import EVADES

if TYPE_CHECKING:
    import pandas as pd

    from loadproof.scenario.target.limits import DeclaredLimit

_NO_BYPASS: Final = "no bypass"
_PROMISES: Final = {
    "path": _NO_BYPASS,
    "method": _NO_BYPASS,
    "connection": _NO_BYPASS,
    "headers": "spoofed headers count for nothing",
}
"""Promises by how clients try to evade a limit."""
EVASIONS: Final = tuple(dict.fromkeys(_PROMISES.values()))


def apart(rows: pd.DataFrame, limit: DeclaredLimit) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """A limit's rows of ordinary clients; and those of evading clients, by the promise that they test.

    If all clients share one limit, they can't be separated.
    """
    clients: dict[str, set[str]] = {}
    for way, promise in _PROMISES.items() if limit.key == "client" else ():
        is_so = rows["noted"].str.contains(f'"{EVADES}":"{way}"', regex=False).to_numpy(dtype=bool)
        clients.setdefault(promise, set()).update(rows["client"][is_so])
    evading = set().union(*clients.values())
    if not evading:
        return rows, {}
    others = {promise: rows[rows["client"].isin(own)] for promise, own in clients.items() if own}
    return rows[~rows["client"].isin(evading)], others
