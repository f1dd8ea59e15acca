"""Checks the deny and allow lists, the bot check and their order, and finds the requests that bypass the limits.

The order is: deny list, allow list, bots, limits. A request refused ahead of the limits uses up none of them.
"""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from loadproof.analysis.audit.audit import MOST_ROWS, Evidence, Offence, promise_word
from loadproof.scenario.traffic.usermix import USER_AGENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from loadproof.scenario.target.limits import Access, DeclaredLimit

NEEDED: Final = 10
_REMEDY: Final = "let users come from such `addresses`, or with such `user_agents`, and more often than limits allow"
_LIMITED: Final = 429
_SERVER_ERROR: Final = 500


class _Promise(NamedTuple):
    name: str
    rows: NDArray[np.bool_]
    """The rows that test it."""
    is_wrong: NDArray[np.bool_]
    what: str


def listed(journal: pd.DataFrame, texts: Sequence[str]) -> NDArray[np.bool_]:
    """Which rows have clients within these networks; a client that isn't an address is in none."""
    networks = [ipaddress.ip_network(text) for text in texts]
    within = {}
    for client in journal["client"].unique():
        try:
            address = ipaddress.ip_address(str(client))
        except ValueError:
            continue
        within[client] = any(address in network for network in networks)
    return journal["client"].astype(object).map(within).eq(True).to_numpy()


def audit_access(
    journal: pd.DataFrame, access: Access, limits: Mapping[str, DeclaredLimit]
) -> tuple[pd.DataFrame, list[Evidence], list[Offence]]:
    """The rows that limits decide about; and the evidence and offences for the lists, the bot check and their order."""
    denied, on_allow_list = listed(journal, access.deny), listed(journal, access.allow)
    is_bot = _bots(journal, access)
    status = journal["status"].to_numpy()
    own = [access.status, *([access.bots.status] if access.bots else [])]
    is_answered = (status > 0) & ((status < _SERVER_ERROR) | np.isin(status, own))
    evidence, offences = [], []
    for promise in _promises(journal, access, limits, denied=denied, on_allow_list=on_allow_list, is_bot=is_bot):
        mine = promise.rows & is_answered
        rows, n = journal[mine & promise.is_wrong], int(mine.sum())
        reason = f"{promise.what} ({len(rows):,} times)" if len(rows) else f"{n:,} answers"
        reason += "" if n >= NEEDED or len(rows) else f", needs {NEEDED}: {_REMEDY}"
        evidence.append(Evidence(promise.name, promise_word(broken=len(rows), n=n, needed=NEEDED), n, NEEDED, reason))
        shown = [{str(key): value for key, value in row.items()} for row in rows[:MOST_ROWS].to_dict("records")]
        offences += [Offence(promise.name, promise.what, (row,)) for row in shown]
    return journal[~denied & ~on_allow_list & ~is_bot], evidence, offences


def _promises(
    journal: pd.DataFrame,
    access: Access,
    limits: Mapping[str, DeclaredLimit],
    *,
    denied: NDArray[np.bool_],
    on_allow_list: NDArray[np.bool_],
    is_bot: NDArray[np.bool_],
) -> Iterator[_Promise]:
    """The promises that follow from what is declared."""
    status = journal["status"].to_numpy()
    allowed = on_allow_list & ~denied
    limited = journal["request"].map({name: limit.status for name, limit in limits.items()}).fillna(_LIMITED).to_numpy()
    is_limited, is_over = status == limited, _over(journal, limits)
    if access.deny:
        is_let_in = status != access.status
        yield _Promise("deny list", denied, is_let_in, "answered although it is on the deny list")
        if any(_overlaps(one, access.allow) for one in access.deny):
            what = "let in by the allow list although it is on the deny list"
            yield _Promise("deny list before allow list", denied & on_allow_list, is_let_in, what)
        what = "refused by a limit although it is on the deny list"
        yield _Promise("deny list before limits", denied & is_over, is_limited, what)
    if access.allow:
        # Refusals by the bot check have a separate promise.
        is_refused = is_limited | ((status == access.status) & ~is_bot)
        yield _Promise("allow list", allowed, is_refused, "refused although allowed")
        what = "refused by a limit although it is on the allow list"
        yield _Promise("allow list before limits", allowed & is_over, is_limited, what)
    if access.bots is not None:
        bots = is_bot & ~denied & ~allowed
        yield _Promise("bot check", bots, status != access.bots.status, "answered although it is a bot")
        what = "refused by a limit although it is a bot"
        yield _Promise("bot check before limits", bots & is_over, is_limited, what)
        if access.allow:
            what = "refused as a bot although it is on the allow list"
            yield _Promise("allow list before bot check", allowed & is_bot, status == access.bots.status, what)


def _bots(journal: pd.DataFrame, access: Access) -> NDArray[np.bool_]:
    """Which rows have a User-Agent that the bot check should refuse."""
    if access.bots is None:
        return np.zeros(len(journal), dtype=bool)
    parts = [part.casefold() for part in access.bots.user_agents]

    def is_one(text: str) -> bool:
        agent = str(json.loads(text).get(USER_AGENT, "")) if f'"{USER_AGENT}"' in text else ""
        return any(part in agent.casefold() for part in parts)

    # Usually there are only a few distinct texts.
    return journal["noted"].map({text: is_one(text) for text in journal["noted"].unique()}).to_numpy(dtype=bool)


def _over(journal: pd.DataFrame, limits: Mapping[str, DeclaredLimit]) -> NDArray[np.bool_]:
    """Which rows have clients that got as many answers of the same name as their limit, within the period before."""
    is_over = np.zeros(len(journal), dtype=bool)
    for name, limit in limits.items():
        own = journal[journal["request"] == name].sort_values("sent_us", kind="stable")
        since_us = own["sent_us"] - own.groupby("client", sort=False, observed=True)["ended_us"].shift(limit.size)
        is_over[journal.index.get_indexer(own.index[since_us.between(0, limit.period * 1e6).to_numpy()])] = True
    return is_over


def _overlaps(text: str, others: Sequence[str]) -> bool:
    network = ipaddress.ip_network(text)
    return any(
        network.overlaps(other) for other in map(ipaddress.ip_network, others) if network.version == other.version
    )
