"""All rules, in the order in which a reader of the configuration meets the options."""

from __future__ import annotations

from ..schema import Config
from .channels import check_channels
from .clients import check_clients
from .consumers import check_consumers
from .engines import check_engines
from .listeners import check_listeners
from .proxies import check_proxies, check_rpc


def validate(config: Config) -> None:
    """Checks everything that would stop a server with this configuration, apart from what the network answers.

    Raises:
        ConfigError: the first mistake; the text names option and value.
    """
    check_listeners(config)
    check_engines(config)
    check_clients(config)
    check_proxies(config)
    check_channels(config)
    check_rpc(config)
    check_consumers(config)
