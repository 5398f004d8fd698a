"""The directory of keys that one process keeps for all of a server."""

from __future__ import annotations

from ..interfaces import Clock, KeyAnswer, TokenInvalid
from ..outbound import HttpClient
from .key_set import split_key_set
from .key_sets import KeySetsOf, NoSuchKey


class KeptKeys:
    """Fetches key sets and tells others of their keys; implements `interfaces.KeyDirectory`.

    Args:
        client: makes the calls; whoever made it closes it.
        clock: says how old keys are.
    """

    def __init__(self, client: HttpClient, clock: Clock) -> None:
        self._sets = KeySetsOf(client, clock, split_key_set)

    def prepare(self) -> None:
        """Loads what fetching needs, so that the first key does not hold the loop up."""
        self._sets.prepare()

    async def find(self, url: str, public_only: bool, kid: str) -> KeyAnswer:
        """Looks a key up; see KeyDirectory."""
        try:
            found = await self._sets.at(url, public_only=public_only).find(kid)
        except NoSuchKey as missing:
            return KeyAnswer(missing_seconds=missing.seconds)
        except TokenInvalid:
            return KeyAnswer()
        return KeyAnswer(found.key, found.age_seconds)
