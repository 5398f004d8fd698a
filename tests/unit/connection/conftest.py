from __future__ import annotations

from collections.abc import Iterator

import pytest

from centripetal.model import errors


@pytest.fixture(autouse=True)
def shared_errors_forget() -> Iterator[None]:
    """No error of the tables may keep frames alive, and with them connections, after it was caught."""
    for error in vars(errors).values():
        if isinstance(error, Exception):
            errors.forget_traceback(error)  # what tests of other rooms raised and caught
    yield
    for name, error in vars(errors).items():
        if isinstance(error, Exception):
            assert error.__traceback__ is error.__context__ is error.__cause__ is None, f"{name} keeps frames alive"
