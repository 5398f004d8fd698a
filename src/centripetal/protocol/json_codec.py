"""The JSON encoding: newline-separated commands in, one JSON object for each reply or push out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec

from ..model import ClientError, Publication
from . import json_fields
from .commands import Command, ConnectRequest, EmulationRequest, EmulationText
from .errors import ProtocolError, UnencodableData
from .json_nulls import drop_nulls
from .json_text import MAX_DEPTH, NEWLINE, is_too_deep, is_utf8, replace_lone_surrogates
from .results import PublicationEntry

_Request = TypeVar("_Request", bound=msgspec.Struct)


_COMMAND = msgspec.json.Decoder(Command)
_CONNECT = msgspec.json.Decoder(ConnectRequest)
_EMULATION = msgspec.json.Decoder(EmulationText)

_encode = msgspec.json.Encoder().encode


class JsonCodec:
    """Encodes and decodes the JSON form of the client protocol. Stateless; JSON is its shared instance.

    Attributes:
        name: `json`.
        ping: the server's ping, and the client's pong.
    """

    name = "json"
    ping = b"{}"

    def decode_commands(self, message: bytes) -> Iterable[Command]:
        """Decodes one transport message.

        Args:
            message: commands separated by one newline each, with or without one at the end.

        Returns:
            The commands. Several are decoded one by one as they are asked for, so that those before a malformed
            one can be carried out.

        Raises:
            ProtocolError: the message, or while iterating the next command, is malformed.
        """
        if NEWLINE in message:
            return _decode_lines(message)
        return (_decode(_COMMAND, message),)

    def decode_connect(self, message: bytes) -> ConnectRequest:
        """Decodes the bare connect request with which a unidirectional connection starts.

        Raises:
            ProtocolError: it is malformed.
        """
        return _decode(_CONNECT, message)

    def decode_emulation(self, body: bytes) -> EmulationRequest:
        """Decodes the body of an emulation request.

        Raises:
            ProtocolError: it is malformed.
        """
        request = _decode(_EMULATION, body)
        return EmulationRequest(node=request.node, session=request.session, data=request.data.encode())

    def encode_reply(self, command_id: int, method: str, result: msgspec.Struct) -> bytes:
        """Encodes the result of a command.

        Args:
            command_id: id of the command.
            method: field name in Reply, e.g. `subscribe`.
            result: one of the results in `protocol.results`.

        Raises:
            UnencodableData: embedded data is not JSON.
        """
        try:
            body = json_fields.encode_object(result)
        except UnicodeEncodeError as error:
            raise UnencodableData("the text is not valid Unicode") from error
        if command_id:
            return b'{"id":%d,"%b":%b}' % (command_id, method.encode(), body)
        return b'{"%b":%b}' % (method.encode(), body)

    def encode_error(self, command_id: int, error: ClientError) -> bytes:
        """Encodes an error reply (wire name `Error`)."""
        fields: dict[str, object] = {"code": error.code}
        if error.message:
            fields["message"] = error.message
        if error.temporary:
            fields["temporary"] = True
        reply: dict[str, object] = {"error": fields}
        try:
            return _encode({"id": command_id, **reply} if command_id else reply)
        except UnicodeEncodeError as cause:
            raise UnencodableData("the text is not valid Unicode") from cause

    def encode_entry(self, entry: PublicationEntry) -> bytes:
        """Encodes a publication inside a result, to be given back in its `encoded`; raises as encode_publication()."""
        try:
            return json_fields.encode_entry(entry)
        except UnicodeEncodeError as error:
            raise UnencodableData("the text is not valid Unicode") from error

    def encode_push(self, kind: str, channel: str, body: msgspec.Struct, *, unidirectional: bool) -> bytes:
        """Encodes a push other than a publication.

        Args:
            kind: field name in Push, e.g. `join`.
            channel: empty for pushes that concern the connection.
            body: one of the push bodies in `protocol.results`.
            unidirectional: leaves out the Reply around the push.

        Raises:
            UnencodableData: embedded data is not JSON.
        """
        try:
            return _encode_push(kind.encode(), channel, json_fields.encode_object(body), unidirectional)
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
            fossil: the subscriber negotiated delta, so `data` is a string that holds the text of the payload.
            patch: Fossil patch to send in place of the payload. Full data is sent if it is not valid UTF-8, for it
                may start or end within a character.

        Raises:
            UnencodableData: the payload is not valid JSON in UTF-8.
        """
        try:
            return _encode_push(
                b"pub", channel, json_fields.encode_publication(publication, fossil, patch), unidirectional
            )
        except UnicodeEncodeError as error:
            raise UnencodableData("the text is not valid Unicode") from error


JSON = JsonCodec()


def _encode_push(kind: bytes, channel: str, body: bytes, unidirectional: bool) -> bytes:
    start = b"{" if unidirectional else b'{"push":{'
    end = b"}" if unidirectional else b"}}"
    if channel:
        return b'%b"channel":%b,"%b":%b%b' % (start, _encode(channel), kind, body, end)
    return b'%b"%b":%b%b' % (start, kind, body, end)


def _decode_lines(message: bytes) -> Iterator[Command]:
    start = 0
    size = len(message)
    while start < size:
        end = message.find(b"\n", start)
        if end < 0:
            end = size
        yield _decode(_COMMAND, message[start:end])
        start = end + 1


def _decode(decoder: msgspec.json.Decoder[_Request], text: bytes) -> _Request:
    if len(text) > MAX_DEPTH and is_too_deep(text):
        raise ProtocolError("the message is nested too deep")
    if not (text.isascii() or is_utf8(text)):
        raise ProtocolError("the message is not UTF-8")
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return _decode_unusual(decoder, text, error)


def _decode_unusual(decoder: msgspec.json.Decoder[_Request], text: bytes, error: Exception) -> _Request:
    """Tries again for what is rare and legal: escaped halves of surrogate pairs, and fields that are null."""
    has_escapes, has_nulls = b"\\u" in text, b"null" in text
    if not has_escapes and not has_nulls:
        raise ProtocolError("the message is malformed") from error
    try:
        if has_escapes:
            text = replace_lone_surrogates(text)
        return decoder.decode(drop_nulls(text, decoder.type) if has_nulls else text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as cause:
        raise ProtocolError("the message is malformed") from cause
