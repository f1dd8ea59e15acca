"""Shows the whole ledger to an auditor: all balances at one moment, an account's payments, an event's effects.

Only with AUDIT=on, because anyone who can send a request can read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

if TYPE_CHECKING:
    from payments_api.ledger import Ledger

auditing = APIRouter(prefix="/audit", include_in_schema=False)
_ACCOUNTS = "SELECT id AS account, balance, currency FROM accounts"
_PAYMENTS = "SELECT id, debit, credit, amount, currency, created_at FROM transactions WHERE debit = ? OR credit = ?"
_EFFECTS = "SELECT COUNT(*) AS effects FROM webhook_effects WHERE event_id = ?"


@auditing.get("/accounts")
async def accounts(request: Request) -> JSONResponse:
    """All balances at one moment: a single statement reads a consistent state of the database."""
    return JSONResponse({"accounts": _rows(request, _ACCOUNTS)})


@auditing.get("/payments/{account}")
async def payments(account: str, request: Request) -> JSONResponse:
    """All payments from or to the account."""
    return JSONResponse({"payments": _rows(request, _PAYMENTS, account, account)})


@auditing.get("/effects/{event}")
async def effects(event: str, request: Request) -> JSONResponse:
    """How many times the event took effect; 0 if it was never accepted."""
    return JSONResponse({"id": event, **_rows(request, _EFFECTS, event)[0]})


def _rows(request: Request, query: str, *values: str) -> list[dict[str, Any]]:
    ledger: Ledger = request.app.state.ledger
    return ledger.rows(query, *values)
