"""Settings of the admin web interface."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from centripetal.model.option import Secret


class AdminSettings(Struct, frozen=True, kw_only=True):
    """The admin web interface (`admin.*`)."""

    enabled: Annotated[bool, Meta(description="Serve admin API and UI.")] = False
    handler_prefix: Annotated[str, Meta(description="URL prefix of admin UI; empty = /.")] = ""
    password: Annotated[Secret, Meta(description="Login password.")] = ""
    secret: Annotated[Secret, Meta(description="Signs admin tokens.")] = ""
    insecure: Annotated[bool, Meta(description="No admin auth.")] = False
    web_path: Annotated[str, Meta(description="Serve UI files from this directory instead of the embedded ones.")] = ""
    web_proxy_address: Annotated[str, Meta(description="Reverse-proxy UI requests here (development).")] = ""
    external: Annotated[bool, Meta(description="Serve admin on the external listener.")] = False
