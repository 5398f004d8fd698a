"""Keys that are fetched from endpoints (`jwks_public_endpoint`) when a token comes that needs them."""

from __future__ import annotations

from ..interfaces import TokenInvalid
from .compact import SignedToken
from .key_endpoint import KeyEndpoint
from .key_sets import KeySets
from .keys import GroupsOf


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
        found = await self._sets.at(url, public_only=self._endpoint.public_only).find(kid)
        check = found.key.get(token.header.alg)
        if check is None:
            raise TokenInvalid("token algorithm does not fit its key")
        if not check(token):
            raise TokenInvalid("token signature is wrong")
