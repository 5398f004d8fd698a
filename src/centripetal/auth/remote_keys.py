"""Keys that are fetched from endpoints (`jwks_public_endpoint`) when a token comes that needs them."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import structlog
from yarl import URL

from ..interfaces import Clock, TokenInvalid
from ..outbound import HttpClient, HttpResult, OutboundError, TargetSettings, TimedOut, parse_url
from .compact import SignedToken
from .key_cache import FetchBudget, KeyCache
from .key_endpoint import KeyEndpoint
from .key_set import MAX_SET_BYTES, Checks, KeySetInvalid, parse_key_set
from .keys import GroupsOf

TIMEOUT_SECONDS = 1.0
ATTEMPTS = 2
SHORTEST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.12
MAX_REDIRECTS = 3

MAX_ENDPOINTS = 1024
STRANGERS_AT_ONCE = 60
STRANGERS_PER_MINUTE = 60.0
"""Fetches from endpoints that have never given a key, all together: their number is what tokens say."""

_REDIRECTS = (301, 302, 303, 307, 308)

Pause = Callable[[float], Awaitable[None]]

logger = structlog.get_logger("centripetal.auth")


class KeySets:
    """All key sets of a process, by URL. They outlive a reload of the configuration."""

    def __init__(
        self,
        client: HttpClient,
        clock: Clock,
        *,
        public_only: bool = False,
        pause: Pause = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Opens nothing yet.

        Args:
            client: makes the calls; whoever made it closes it.
            clock: says how old keys are.
            public_only: call no private, loopback or link-local address, whatever the options say.
            pause: waits so many seconds between attempts.
            jitter: says, from 0 to 1, how long within the bounds.
        """
        self._client = client
        self._clock = clock
        self._public_only = public_only
        self._pause = pause
        self._jitter = jitter
        self._sets: OrderedDict[tuple[str, bool], KeySet] = OrderedDict()
        self._strangers = FetchBudget(clock, STRANGERS_AT_ONCE, STRANGERS_PER_MINUTE)

    def __len__(self) -> int:
        return len(self._sets)

    def prepare(self) -> None:
        """Loads what fetching needs, so that the first token does not hold the loop up."""
        self._client.prepare()

    def at(self, url: str, *, public_only: bool) -> KeySet:
        """Returns the key set of a URL, without fetching it.

        Raises:
            TokenInvalid: the URL cannot be called.
        """
        known = self._sets.get((url, public_only))
        if known is not None:
            self._sets.move_to_end((url, public_only))
            return known
        if len(self._sets) >= MAX_ENDPOINTS:
            # Places that never gave a key go first: made-up ones must not displace those that are used.
            empty = next((key for key, one in self._sets.items() if not one.has_keys), next(iter(self._sets)))
            del self._sets[empty]
        try:
            parsed = parse_url(url)
        except ValueError:
            raise TokenInvalid("token claims do not fit into the address of the key set") from None
        fetch = _Fetch(self._client, parsed, public_only or self._public_only, self._pause, self._jitter)
        made = self._sets[url, public_only] = KeySet(fetch, self._clock, self._strangers)
        return made


class KeySet:
    """The keys of one endpoint: fetched once for all who wait, kept, and fetched again when they have to be."""

    __slots__ = ("_budget", "_cache", "_fetch", "_fetching", "_strangers")

    def __init__(self, fetch: _Fetch, clock: Clock, strangers: FetchBudget) -> None:
        self._fetch = fetch
        self._cache = KeyCache(clock)
        self._budget = FetchBudget(clock)
        self._strangers = strangers
        self._fetching: asyncio.Task[bool] | None = None

    @property
    def has_keys(self) -> bool:
        """Whether the endpoint has given keys that count still."""
        return len(self._cache) > 0

    async def find(self, kid: str) -> Checks:
        """Returns the checks of a key, by algorithm; suspends only if the endpoint has to be asked.

        Raises:
            TokenInvalid: there is no such key, or the endpoint does not answer.
        """
        found = self._cache.find(kid)
        if found is not None and found.fresh:
            return found.checks
        if found is None and self._cache.is_missing(kid):
            raise TokenInvalid("the key set has no such key")
        # An answer that was on its way already may be older than the key.
        joined = self._fetching is not None
        answered = await self._answer()
        found = self._cache.find(kid)
        if found is None and answered and joined:
            answered = await self._answer()
            found = self._cache.find(kid)
        if found is not None:
            return found.checks
        if not answered:
            raise TokenInvalid("the key set cannot be fetched")
        self._cache.note_missing(kid)
        raise TokenInvalid("the key set has no such key")

    async def _answer(self) -> bool:
        """Waits for an answer of the endpoint; False if there is none, or it may not be asked now."""
        task = self._fetching
        if task is None:
            if not self._budget.take() or not (self.has_keys or self._strangers.take()):
                return False
            task = self._fetching = asyncio.get_running_loop().create_task(self._ask())
        return await asyncio.shield(task)

    async def _ask(self) -> bool:
        try:
            keys = await self._fetch()
        except (OutboundError, KeySetInvalid) as error:
            logger.warning("key_set_not_fetched", host=self._fetch.host, error=str(error))
            return False
        finally:
            self._fetching = None
        self._cache.store(keys)
        return True


class RefusedStatus(OutboundError):
    """The endpoint answered with another status than 200."""

    kind = "status"

    def __init__(self, status: int) -> None:
        super().__init__(f"the endpoint answered with status {status}")
        self.status = status


class _Fetch:
    """Asks one endpoint, a second time if that may help."""

    def __init__(
        self, client: HttpClient, url: URL, public_only: bool, pause: Pause, jitter: Callable[[], float]
    ) -> None:
        self._client = client
        self._url = url
        self._settings = TargetSettings(
            timeout_seconds=TIMEOUT_SECONDS,
            headers={"Accept": "application/json"},
            max_concurrent=1,
            max_body_bytes=MAX_SET_BYTES,
            public_only=public_only,
        )
        self._pause = pause
        self._jitter = jitter

    @property
    def host(self) -> str:
        """Of the endpoint, for logs."""
        return self._url.host or ""

    async def __call__(self) -> dict[str, Checks]:
        """Returns the keys of the set.

        Raises:
            OutboundError: there is no answer, or one of another status than 200.
            KeySetInvalid: the answer is no key set.
        """
        spread = LONGEST_PAUSE_SECONDS - SHORTEST_PAUSE_SECONDS
        for _ in range(ATTEMPTS - 1):
            try:
                return parse_key_set(await self._download())
            except OutboundError as error:
                if isinstance(error, RefusedStatus) and error.status < 500:
                    raise
            await self._pause(SHORTEST_PAUSE_SECONDS + spread * self._jitter())
        return parse_key_set(await self._download())

    async def _download(self) -> bytes:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):  # redirects included
                result = await self._follow()
        except TimeoutError:
            raise TimedOut("no answer in time") from None
        if result.status != 200:
            raise RefusedStatus(result.status)
        return result.body

    async def _follow(self) -> HttpResult:
        url = self._url
        for _ in range(MAX_REDIRECTS + 1):
            result = await self._client.target(str(url), self._settings).call("GET")
            following = _redirect(url, result)
            if following is None:
                break
            url = following
        return result


def _redirect(url: URL, result: HttpResult) -> URL | None:
    """Returns where a redirect leads, if that is the same host and port, or HTTPS instead of HTTP there."""
    location = result.headers.get("Location", "")
    if result.status not in _REDIRECTS or not location:
        return None
    try:
        following = url.join(URL(location))
        upgraded = (url.scheme, following.scheme) == ("http", "https") and following.is_default_port()
        same = (url.scheme, url.port) == (following.scheme, following.port)
    except ValueError:
        return None
    return following if following.host == url.host and (same or upgraded) and not following.user else None


class RemoteKeys:
    """A KeySource whose keys an endpoint has. Static keys do not count beside it."""

    def __init__(self, endpoint: KeyEndpoint, sets: KeySets) -> None:
        """Takes where the keys are, and what fetches and keeps them."""
        self._endpoint = endpoint
        self._sets = sets
        sets.prepare()
        self._fixed = None if endpoint.is_template else endpoint.url({})

    async def check(self, token: SignedToken, groups_of: GroupsOf) -> None:
        """Checks a signature with the key that the token names; suspends if that has to be fetched."""
        kid = token.header.kid
        if not kid:
            raise TokenInvalid("token names no key")
        url = self._fixed or self._endpoint.url(groups_of(token))
        checks = await self._sets.at(url, public_only=self._endpoint.public_only).find(kid)
        check = checks.get(token.header.alg)
        if check is None:
            raise TokenInvalid("token algorithm does not fit its key")
        if not check(token):
            raise TokenInvalid("token signature is wrong")
