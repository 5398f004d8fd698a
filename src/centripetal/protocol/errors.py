"""What can be wrong with bytes on their way in or out."""

from __future__ import annotations


class ProtocolError(Exception):
    """The peer sent something malformed; the connection ends with disconnect 3501."""


class UnencodableData(Exception):
    """A payload has no form in the client's encoding; the connection ends with disconnect 3506.

    Raised for JSON clients when embedded data is not valid JSON in UTF-8, and for text that UTF-8 cannot carry.
    """
