"""An HTTP request and its response, as the front door gives and takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl

MAX_QUERY_PARAMETERS = 256


class HttpRequest:
    """One HTTP request without its body.

    Attributes:
        method: in upper case.
        path: decoded, without the query.
        query: the raw query string, without the question mark.
        headers: names in lower case; values of repeated names are joined by a comma (`cookie`: by a semicolon).
        remote_address: `host:port` of the peer, empty when unknown.
        is_tls: the connection is encrypted.
        http_version: `1.0`, `1.1`, `2` or `3`.
        protocol: what an extended CONNECT asks for, its `:protocol`; empty for other requests.
    """

    __slots__ = (
        "_address", "_parameters", "headers", "http_version", "is_tls", "method", "path", "protocol", "query",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: dict[str, str] | None = None,
        remote_address: str = "",
        is_tls: bool = False,
        http_version: str = "1.1",
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers: dict[str, str] = {} if headers is None else headers
        self._address: str | Callable[[], str] = remote_address
        self.is_tls = is_tls
        self.http_version = http_version
        self.protocol = ""
        self._parameters: dict[str, str] | None = None

    @property
    def remote_address(self) -> str:
        """`host:port` of the peer, empty when unknown."""
        if not isinstance(self._address, str):
            self._address = self._address()
        return self._address

    @remote_address.setter
    def remote_address(self, address: str | Callable[[], str]) -> None:
        """Sets it, or what finds it out when somebody asks: few do, and it costs a system call."""
        self._address = address

    @property
    def query_parameters(self) -> dict[str, str]:
        """The first value of each query parameter; a query with more than 256 of them counts as empty."""
        if self._parameters is None:
            self._parameters = {}
            if self.query:
                try:
                    pairs = parse_qsl(self.query, keep_blank_values=True, max_num_fields=MAX_QUERY_PARAMETERS)
                except ValueError:
                    pairs = []
                for name, value in pairs:
                    self._parameters.setdefault(name, value)
        return self._parameters

    def __repr__(self) -> str:
        return f"HttpRequest({self.method} {self.path!r})"


class HttpResponse:
    """One whole HTTP response.

    Attributes:
        status: 100–599.
        headers: names and values; length, date and connection are the front door's. A tuple, for answers that are given
            often, lets the front door keep their encoded form.
        body: bytes, empty for none.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Sequence[tuple[str, str]] = (), body: bytes = b"") -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"HttpResponse({self.status}, {len(self.body)} bytes)"
