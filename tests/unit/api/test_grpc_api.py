"""The server API over gRPC, called through a real channel with messages of a descriptor pool of their own."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
import uvloop
from api_stage import FakeNode
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha import reflection_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from centripetal.api import GrpcApiSettings
from centripetal.api.grpc.requests import BadMessage, decode_batch, decode_request, wire_name
from centripetal.api.grpc.schema import api_pb2 as pb
from centripetal.api.grpc.service import SERVICE, GrpcApi
from centripetal.api.methods import MAX_BATCH_COMMANDS, METHODS
from centripetal.api.requests import BoolValue, PublishRequest, Request, SubscribeRequest
from centripetal.interfaces import BrokerError
from centripetal.model import ClientInfo, Publication
from centripetal.model.certificates import Certificates
from centripetal.transports.grpc_listener import GrpcListener

Call = Callable[..., Awaitable[Any]]


def on_server(
    scene: Callable[[Call], Awaitable[Any]], node: FakeNode | None = None, listener: Any = None, **options: Any
) -> Any:
    """Runs a scene against a server on a free port; `call` gives the response, or the status and details."""

    async def run() -> Any:
        api = GrpcApi(node or FakeNode(), GrpcApiSettings(**options))
        door = GrpcListener([api], max_receive_bytes=options.get("max_receive_message_size", 0))
        await door.start("127.0.0.1", 0)
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{door.port}") as channel:

                async def call(name: str, request: Any, metadata: dict[str, str] | None = None) -> Any:
                    body = request if isinstance(request, bytes) else request.SerializeToString()
                    unary = channel.unary_unary(f"/{SERVICE}/{name}")
                    try:
                        answer = await unary(body, metadata=tuple((metadata or {}).items()), timeout=20)
                    except grpc.aio.AioRpcError as error:
                        return error.code().name, error.details()
                    response = getattr(pb, f"{name}Response", pb.PublishResponse)
                    return response.FromString(answer)

                return await scene(call)
        finally:
            await door.stop(0)

    return uvloop.run(run())


def test_every_method_has_messages_with_the_fields_of_its_request() -> None:
    service = pb.DESCRIPTOR.services_by_name["CentrifugoApi"]
    assert service.full_name == "centrifugal.centrifugo.api.CentrifugoApi"
    for method in METHODS.values():
        names = {field.name for field in pb.DESCRIPTOR.message_types_by_name[f"{wire_name(method.name)}Request"].fields}
        assert names == set(method.request.__struct_fields__), method.name
        assert wire_name(method.name) in service.methods_by_name
        assert method.name in pb.DESCRIPTOR.message_types_by_name["Command"].fields_by_name
        assert method.name in pb.DESCRIPTOR.message_types_by_name["Reply"].fields_by_name


def test_other_code_for_the_same_names_lives_in_the_same_process() -> None:
    other = descriptor_pb2_copy()
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(other)
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName("centrifugal.centrifugo.api.PublishRequest"))
    text = message(channel="x", tags={"a": "b"}).SerializeToString()
    assert decode_request("publish", text) == PublishRequest(channel="x", tags={"a": "b"})


def descriptor_pb2_copy() -> bytes:
    """Returns our schema as a file of another name, as a client's generated module brings it."""
    from google.protobuf import descriptor_pb2

    file = descriptor_pb2.FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)
    file.name = "some/client/api.proto"
    return file.SerializeToString()


def test_requests_keep_every_field() -> None:
    message = pb.SubscribeRequest(
        user="u",
        channel="c",
        expire_at=-5,
        info=b"\x00",
        recover_since=pb.StreamPosition(offset=2**64 - 1, epoch="e"),
        override=pb.SubscribeOptionOverride(presence=pb.BoolValue(), join_leave=pb.BoolValue(value=True)),
        label_filter=pb.FilterNode(),
    )
    request: Any = decode_request("subscribe", message.SerializeToString())
    assert isinstance(request, SubscribeRequest)
    assert (request.user, request.channel, request.expire_at, bytes(request.info)) == ("u", "c", -5, b"\x00")
    assert (request.recover_since.offset, request.recover_since.epoch) == (2**64 - 1, "e")
    assert request.override.presence == BoolValue() and request.override.join_leave == BoolValue(value=True)
    assert request.override.force_recovery is None
    assert request.label_filter == {}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(METHODS)), st.binary(max_size=60))
def test_arbitrary_bytes_are_a_request_or_refused(method: str, body: bytes) -> None:
    for decode in (decode_request, lambda _, body: asyncio.run(decode_batch(body))):
        try:
            decoded = decode(method, body)
        except BadMessage:
            continue
        assert isinstance(decoded, (Request, tuple))


def test_publish_history_presence_and_channels() -> None:
    node = FakeNode()
    node.present = {"id": ClientInfo("alice", "id", b"1", b"\xff")}

    async def scene(call: Call) -> None:
        data = b"\x00\xff"
        published = await call("Publish", pb.PublishRequest(channel="hist:a", data=data, tags={"k": "v"}))
        assert published == pb.PublishResponse(result=pb.PublishResult(offset=1, epoch="epoch"))
        history = (await call("History", pb.HistoryRequest(channel="hist:a", limit=-1))).result
        assert (history.offset, history.epoch) == (1, "epoch")
        assert list(history.publications) == [pb.Publication(data=data, offset=1, tags={"k": "v"})]
        presence = (await call("Presence", pb.PresenceRequest(channel="room:a"))).result.presence
        assert dict(presence) == {"id": pb.ClientInfo(user="alice", client="id", conn_info=b"1", chan_info=b"\xff")}
        assert (await call("Publish", pb.PublishRequest(channel="a", data=b"1"))).HasField("result")

    on_server(scene, node)
    assert node.counters.api_duration["grpc", "publish"].count == 2


def test_broadcast_and_batch_keep_the_order_and_every_error() -> None:
    async def scene(call: Call) -> None:
        broadcast = await call("Broadcast", pb.BroadcastRequest(channels=["hist:a", "nowhere:x", "b"], data=b"1"))
        first, second, third = broadcast.result.responses
        assert first.result.offset == 1
        assert (second.error.code, second.HasField("result")) == (102, False)
        assert third.HasField("result")
        commands = [
            pb.Command(publish=pb.PublishRequest(channel="hist:a", data=b"2")),
            pb.Command(),
            pb.Command(presence=pb.PresenceRequest(), publish=pb.PublishRequest(channel="b", data=b"3")),
            pb.Command(history_remove=pb.HistoryRemoveRequest(channel="hist:a")),
        ]
        for parallel in (False, True):
            replies = (await call("Batch", pb.BatchRequest(commands=commands, parallel=parallel))).replies
            assert [reply.error.code for reply in replies] == [0, 104, 0, 0]
            assert [reply.ListFields()[0][0].name for reply in replies] == [
                "publish", "error", "publish", "history_remove",
            ]  # fmt: skip
        assert await call("Batch", pb.BatchRequest()) == pb.BatchResponse()

    on_server(scene)


def test_bad_batches_run_nothing() -> None:
    node = FakeNode()

    async def scene(call: Call) -> None:
        good = pb.Command(publish=pb.PublishRequest(channel="a", data=b"1")).SerializeToString()
        broken = pb.UndecodedBatch(commands=[good, b"\x22\x05"])
        assert await call("Batch", broken) == ("INTERNAL", "the request cannot be parsed")
        many = pb.UndecodedBatch(commands=[b""] * (MAX_BATCH_COMMANDS + 1))
        assert await call("Batch", many) == ("INTERNAL", f"more than {MAX_BATCH_COMMANDS} commands")

    on_server(scene, node)
    assert not node.calls


def test_the_key_is_checked_before_the_message() -> None:
    refused = ("UNAUTHENTICATED", "unauthenticated")

    async def scene(call: Call) -> None:
        good = pb.PublishRequest(channel="a", data=b"1")
        assert (await call("Publish", good, {"authorization": "apikey secret"})).HasField("result")
        for metadata in ({}, {"authorization": "apikey secre"}, {"authorization": "secret"}, {"x-api-key": "secret"}):
            assert await call("Publish", b"\xff", metadata) == refused
            assert await call("Batch", b"\xff", metadata) == refused

    on_server(scene, key="secret")


def test_malformed_and_too_large_requests() -> None:
    async def scene(call: Call) -> None:
        for body in (b"\xff", b"\x0a\x01\xff", b"\x0a\x05a"):
            assert await call("Publish", body) == ("INTERNAL", "the request cannot be parsed")
        assert (await call("Publish", pb.PublishRequest(data=b"x" * 2000)))[0] == "RESOURCE_EXHAUSTED"
        for name in ("Connections", "SendPushNotification", "Nothing"):
            assert (await call(name, b""))[0] == "UNIMPLEMENTED"

    on_server(scene, max_receive_message_size=1000)


def test_transport_errors_are_statuses_but_not_those_of_batches() -> None:
    mode = {"x-centrifugo-error-mode": "transport"}

    async def one_call(call: Call) -> None:
        assert await call("Publish", pb.PublishRequest(), mode) == ("INVALID_ARGUMENT", "bad request")
        assert (await call("Publish", pb.PublishRequest())).error.code == 107
        assert await call("RPC", pb.RPCRequest(method="x"), mode) == ("NOT_FOUND", "not found")
        batch = pb.BatchRequest(commands=[pb.Command(rpc=pb.RPCRequest(method="x"))])
        assert (await call("Batch", batch, mode)).replies[0].error.code == 104

    async def all_calls(call: Call) -> None:
        assert await call("Presence", pb.PresenceRequest(channel="a")) == ("INVALID_ARGUMENT", "not available")

    on_server(one_call)
    on_server(all_calls, error_mode="transport")


def test_failures_and_text_that_is_not_unicode_are_internal_errors() -> None:
    node = FakeNode()

    async def scene(call: Call) -> None:
        node.failure = BrokerError("down")
        assert (await call("Publish", pb.PublishRequest(channel="a", data=b"1"))).error.code == 100
        node.failure = None
        node.streams["hist:a"] = [Publication(b"1", 1, tags={"k": "\ud800"})]
        history = pb.HistoryRequest(channel="hist:a", limit=1)
        assert await call("History", history) == pb.HistoryResponse(
            error=pb.Error(code=100, message="internal server error")
        )
        replies = (await call("Batch", pb.BatchRequest(commands=[pb.Command(history=history)]))).replies
        assert [reply.error.code for reply in replies] == [100]

    on_server(scene, node)


def test_reflection_names_the_service() -> None:
    async def run() -> None:
        door = GrpcListener([GrpcApi(FakeNode(), GrpcApiSettings())])
        door.reflect(pb.DESCRIPTOR)
        await door.start("127.0.0.1", 0)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{door.port}") as channel:
            ask = channel.stream_stream(
                "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
                response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
            )
            questions = [
                reflection_pb2.ServerReflectionRequest(list_services=""),
                reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
            ]
            listed, found = [answer async for answer in ask(iter(questions))]
            assert SERVICE in [service.name for service in listed.list_services_response.service]
            assert found.file_descriptor_response.file_descriptor_proto == [pb.DESCRIPTOR.serialized_pb]
        await door.stop(0)

    asyncio.run(run())


def certificate(name: str, issuer: tuple[Any, Any] | None = None) -> tuple[bytes, bytes, tuple[Any, Any]]:
    """Returns certificate and key as PEM, and both as the issuer of others."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), encoded, (made, key)


async def status_over_tls(port: int, credentials: grpc.ChannelCredentials) -> str:
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        try:
            await channel.unary_unary(f"/{SERVICE}/Info")(b"", timeout=20)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"


def test_mutual_tls_and_renewed_certificates() -> None:
    authority, _, issuer = certificate("authority")
    server = certificate("server", issuer)
    client = certificate("client", issuer)
    stranger = certificate("stranger")
    other_authority, _, other_issuer = certificate("other authority")
    renewed = certificate("server", other_issuer)
    current = Certificates(server[0], server[1], authority)

    def read() -> Certificates:
        if current is None:
            raise ValueError("cannot be read")
        return current

    async def scene() -> None:
        nonlocal current
        door = GrpcListener([GrpcApi(FakeNode(), GrpcApiSettings())], read_certificates=read)
        await door.start("127.0.0.1", 0)
        known = grpc.ssl_channel_credentials(authority, client[1], client[0])
        assert await status_over_tls(door.port, known) == "OK"
        unknown = grpc.ssl_channel_credentials(authority, stranger[1], stranger[0])
        assert await status_over_tls(door.port, unknown) == "UNAVAILABLE"
        assert await status_over_tls(door.port, grpc.ssl_channel_credentials(authority)) == "UNAVAILABLE"
        current = None
        assert await status_over_tls(door.port, known) == "OK"
        current = Certificates(renewed[0], renewed[1], authority)
        assert await status_over_tls(door.port, known) == "UNAVAILABLE"
        trusting = grpc.ssl_channel_credentials(other_authority, client[1], client[0])
        assert await status_over_tls(door.port, trusting) == "OK"
        await door.stop(0)

    asyncio.run(scene())


def test_a_port_in_use_is_an_os_error() -> None:
    async def scene() -> None:
        first, second = (GrpcListener([GrpcApi(FakeNode(), GrpcApiSettings())]) for _ in range(2))
        await first.start("127.0.0.1", 0)
        with pytest.raises(OSError, match="cannot listen"):
            await second.start("127.0.0.1", first.port)
        await first.stop(0)

    asyncio.run(scene())
