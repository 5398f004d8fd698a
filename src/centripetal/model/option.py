"""Kinds of option values that are more than their Python type says.

The configuration reader looks at `extra["kind"]`; a room that uses the value sees a plain string or number.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Secret = Annotated[str, Meta(extra={"kind": "secret"})]
"""A text that never appears in messages or logs."""

Pem = Annotated[str, Meta(extra={"kind": "pem"})]
"""PEM text; in the configuration also Base64 of it or the path of a file with it."""

PrivatePem = Annotated[str, Meta(extra={"kind": "pem", "secret": True})]
"""PEM text of a private key."""

Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Uint32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
