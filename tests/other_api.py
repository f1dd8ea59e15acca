"""A second payments API with its own vocabulary; docs/examples/fly-app.yaml describes it."""

from __future__ import annotations

import hashlib
import hmac
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import uvicorn
from fastapi import FastAPI, HTTPException, Request

TOKEN, SIGNING_KEY = "t0ken-of-the-tests", "whsec_of_the_tests"
app = FastAPI()
balances = {f"acc_{number}": Decimal(10_000) for number in range(1001, 1007)}
payments: dict[str, dict[str, object]] = {}


def authorize(request: Request) -> None:
    if request.headers.get("authorization") != f"Bearer {TOKEN}":
        raise HTTPException(401)


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "up"}


@app.get("/v1/accounts/{account}/balance")
async def balance(account: str, request: Request) -> dict[str, object]:
    authorize(request)
    if account not in balances:
        raise HTTPException(404)
    return {"accountId": account, "available": {"amount": f"{balances[account]:.2f}"}}


@app.post("/v1/payments", status_code=201)
async def pay(request: Request) -> dict[str, object]:
    authorize(request)
    order = await request.json()
    value = Decimal(order["amount"]["value"])
    balances[order["from"]] -= value
    balances[order["to"]] += value
    paid = order | {"id": str(uuid.uuid4()), "state": "booked"}
    payments[paid["id"]] = paid
    return paid


@app.get("/v1/payments/{payment}")
async def payment(payment: str, request: Request) -> dict[str, object]:
    authorize(request)
    return payments[payment]


@app.post("/hooks/stripe")
async def stripe(request: Request) -> dict[str, bool]:
    parts = dict(part.split("=") for part in request.headers["stripe-signature"].split(","))
    signed = parts["t"].encode() + b"." + await request.body()
    wanted = hmac.new(SIGNING_KEY.encode(), signed, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(wanted, parts["v1"]) or abs(time.time() - int(parts["t"])) > 300:
        raise HTTPException(400)
    return {"received": True}


@contextmanager
def running_other_api() -> Iterator[str]:
    """Run the API in a separate process; yields its base URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.other_api"], stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


class Server(uvicorn.Server):
    async def startup(self, sockets=None) -> None:
        await super().startup(sockets)
        sys.stdout.write(f"http://127.0.0.1:{self.servers[0].sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    Server(uvicorn.Config(app, port=0, log_level="warning", timeout_keep_alive=75)).run()
