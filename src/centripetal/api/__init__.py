"""The server API: what a backend does with channels and connections."""

from .http import HttpApi
from .methods import Methods
from .settings import GrpcApiSettings, HttpApiSettings, SwaggerSettings

__all__ = ["GrpcApiSettings", "HttpApi", "HttpApiSettings", "Methods", "SwaggerSettings"]
