"""Turns settings into the ASGI application: balance, transactions, health and webhooks behind limits and metrics."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, FastAPI, Header, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from payments_api import schemas
from payments_api.alerts.alerts import Alerts
from payments_api.alerts.sentry import start_sentry
from payments_api.auditing import auditing
from payments_api.backups.schedule.background import backups_of
from payments_api.bodylimit import BodyLimitMiddleware
from payments_api.bottleneck import BottleneckMiddleware
from payments_api.faults import FaultMiddleware
from payments_api.ledger import KeyInFlightError, KeyReusedError, Ledger, Order
from payments_api.metrics import SHARED_DIRECTORY, Metrics, MetricsMiddleware
from payments_api.problems import Problem, answer_with_problems
from payments_api.protection.middleware import ProtectionMiddleware
from payments_api.protection.protection import Protection
from payments_api.protection.redisurl import secrets_of_url
from payments_api.schemas import problems
from payments_api.settings import Fault, Settings, parse_faults
from payments_api.webhooks import PROVIDERS

if TYPE_CHECKING:
    from fastapi.routing import APIRoute
    from starlette.types import ASGIApp, Receive, Scope, Send


router = APIRouter()
_JSON_BODY: Final = {"content": {"application/json": {"schema": {"type": "object"}}}, "required": True}
_WEBHOOK_HEADERS: Final = [
    {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature", "x-telegram-bot-api-secret-token")
]


def _ledger(request: Request) -> Ledger:
    ledger: Ledger = request.app.state.ledger
    return ledger


@router.get("/health", tags=["health"], response_model=schemas.Health, responses=problems(429))
async def health() -> JSONResponse:
    """Liveness: touches nothing but memory."""
    return JSONResponse({"status": "ok"})


@router.get("/health/ready", tags=["health"], response_model=schemas.Health, responses=problems(503))
async def ready(request: Request) -> JSONResponse:
    """Readiness: the database answers."""
    if not _ledger(request).is_readable():
        raise Problem(503, "database-unavailable", "The database doesn't answer.")
    return JSONResponse({"status": "ready"})


@router.get("/balance/{account}", tags=["balance"], response_model=schemas.Balance, responses=problems(404, 429))
async def balance(account: str, request: Request) -> JSONResponse:
    """The balance of an account, in minor units."""
    fields = _ledger(request).account(account)
    if fields is None:
        raise Problem(404, "unknown-account", "There is no such account.")
    return JSONResponse(fields)


@router.post(
    "/transactions",
    tags=["transactions"],
    status_code=201,
    response_model=schemas.Transaction,
    responses={201: {"headers": schemas.CREATED_HEADERS}, **problems(400, 404, 409, 413, 422, 429)},
)
async def pay(
    order: schemas.Order, request: Request, idempotency_key: Annotated[str | None, Header(max_length=255)] = None
) -> JSONResponse:
    """Carry out an order once per key. Source: draft-ietf-httpapi-idempotency-key-header, section 2."""
    if not idempotency_key:
        raise Problem(400, "missing-key", "The header Idempotency-Key is missing.")
    try:
        result = await _ledger(request).pay(idempotency_key, Order(**order.model_dump()))
    except KeyReusedError:
        raise Problem(422, "key-reused", "This Idempotency-Key was already used with another order.") from None
    except KeyInFlightError:
        raise Problem(409, "key-in-flight", "The same order is being processed.") from None
    if result.status != 201:
        raise Problem(result.status, result.body["kind"], result.body["detail"])
    headers = {"Location": f"/transactions/{result.body['id']}"}
    if result.replayed:
        headers["Idempotent-Replayed"] = "true"
    return JSONResponse(result.body, status_code=201, headers=headers)


@router.get(
    "/transactions/{transaction_id}",
    tags=["transactions"],
    response_model=schemas.Transaction,
    responses=problems(404, 429),
)
async def transaction(transaction_id: str, request: Request) -> JSONResponse:
    """A payment as it was booked."""
    payment = _ledger(request).transaction(transaction_id)
    if payment is None:
        raise Problem(404, "unknown-transaction", "There is no such transaction.")
    return JSONResponse(payment)


@router.post(
    "/webhooks/{provider}",
    tags=["webhooks"],
    status_code=202,
    response_model=schemas.Delivery,
    responses={
        200: {"model": schemas.Delivery, "description": "Delivered before: nothing has changed."},
        **problems(400, 401, 404, 413, 429),
    },
    openapi_extra={"requestBody": _JSON_BODY, "parameters": _WEBHOOK_HEADERS},
)
async def webhook(provider: str, request: Request) -> JSONResponse:
    """Accept an event once, however often it is delivered; `standard` is Standard Webhooks."""
    event_id_of = PROVIDERS.get(provider)
    if event_id_of is None:
        raise Problem(404, "unknown-provider", "There is no such provider.")
    body = await request.body()
    event_id = event_id_of(request.headers, body, request.app.state.settings)
    is_new = await _ledger(request).take_webhook(provider, event_id, body)
    return JSONResponse({"id": event_id, "duplicate": not is_new}, status_code=202 if is_new else 200)


@router.get("/metrics", tags=["operation"], response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """For Prometheus, in its text format."""
    return Response(request.app.state.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")


class _Api(FastAPI):
    """FastAPI with middleware around the framework itself, so that a refused request never reaches it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._outermost: ASGIApp = super().__call__

    def put_around(self, middleware: Callable[[ASGIApp], ASGIApp]) -> None:
        """Wrap the application in `middleware`; the last one added is outermost."""
        self._outermost = middleware(self._outermost)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._outermost(scope, receive, send)


def make_app(settings: Settings, database: str) -> FastAPI:
    """The complete application; `database` is the path of the ledger's file, which must exist."""
    start_sentry(settings.alerts.sentry, secrets_of(settings))
    counted = Metrics()
    alerts = Alerts(settings.alerts, counted.alerts, directory=os.environ.get(SHARED_DIRECTORY))
    protection = Protection(settings.protection, metrics=counted.protection, on_problem=alerts.report)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.ledger = Ledger(database)
        async with alerts.running(database, counted.answers_and_errors), protection.running():
            with backups_of(database, settings.backups, alerts.report, metrics=counted.backups):
                yield
        app.state.ledger.close()

    app = _Api(title="Reference payments API", version="1", lifespan=lifespan, generate_unique_id_function=_name)
    app.state.settings = settings
    app.state.metrics = counted
    app.state.protection = protection
    app.include_router(router)
    if settings.audit:
        app.include_router(auditing)
    answer_with_problems(app)
    schemas.describe_problems(app)
    app.add_middleware(BodyLimitMiddleware)
    if settings.bottleneck_s:
        app.put_around(lambda inner: BottleneckMiddleware(inner, settings.bottleneck_s))
    app.put_around(lambda inner: ProtectionMiddleware(inner, protection))
    if settings.faults is not None:
        _allow_faults(app, dict(settings.faults))
    app.put_around(lambda inner: MetricsMiddleware(inner, counted))
    return app


def secrets_of(settings: Settings) -> list[str]:
    """Strings that must not appear in any message."""
    telegram = settings.alerts.telegram
    return [
        settings.webhook_secret,
        settings.telegram_secret,
        *([telegram.token] if telegram else []),
        *secrets_of_url(settings.protection.redis_url),
    ]


def _name(route: APIRoute) -> str:
    """Operation ids that read well in generated clients."""
    return route.name


def _allow_faults(app: _Api, faults: dict[str, Fault]) -> None:
    app.put_around(lambda inner: FaultMiddleware(inner, faults))

    @app.put("/faults", status_code=204, include_in_schema=False)
    async def set_faults(request: Request) -> Response:
        try:
            wanted = parse_faults(await request.body())
        except ValueError as error:
            raise Problem(422, "invalid-faults", str(error)) from None
        faults.clear()
        faults.update(wanted)
        return Response(status_code=204)
