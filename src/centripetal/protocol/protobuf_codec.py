"""The Protobuf encoding: length-prefixed commands in, one message for each reply or push out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from ..model import ClientError, Publication
from .commands import PONG, Command, ConnectRequest, EmulationRequest
from .errors import ProtocolError, UnencodableData
from .framing import read_varint, varint
from .protobuf_fields import encode_entry, encode_message, encode_publication, length_field, tag
from .protobuf_requests import decode_command, decode_emulation
from .results import PublicationEntry

_LENGTH = 2
_REPLY_TAGS = {
    name: tag(number, _LENGTH)
    for number, name in enumerate(
        ("connect", "subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history", "ping", "rpc",
         "refresh", "sub_refresh"),
        start=5,
    )
}
_PUSH_TAGS = {
    name: tag(number, _LENGTH)
    for number, name in enumerate(
        ("pub", "join", "leave", "unsubscribe", "message", "subscribe", "connect", "disconnect", "refresh"), start=4
    )
}
_ID, _ERROR, _PUSH, _CHANNEL, _PUB = b"\x08", b"\x12", b"\x22", b"\x12", b"\x22"


class ProtobufCodec:
    """Encodes and decodes the Protobuf form of the client protocol. Stateless; PROTOBUF is its shared instance.

    Attributes:
        name: `protobuf`.
        ping: the server's ping, and the client's pong: a message of length 0.
    """

    name = "protobuf"
    ping = b""

    def decode_commands(self, message: bytes) -> Iterable[Command]:
        """Decodes one transport message.

        Args:
            message: commands, each after its length.

        Returns:
            The commands. Several are decoded one by one as they are asked for, so that those before a malformed
            one can be carried out.

        Raises:
            ProtocolError: the message, or while iterating the next command, is malformed.
        """
        if not message:
            raise ProtocolError("the message is empty")
        length, start = message[0], 1
        if length > 127:
            length, start = read_varint(message, 0)
        if start > 0 and start + length == len(message):
            return (decode_command(message[start:]) if length else PONG,)
        return _decode_messages(message)

    def decode_connect(self, message: bytes) -> ConnectRequest:
        """Returns the request of a unidirectional client (wire name `ConnectRequest`).

        Raises:
            ProtocolError: it is malformed.
        """
        # As field 4 of a Command, which is what decode_command() reads.
        return decode_command(length_field(tag(4, 2), message)).connect or ConnectRequest()

    def decode_emulation(self, body: bytes) -> EmulationRequest:
        """Decodes the body of an emulation request.

        Raises:
            ProtocolError: it is malformed.
        """
        return decode_emulation(body)

    def encode_reply(self, command_id: int, method: str, result: msgspec.Struct) -> bytes:
        """Encodes the result of a command; see JsonCodec.encode_reply()."""
        try:
            body = length_field(_REPLY_TAGS[method], encode_message(result))
        except UnicodeEncodeError as error:
            raise UnencodableData("the text is not valid Unicode") from error
        return _ID + varint(command_id) + body if command_id else body

    def encode_error(self, command_id: int, error: ClientError) -> bytes:
        """Encodes an error reply (wire name `Error`)."""
        try:
            body = length_field(_ERROR, encode_message(error))
        except UnicodeEncodeError as cause:
            raise UnencodableData("the text is not valid Unicode") from cause
        return _ID + varint(command_id) + body if command_id else body

    def encode_entry(self, entry: PublicationEntry) -> bytes:
        """Encodes a publication inside a result, to be given back in its `encoded`; raises as encode_publication()."""
        try:
            return encode_entry(entry)
        except UnicodeEncodeError as error:
            raise UnencodableData("the text is not valid Unicode") from error

    def encode_push(self, kind: str, channel: str, body: msgspec.Struct, *, unidirectional: bool) -> bytes:
        """Encodes a push other than a publication; see JsonCodec.encode_push()."""
        try:
            return _encode_push(_PUSH_TAGS[kind], channel, encode_message(body), unidirectional)
        except UnicodeEncodeError as error:
            raise UnencodableData("the text is not valid Unicode") from error

    def encode_publication(
        self,
        channel: str,
        publication: Publication,
        *,
        unidirectional: bool,
        fossil: bool = False,
        patch: bytes | None = None,
    ) -> bytes:
        """Encodes the push of a publication (field `pub`).

        Args:
            channel: channel of the subscription.
            publication: what to push.
            unidirectional: leaves out the Reply around the push.
            fossil: the subscriber negotiated delta.
            patch: Fossil patch to send in place of the payload.

        Raises:
            UnencodableData: a text is not valid Unicode.
        """
        try:
            return _encode_push(_PUB, channel, encode_publication(publication, fossil, patch), unidirectional)
        except UnicodeEncodeError as error:
            raise UnencodableData("the text is not valid Unicode") from error


PROTOBUF = ProtobufCodec()


def _encode_push(prefix: bytes, channel: str, body: bytes, unidirectional: bool) -> bytes:
    push = b"%b%b%b" % (prefix, varint(len(body)), body)
    if channel:
        name = channel.encode()
        push = b"%b%b%b%b" % (_CHANNEL, varint(len(name)), name, push)
    return push if unidirectional else b"%b%b%b" % (_PUSH, varint(len(push)), push)


def _decode_messages(message: bytes) -> Iterator[Command]:
    start, size = 0, len(message)
    while start < size:
        length, body = read_varint(message, start)
        start = body + length
        if body < 0 or start > size:
            raise ProtocolError("a command is cut off")
        yield decode_command(message[body:start]) if length else PONG
