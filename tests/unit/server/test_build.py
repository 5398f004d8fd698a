"""What of a configuration a node is given."""

from __future__ import annotations

import pytest

from centripetal.config import Config
from centripetal.node.settings import SharedPollSettings
from centripetal.server.build import share_of_polls


@pytest.mark.parametrize(
    ("limit", "workers", "share"), [(0, 1, 64), (0, 2, 32), (10, 1, 10), (10, 3, 3), (2, 8, 1), (0, 128, 1)]
)
def test_workers_share_the_calls_of_shared_polls(limit: int, workers: int, share: int) -> None:
    config = Config(shared_poll=SharedPollSettings(hmac_secret_key="k", concurrency_limit=limit))
    settings = share_of_polls(config, workers)
    assert (settings.concurrency_limit, settings.hmac_secret_key) == (share, "k")
