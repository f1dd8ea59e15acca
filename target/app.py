"""Settings to the ASGI application: balance, transactions, health and webhooks behind limits and metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, FastAPI, Header, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from target.faults import FaultMiddleware
from target.ledger import KeyInFlightError, KeyReusedError, Ledger, Order
from target.limits import LimitMiddleware
from target.metrics import Metrics, MetricsMiddleware
from target.problems import Problem, answer_with_problems
from target.settings import Fault, Settings, parse_faults
from target.webhooks import PROVIDERS, verified_event_id

if TYPE_CHECKING:
    from starlette.types import ASGIApp

AccountId = Annotated[str, Field(min_length=1, max_length=64)]


class OrderBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    debit: AccountId
    credit: AccountId
    amount: Annotated[int, Field(gt=0, le=10**12, description="Minor units.")]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


router = APIRouter()


def _ledger(request: Request) -> Ledger:
    ledger: Ledger = request.app.state.ledger
    return ledger


@router.get("/health")
async def health() -> JSONResponse:
    """Liveness: touches nothing but memory."""
    return JSONResponse({"status": "ok"})


@router.get("/health/ready")
async def ready(request: Request) -> JSONResponse:
    """Readiness: the database answers."""
    if not _ledger(request).is_readable():
        raise Problem(503, "database-unavailable", "The database doesn't answer.")
    return JSONResponse({"status": "ready"})


@router.get("/balance/{account}")
async def balance(account: str, request: Request) -> JSONResponse:
    found = _ledger(request).account(account)
    if found is None:
        raise Problem(404, "unknown-account", "There is no such account.")
    return JSONResponse(found)


@router.post("/transactions", status_code=201)
async def pay(
    order: OrderBody, request: Request, idempotency_key: Annotated[str | None, Header(max_length=255)] = None
) -> JSONResponse:
    """Carry an order out once per key. Source: draft-ietf-httpapi-idempotency-key-header, section 2."""
    if not idempotency_key:
        raise Problem(400, "missing-key", "The header Idempotency-Key is missing.")
    try:
        result = await _ledger(request).pay(idempotency_key, Order(**order.model_dump()))
    except KeyReusedError:
        raise Problem(422, "key-reused", "This Idempotency-Key came with another order before.") from None
    except KeyInFlightError:
        raise Problem(409, "key-in-flight", "The same order is being carried out.") from None
    if result.status != 201:
        raise Problem(result.status, result.body["kind"], result.body["detail"])
    headers = {"Location": f"/transactions/{result.body['id']}"}
    if result.replayed:
        headers["Idempotent-Replayed"] = "true"
    return JSONResponse(result.body, status_code=201, headers=headers)


@router.get("/transactions/{transaction_id}")
async def transaction(transaction_id: str, request: Request) -> JSONResponse:
    found = _ledger(request).transaction(transaction_id)
    if found is None:
        raise Problem(404, "unknown-transaction", "There is no such transaction.")
    return JSONResponse(found)


@router.post("/webhooks/{provider}", status_code=202)
async def webhook(provider: str, request: Request) -> JSONResponse:
    if provider not in PROVIDERS:
        raise Problem(404, "unknown-provider", "There is no such provider.")
    body = await request.body()
    event_id = verified_event_id(request.headers, body, request.app.state.settings.webhook_secret)
    is_new = await _ledger(request).take_webhook(provider, event_id, body)
    return JSONResponse({"id": event_id, "duplicate": not is_new}, status_code=202 if is_new else 200)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    return Response(request.app.state.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")


def make_app(settings: Settings, database: str) -> ASGIApp:
    """The whole application; `database` is the ledger's file."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.ledger = Ledger(database, settings.accounts)
        yield
        app.state.ledger.close()

    app = FastAPI(title="Reference payments API", lifespan=lifespan)
    app.state.settings = settings
    app.state.metrics = Metrics()
    app.include_router(router)
    answer_with_problems(app)
    if settings.limiter != "off":
        app.add_middleware(LimitMiddleware, settings=settings, metrics=app.state.metrics)
    if settings.faults is not None:
        _allow_faults(app, dict(settings.faults))
    app.add_middleware(MetricsMiddleware, metrics=app.state.metrics)
    return app


def _allow_faults(app: FastAPI, faults: dict[str, Fault]) -> None:
    app.add_middleware(FaultMiddleware, faults=faults)

    @app.put("/faults", status_code=204)
    async def set_faults(request: Request) -> Response:
        try:
            wanted = parse_faults(await request.body())
        except ValueError as error:
            raise Problem(422, "invalid-faults", str(error)) from None
        faults.clear()
        faults.update(wanted)
        return Response(status_code=204)
