"""What operators and load balancers ask for: health, metrics, connection/init. Not hot, so Starlette serves it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from ..transports.origins import Origins

if TYPE_CHECKING:
    from ..config import Config

ANY_METHOD = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def path_of(prefix: str) -> str:
    """Returns the path of an endpoint from its option `handler_prefix`."""
    return prefix.rstrip("/") or "/"


def internal_routes(config: Config, render_metrics: Callable[[], Awaitable[bytes]]) -> list[BaseRoute]:
    """Returns the routes of the internal listener: health and metrics, as far as they are enabled.

    Args:
        config: the configuration.
        render_metrics: returns the metrics in the Prometheus text format.
    """
    routes: list[BaseRoute] = []
    if config.health.enabled:

        async def health(request: Request) -> Response:
            return Response("" if request.method == "HEAD" else "{}", media_type="application/json")

        routes.append(Route(path_of(config.health.handler_prefix), health, methods=ANY_METHOD))
    if config.prometheus.enabled:

        async def metrics(request: Request) -> Response:
            return Response(await render_metrics(), headers={"Content-Type": METRICS_TYPE})

        routes.append(Route(path_of(config.prometheus.handler_prefix), metrics, methods=["GET"]))
    return routes


def external_routes(config: Config) -> list[BaseRoute]:
    """Returns the routes of the external listener that are not hot: connection/init, if enabled."""
    if not config.init.enabled:
        return []
    origins = Origins(config.client.allowed_origins)

    async def init(request: Request) -> Response:
        response = JSONResponse({}, headers={"Content-Type": "application/json; charset=utf-8"})
        origin = request.headers.get("Origin")
        if origin is not None and origins.allows(origin):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Allow-Credentials"] = "true"
        return response

    return [Route(path_of(config.init.handler_prefix), init, methods=["GET"])]


async def not_found(request: Request, error: Exception) -> Response:
    """Answers for every other path."""
    return PlainTextResponse("404 page not found\n", 404)


async def method_not_allowed(request: Request, error: Exception) -> Response:
    """Answers for a method that a path does not take: no body, as everywhere on the front door."""
    return Response(status_code=405, headers=error.headers if isinstance(error, HTTPException) else None)


def application(routes: list[BaseRoute]) -> Starlette:
    """Returns the ASGI application with these routes."""
    app = Starlette(routes=routes, exception_handlers={404: not_found, 405: method_not_allowed})
    app.router.redirect_slashes = False
    return app
