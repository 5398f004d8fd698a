"""Settings of logs, metrics, health and traces."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from centripetal.model.duration import Duration


class LogSettings(Struct, frozen=True, kw_only=True):
    """What is logged and where to (`log.*`)."""

    level: Annotated[
        str,
        Meta(
            description="Least severe level that is logged: none, trace, debug, info, warn, error or fatal; unknown = info."
        ),
    ] = "info"
    file: Annotated[str, Meta(description="Append logs to this file instead of the console.")] = ""


class PrometheusSettings(Struct, frozen=True, kw_only=True):
    """The metrics endpoint (`prometheus.*`)."""

    enabled: Annotated[bool, Meta(description="Expose metrics.")] = False
    handler_prefix: Annotated[str, Meta(description="URL path this handler is mounted at.")] = "/metrics"
    instrument_http_handlers: Annotated[bool, Meta(description="Count HTTP requests by path/method/status.")] = False
    recovered_publications_histogram: Annotated[bool, Meta(description="Add the recovered-publications histogram.")] = (
        False
    )
    native_histograms: Annotated[bool, Meta(description="Native histogram schema; drops Summaries.")] = False


class HealthSettings(Struct, frozen=True, kw_only=True):
    """The liveness endpoint (`health.*`)."""

    enabled: Annotated[bool, Meta(description="Expose liveness endpoint.")] = False
    handler_prefix: Annotated[str, Meta(description="URL path this handler is mounted at.")] = "/health"


class DebugSettings(Struct, frozen=True, kw_only=True):
    """Profiling endpoints (`debug.*`)."""

    enabled: Annotated[bool, Meta(description="Serve profiling endpoints.")] = False
    handler_prefix: Annotated[str, Meta(description="URL path this handler is mounted at.")] = "/debug/pprof"


class OpenTelemetrySettings(Struct, frozen=True, kw_only=True):
    """Export of traces (`opentelemetry.*`)."""

    enabled: Annotated[bool, Meta(description="Export traces via OTLP (OTEL_* env vars).")] = False
    api: Annotated[bool, Meta(description="Trace HTTP/gRPC API handlers.")] = False
    consuming: Annotated[bool, Meta(description="Trace consumers.")] = False
    google_cloud_adc_auth: Annotated[bool, Meta(description="Authenticate the exporter with Google ADC.")] = False


class GraphiteSettings(Struct, frozen=True, kw_only=True):
    """Export of metrics to Graphite (`graphite.*`)."""

    enabled: Annotated[bool, Meta(description="Push metrics to Graphite.")] = False
    host: Annotated[str, Meta(description="Graphite host.")] = "localhost"
    port: Annotated[int, Meta(description="Graphite port.")] = 2003
    prefix: Annotated[str, Meta(description="Metric path prefix.")] = "centrifugo"
    interval: Annotated[Duration, Meta(description="Push period.")] = 10.0
    tags: Annotated[bool, Meta(description="Use tagged metric format.")] = False


class UsageStatsSettings(Struct, frozen=True, kw_only=True):
    """Usage statistics; this server never sends any (`usage_stats.*`)."""

    disabled: Annotated[bool, Meta(description="Accepted for compatibility; usage statistics are never sent.")] = False
