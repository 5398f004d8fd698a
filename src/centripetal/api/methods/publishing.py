"""publish and broadcast. The hot path of the API: publish_to() is what every publish costs."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, cast

from ...interfaces import PublishOptions
from ...interfaces import PublishResult as StoredResult
from ...model import ClientError
from ...model.errors import forget_traceback
from ...node.namespaces import Rules
from ...node.publication_format import check_publication_data
from ..contract import ApiNode
from ..errors import BAD_REQUEST, INTERNAL, ApiError, api_error
from ..requests import MAX_UINT64, BroadcastRequest, PublicationRequest, PublishRequest
from ..results import BroadcastResult, PublishResult
from .concurrency import run_together
from .failures import log_failure
from .payload import payload

MAX_BROADCAST_CHANNELS = 100_000
"""More channels than this in one broadcast are error 107."""

NOT_STORED = PublishResult()
"""The result of a publication without a position."""

STREAM_TYPES = ("", "stream")
"""Values of `subscription_type` whose channels take plain publications."""


def publish_options(rules: Rules, request: PublicationRequest) -> PublishOptions:
    """Returns how a publication is stored and sent in a namespace."""
    usual = rules.publish
    tags = request.tags
    special = tags or request.idempotency_key or request.version or request.version_epoch or request.skip_history
    if not special and (usual.use_delta or not request.delta):
        return usual
    if tags and None in tags.values():
        tags = {name: value or "" for name, value in tags.items()}
    kept = not request.skip_history
    return PublishOptions(
        history_size=usual.history_size if kept else 0,
        history_ttl_seconds=usual.history_ttl_seconds if kept else 0.0,
        history_meta_ttl_seconds=usual.history_meta_ttl_seconds,
        tags=tags or None,  # type: ignore[arg-type]  # no None is left in it
        idempotency_key=request.idempotency_key or "",
        version=request.version or 0,
        version_epoch=request.version_epoch or "",
        use_delta=request.delta or usual.use_delta,
    )


Published = PublishResult | ApiError
Begun = Published | Coroutine[Any, Any, Published]
"""What became of a publish, or a coroutine that waits for it; see Node.begin_publish()."""


def publish(node: ApiNode, request: PublishRequest) -> Begun:
    """Publishes to a stream channel (`publish`)."""
    channel = request.channel
    data = payload(request.data, request.b64data)
    if not channel or data is None or (request.version or 0) > MAX_UINT64:
        return BAD_REQUEST
    rules = node.namespaces.rules_of(channel)
    options = rules.options
    if options.subscription_type not in STREAM_TYPES:
        return BAD_REQUEST
    check_publication_data(data, options.publication_data_format)
    return _result_of(node.begin_publish(channel, data, publish_options(rules, request)))


def _result_of(stored: StoredResult | Coroutine[Any, Any, StoredResult]) -> Begun:
    if type(stored) is not StoredResult:
        return _result_later(cast("Coroutine[Any, Any, StoredResult]", stored))
    position = stored.position
    return PublishResult(position.offset, position.epoch) if position.epoch or position.offset else NOT_STORED


async def _result_later(storing: Coroutine[Any, Any, StoredResult]) -> Published:
    return cast("PublishResult", _result_of(await storing))


class _Broadcast:
    """One broadcast on its way: what its publishes share."""

    def __init__(self, node: ApiNode, data: bytes, request: BroadcastRequest) -> None:
        self.node = node
        self.data = data
        self.request = request
        self._errors: dict[str, ApiError | None] = {}
        self._failed = False

    def _data_error(self, data_format: str) -> ApiError | None:
        """Checks the data once per format, not once per channel: it may be long."""
        if data_format not in self._errors:
            try:
                check_publication_data(self.data, data_format)
                self._errors[data_format] = None
            except ClientError as error:
                self._errors[data_format] = api_error(error)
                forget_traceback(error)
        return self._errors[data_format]

    def _publish(self, channel: str | None) -> Begun:
        if not channel:
            return BAD_REQUEST
        rules = self.node.namespaces.rules_of(channel)
        error = self._data_error(rules.options.publication_data_format)
        if error is not None:
            return error
        return _result_of(self.node.begin_publish(channel, self.data, publish_options(rules, self.request)))

    def publish(self, channel: str | None) -> Begun:
        """Publishes to one channel; a failure is its response and does not stop the others."""
        try:
            begun = self._publish(channel)
        except Exception as error:  # noqa: BLE001  # as in Methods.call(): logged, and answered
            return self._failure(error)
        return begun if isinstance(begun, (PublishResult, ApiError)) else self._finish(begun)

    async def _finish(self, publishing: Coroutine[Any, Any, Published]) -> Published:
        try:
            return await publishing
        except Exception as error:  # noqa: BLE001  # the same
            return self._failure(error)

    def _failure(self, error: Exception) -> ApiError:
        if isinstance(error, ClientError):
            forget_traceback(error)
            return api_error(error)
        if not self._failed:  # a broker that is away fails every channel: one line tells as much
            self._failed = True
            log_failure("broadcast", error)
        return INTERNAL


async def broadcast(node: ApiNode, request: BroadcastRequest) -> BroadcastResult | ApiError:
    """Publishes the same to several channels (`broadcast`); errors of single channels are in their responses."""
    channels = request.channels
    data = payload(request.data, request.b64data)
    if not channels or len(channels) > MAX_BROADCAST_CHANNELS or data is None:
        return BAD_REQUEST
    if (request.version or 0) > MAX_UINT64:
        return BAD_REQUEST
    return BroadcastResult(await run_together(channels, _Broadcast(node, data, request).publish))
