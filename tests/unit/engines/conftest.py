"""Lets failed assertions of the shipped suites say what they compared."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "centripetal.testing.broker_suite",
    "centripetal.testing.map_broker_conditions",
    "centripetal.testing.map_broker_suite",
    "centripetal.testing.presence_suite",
)
