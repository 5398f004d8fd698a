"""Streams of publications for one subscriber each, over gRPC (`subscribe_stream`)."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from ..interfaces import HookError
from ..interfaces.hooks import SUBSCRIBE_STREAM, StreamPublication, SubscribeAnswer, SubscribeStreamEvent
from ..outbound.result import Overloaded
from ..protocol.protobuf_structs import struct_reader
from .answers import response_type, subscribe_answer
from .grpc_backend import SERVICE, GrpcCaller, failure, parsed
from .requests import Forwarder, RequestFields
from .results import Response
from .schema import proxy_pb2 as schema
from .settings import ProxySettings

_FAILURES = (TimeoutError, Overloaded, grpc.RpcError, asyncio.InvalidStateError)
_read_response = struct_reader(response_type(SUBSCRIBE_STREAM))


class GrpcStream:
    """A stream that the backend has accepted.

    Attributes:
        answer: how.
    """

    def __init__(self, call: Any, timeout_seconds: float, answer: SubscribeAnswer) -> None:
        self.answer = answer
        self._call = call
        self._timeout_seconds = timeout_seconds
        self._sending = asyncio.Lock()

    async def receive(self) -> StreamPublication | None:
        """Waits for the next publication; None is the end. Raises HookError if the stream broke."""
        while True:
            message = await read(self._call)
            if message is None:
                return None
            if message.HasField("publication"):
                return StreamPublication(message.publication.data, dict(message.publication.tags))

    async def send(self, data: bytes) -> None:
        """Sends what the subscriber publishes; a backend that does not take it in time has broken the stream."""
        request = schema.StreamSubscribeRequest(publication=schema.Publication(data=data))
        await asyncio.sleep(0)  # see StreamOpener.ask
        try:
            async with self._sending, asyncio.timeout(self._timeout_seconds):
                await self._call.write(request)
        except _FAILURES as error:
            raise failure(error) from None

    def cancel(self) -> None:
        """Ends the stream."""
        self._call.cancel()


async def read(call: Any) -> Any:
    """Returns the next message, None at the end.

    Raises:
        HookError: the call failed.
    """
    try:
        message = await call.read()
        if message is not grpc.aio.EOF:
            return parsed(message, schema.StreamSubscribeResponse.FromString)
        if await call.code() == grpc.StatusCode.OK:
            return None
    except _FAILURES as error:
        raise failure(error) from None
    raise HookError("the stream broke")


class StreamOpener:
    """Opens streams; the backend of a Proxy whose answer is not only the first message but the stream.

    Attributes:
        protocol: label of metrics.
        forwarder: chooses metadata.
    """

    protocol = "grpc"

    def __init__(self, settings: ProxySettings, channel: grpc.aio.Channel) -> None:
        self._caller = GrpcCaller(settings)
        self.forwarder: Forwarder = self._caller.forwarder
        self._fields = RequestFields(SUBSCRIBE_STREAM, settings)
        self._one_way: Any = channel.unary_stream(
            f"/{SERVICE}/SubscribeUnidirectional",
            request_serializer=schema.SubscribeRequest.SerializeToString,
        )
        self._both_ways: Any = channel.stream_stream(
            f"/{SERVICE}/SubscribeBidirectional",
            request_serializer=schema.StreamSubscribeRequest.SerializeToString,
        )

    async def ask(self, request: SubscribeStreamEvent) -> Response[Any]:
        """Returns the first message; its result, if it accepts, is the stream.

        Raises:
            HookError: there is none in time, or it does not say whether it accepts.
        """
        # A timeout belongs to the task in which it begins, and a command becomes a task at its first wait.
        await asyncio.sleep(0)
        caller = self._caller
        message = schema.SubscribeRequest(**self._fields.of(request))
        call: Any = None
        accepted = False
        try:
            async with asyncio.timeout(caller.timeout_seconds):
                await caller.slots.acquire()
                try:
                    call = self._start(message, request)
                    if request.bidirectional:
                        await call.write(schema.StreamSubscribeRequest(subscribe_request=message))
                    first = await read(call)
                finally:
                    caller.slots.release()
            response = self._response(call, first)
            accepted = response.result is not None
            return response
        except _FAILURES as error:
            raise failure(error) from None
        finally:
            if call is not None and not accepted:
                call.cancel()

    def _start(self, message: Any, request: SubscribeStreamEvent) -> Any:
        metadata, compression = self._caller.metadata(request), self._caller.compression
        if request.bidirectional:
            return self._both_ways(metadata=metadata, compression=compression)
        return self._one_way(message, metadata=metadata, compression=compression)

    def _response(self, call: Any, first: Any) -> Response[Any]:
        if first is None or not first.HasField("subscribe_response"):
            raise HookError("the first message of the stream does not say whether it accepts")
        response: Response[Any] = _read_response(first.subscribe_response)
        if response.error is not None or response.disconnect is not None:
            return response
        answer = subscribe_answer(response.result) if response.result is not None else SubscribeAnswer()
        return Response(result=GrpcStream(call, self._caller.timeout_seconds, answer))
