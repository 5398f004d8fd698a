"""The address of a key set: a URL, or a template with named groups of `issuer_regex` and `audience_regex`.

The claims that fill a template are not verified yet when they do: the keys are needed to verify them. So the groups must
list fixed values, or whoever makes up a token chooses whose keys it is checked with. What fills the template is looked at
again each time: it can neither leave its part of the URL nor walk through the path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ..interfaces import TokenInvalid
from ..outbound import parse_url
from .keys import TokenSettingsError
from .settings import TokenSettings

MAX_URL_CHARACTERS = 2048

_PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_SCHEME_AND_HOST = re.compile(r"https?://[^/?#]+", re.IGNORECASE)
_HOST_VALUE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?")
_PATH_VALUE = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@/-]+")
_QUERY_VALUE = re.compile(r"[A-Za-z0-9._~-]+")
_NAMED_GROUP = re.compile(r"\(\?P?<([A-Za-z_][A-Za-z0-9_]*)>")
_LITERAL_GROUP = re.compile(r"(?:[^\\.*+?\[\]{}^$()]|\\[^A-Za-z0-9]|\((?:\?:|\?P?<\w+>)?|\))*")


class KeyEndpoint:
    """Where keys are fetched.

    Attributes:
        is_template: whether it takes groups of claims.
        public_only: whether only public addresses may be called, because unchecked claims choose the host.
        warning: what the operator should know at start; empty for nothing.
    """

    def __init__(self, settings: TokenSettings, option: str) -> None:
        """Reads `jwks_public_endpoint` and checks that it is safe.

        Args:
            settings: with an endpoint.
            option: name of the settings for messages, `client.token` or `client.subscription_token`.

        Raises:
            TokenSettingsError: it cannot be used, or is not safe.
        """
        name = f"{option}.jwks_public_endpoint"
        self._template = settings.jwks_public_endpoint
        host = _SCHEME_AND_HOST.match(self._template)
        if host is None or not self._template.isprintable() or " " in self._template:
            raise TokenSettingsError(f"{name}: is not an absolute http or https URL")
        try:
            parse_url(_PLACEHOLDER.sub("1", self._template))
        except ValueError as error:
            raise TokenSettingsError(f"{name}: {error}") from None
        self._host_end = host.end()
        self._query_start = min((at for at in map(self._template.find, "?#") if at >= 0), default=len(self._template))
        placeholders = set(_PLACEHOLDER.findall(self._template))
        self.is_template = bool(placeholders)
        problem = _problem(placeholders, settings, option)
        if problem and not settings.insecure_skip_jwks_endpoint_safety_check:
            raise TokenSettingsError(f"{name}: {problem}")
        self.warning = f"{name}: not safe: {problem}" if problem else ""
        self.public_only = bool(problem) and "{{" in host.group()

    def url(self, groups: Mapping[str, str]) -> str:
        """Returns the URL for the groups of a token's claims.

        Raises:
            TokenInvalid: a value does not fit into its place.
        """
        url = _PLACEHOLDER.sub(lambda place: self._value(place, groups), self._template)
        path = url[url.index("/", 8) :].split("?")[0] if "/" in url[8:] else ""
        if self.is_template and (_walks(path) or len(url) > MAX_URL_CHARACTERS):
            raise TokenInvalid("token claims do not fit into the path of the key set")
        return url

    def _value(self, place: re.Match[str], groups: Mapping[str, str]) -> str:
        value = groups.get(place.group(1)) or ""
        if place.start() < self._host_end:
            allowed = _HOST_VALUE
        else:
            allowed = _PATH_VALUE if place.start() < self._query_start else _QUERY_VALUE
        if not allowed.fullmatch(value):
            raise TokenInvalid("token claims do not fit into the address of the key set")
        return value


def unsafe_endpoints(settings: TokenSettings, option: str = "client.token") -> list[str]:
    """Returns warnings, each naming its option, about endpoints that the holder of a token could choose.

    Args:
        settings: with or without an endpoint.
        option: name of the settings for the messages.

    Raises:
        TokenSettingsError: the endpoint cannot be used.
    """
    if not settings.jwks_public_endpoint:
        return []
    warning = KeyEndpoint(settings, option).warning
    return [warning] if warning else []


def _walks(path: str) -> bool:
    return "//" in path or any(segment in (".", "..") for segment in path.split("/"))


def _problem(placeholders: set[str], settings: TokenSettings, option: str) -> str:
    """Returns why the groups that fill a template are not safe; empty if they are.

    Raises:
        TokenSettingsError: there is no such group at all.
    """
    found: dict[str, str] = {}
    for expression in ("issuer_regex", "audience_regex"):
        for group, content in _groups(getattr(settings, expression)):
            if found.get(group) or _LITERAL_GROUP.fullmatch(content):
                found.setdefault(group, "")
            else:
                found[group] = f"group {group} of {option}.{expression} is not a list of fixed values such as one|two"
    for placeholder in sorted(placeholders):
        if placeholder not in found:
            raise TokenSettingsError(
                f"{option}.jwks_public_endpoint: {{{{{placeholder[:64]}}}}} is not a named group of "
                f"{option}.issuer_regex or {option}.audience_regex"
            )
    return next((found[placeholder] for placeholder in sorted(placeholders) if found[placeholder]), "")


def _groups(expression: str) -> Iterator[tuple[str, str]]:
    """Yields names and contents of the named groups of a valid expression."""
    for start in _structure(expression):
        named = _NAMED_GROUP.match(expression, start)
        if named is not None:
            yield named.group(1), expression[named.end() : _end_of_group(expression, start)]


def _end_of_group(expression: str, start: int) -> int:
    depth = 0
    for at in _structure(expression):
        if at >= start:
            depth += 1 if expression[at] == "(" else -1
            if depth == 0:
                return at
    return len(expression)


def _structure(expression: str) -> Iterator[int]:
    """Yields where parentheses stand that group: not those that are escaped, quoted or in a class."""
    at, in_class = 0, False
    while at < len(expression):
        character = expression[at]
        if expression.startswith("\\Q", at):
            end = expression.find("\\E", at)
            at = len(expression) if end < 0 else end + 2
            continue
        if character == "\\":
            at += 2
            continue
        if in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
            at += 1 + expression.startswith("^", at + 1)
            if expression.startswith("]", at):  # the first in a class stands for itself
                at += 1
            continue
        elif character in "()":
            yield at
        at += 1
