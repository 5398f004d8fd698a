"""The methods of the server API, once for all bindings."""

from .calls import MAX_BATCH_COMMANDS, Methods
from .commands import Command, Reply
from .table import METHODS, Method

__all__ = ["MAX_BATCH_COMMANDS", "METHODS", "Command", "Method", "Methods", "Reply"]
