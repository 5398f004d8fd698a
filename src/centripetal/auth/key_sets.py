"""The key sets of endpoints: fetched once for all who wait, kept, and fetched again when they have to be.

Several processes of one server ask a directory that one of them keeps, which fetches for all, so that the bounds below are the
server's. Each keeps what it was told, as long as the directory would. When there is no directory to ask, a process fetches by itself.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

from ..interfaces import Clock, KeyAnswer, KeyDirectory, KeyDirectoryError, TokenInvalid
from ..outbound import HttpClient, OutboundError, parse_url
from .key_cache import FetchBudget, Found, KeyCache
from .key_download import KeyDownload, Pause
from .key_set import Checks, KeySetInvalid, parse_key_set

MAX_ENDPOINTS = 1024
STRANGERS_AT_ONCE = 60
STRANGERS_PER_MINUTE = 60.0
"""Fetches from endpoints that have never given a key, all together: their number is what tokens say."""

Key = TypeVar("Key")

logger = structlog.get_logger("centripetal.auth")


class NoSuchKey(TokenInvalid):
    """The endpoint has said that it has no such key.

    Attributes:
        seconds: how long that counts still.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__("the key set has no such key")
        self.seconds = seconds


class KeySetsOf(Generic[Key]):
    """Key sets by URL, and what is kept of each key."""

    def __init__(
        self,
        client: HttpClient,
        clock: Clock,
        parse: Callable[[bytes], dict[str, Key]],
        *,
        directory: KeyDirectory | None = None,
        public_only: bool = False,
        pause: Pause = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Opens nothing yet.

        Args:
            client: makes the calls; whoever made it closes it.
            clock: says how old keys are.
            parse: makes of an answer what is kept, by key id; raises KeySetInvalid.
            directory: is asked first.
            public_only: call no private, loopback or link-local address, whatever the options say.
            pause: waits so many seconds between attempts.
            jitter: says, from 0 to 1, how long within the bounds.
        """
        self._client = client
        self._clock = clock
        self._parse = parse
        self._directory = directory
        self._public_only = public_only
        self._pause = pause
        self._jitter = jitter
        self._sets: OrderedDict[tuple[str, bool], KeySet[Key]] = OrderedDict()
        self._strangers = FetchBudget(clock, STRANGERS_AT_ONCE, STRANGERS_PER_MINUTE)

    def __len__(self) -> int:
        return len(self._sets)

    def prepare(self) -> None:
        """Loads what fetching needs, so that the first token does not hold the loop up."""
        if self._directory is None:
            self._client.prepare()

    def at(self, url: str, *, public_only: bool) -> KeySet[Key]:
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
        only = public_only or self._public_only
        download = KeyDownload(self._client, parsed, only, self._pause, self._jitter)
        made = KeySet(download, self._parse, self._clock, self._strangers)
        if self._directory is not None:
            made.ask_first(self._directory, url, only)
        self._sets[url, public_only] = made
        return made


class KeySets(KeySetsOf[Checks]):
    """All key sets of a process, to check signatures with. They outlive a reload of the configuration."""

    def __init__(
        self,
        client: HttpClient,
        clock: Clock,
        *,
        directory: KeyDirectory | None = None,
        public_only: bool = False,
        pause: Pause = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Opens nothing yet; see KeySetsOf for the arguments."""
        super().__init__(
            client, clock, parse_key_set, directory=directory, public_only=public_only, pause=pause, jitter=jitter
        )


class KeySet(Generic[Key]):
    """The keys of one endpoint."""

    __slots__ = ("_budget", "_cache", "_directory", "_download", "_fetching", "_parse", "_place", "_strangers")

    def __init__(
        self, download: KeyDownload, parse: Callable[[bytes], dict[str, Key]], clock: Clock, strangers: FetchBudget
    ) -> None:
        self._download = download
        self._parse = parse
        self._cache: KeyCache[Key] = KeyCache(clock)
        self._budget = FetchBudget(clock)
        self._strangers = strangers
        self._fetching: asyncio.Task[bool] | None = None
        self._directory: KeyDirectory | None = None
        self._place = "", False

    def ask_first(self, directory: KeyDirectory, url: str, public_only: bool) -> None:
        """Has a directory asked for keys before the endpoint."""
        self._directory = directory
        self._place = url, public_only

    @property
    def has_keys(self) -> bool:
        """Whether the endpoint has given keys that count still."""
        return len(self._cache) > 0

    async def find(self, kid: str) -> Found[Key]:
        """Returns a key; suspends only if directory or endpoint have to be asked.

        Raises:
            NoSuchKey: there is none.
            TokenInvalid: the endpoint does not answer, or is not asked so often.
        """
        found = self._cache.find(kid)
        if found is not None and found.fresh:
            return found
        missing_seconds = self._cache.missing_seconds(kid)
        if found is None and missing_seconds > 0:
            raise NoSuchKey(missing_seconds)
        if self._directory is not None:
            try:
                answer = await self._directory.find(*self._place, kid)
            except KeyDirectoryError as error:
                logger.debug("key_directory_not_asked", error=str(error))
            else:
                return self._take(kid, answer)
        return await self._fetch(kid)

    def _take(self, kid: str, answer: KeyAnswer) -> Found[Key]:
        """Keeps what the directory says of a key."""
        if answer.key_set:
            try:
                self._cache.keep(kid, self._parse(answer.key_set)[kid], answer.age_seconds)
            except (KeySetInvalid, KeyError):
                raise TokenInvalid("the directory has no such key") from None
        elif answer.missing_seconds > 0:
            self._cache.drop(kid)
            self._cache.note_missing(kid, answer.missing_seconds)
            raise NoSuchKey(answer.missing_seconds)
        found = self._cache.find(kid)
        if found is None:
            raise TokenInvalid("the key set cannot be fetched")
        return found

    async def _fetch(self, kid: str) -> Found[Key]:
        # An answer that was on its way already may be older than the key.
        joined = self._fetching is not None
        answered = await self._answer()
        found = self._cache.find(kid)
        if found is None and answered and joined:
            answered = await self._answer()
            found = self._cache.find(kid)
        if found is not None:
            return found
        if not answered:
            raise TokenInvalid("the key set cannot be fetched")
        self._cache.note_missing(kid)
        raise NoSuchKey(self._cache.missing_seconds(kid))

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
            keys = self._parse(await self._download())
        except (OutboundError, KeySetInvalid) as error:
            logger.warning("key_set_not_fetched", host=self._download.host, error=str(error))
            return False
        finally:
            self._fetching = None
        self._cache.store(keys)
        return True
