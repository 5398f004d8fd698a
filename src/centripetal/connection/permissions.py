"""What a client may do in a channel, by the namespace's `allow_*` options and `client.insecure`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..model.errors import ERROR_BAD_REQUEST
from ..node.settings import ChannelOptions

if TYPE_CHECKING:
    from .client import Client


def check_name(client: Client, channel: str) -> ChannelOptions:
    """Returns a channel's options.

    Raises:
        ClientError: 102, unknown namespace; 107, the name is not well formed.
    """
    namespaces = client.node.namespaces
    options = namespaces.options_of(channel)
    if not namespaces.is_valid_name(channel):
        raise ERROR_BAD_REQUEST
    return options


def is_subscribed(client: Client, channel: str) -> bool:
    """Whether the client has a live subscription."""
    subscription = client.subscriptions.get(channel)
    return subscription is not None and subscription.live


def _allows(
    client: Client, channel: str, for_client: bool, for_subscriber: bool, for_anonymous: bool, subscribed: bool
) -> bool:
    if client.user or for_anonymous:
        if for_client:
            return True
        if for_subscriber and (subscribed or is_subscribed(client, channel)):
            return True
    return client.node.client.insecure


def may_publish(client: Client, channel: str, options: ChannelOptions) -> bool:
    """Whether the client may publish."""
    return _allows(
        client,
        channel,
        options.allow_publish_for_client,
        options.allow_publish_for_subscriber,
        options.allow_publish_for_anonymous,
        False,
    )


def may_publish_key(client: Client, channel: str, options: ChannelOptions) -> bool:
    """Whether the client may write keys of a map."""
    allowed = options.map
    return _allows(
        client,
        channel,
        allowed.allow_publish_for_client,
        allowed.allow_publish_for_subscriber,
        allowed.allow_publish_for_anonymous,
        False,
    )


def may_remove_key(client: Client, channel: str, options: ChannelOptions) -> bool:
    """Whether the client may remove keys of a map."""
    allowed = options.map
    return _allows(
        client,
        channel,
        allowed.allow_remove_for_client,
        allowed.allow_remove_for_subscriber,
        allowed.allow_remove_for_anonymous,
        False,
    )


def may_read_history(client: Client, channel: str, options: ChannelOptions, *, subscribed: bool = False) -> bool:
    """Whether the client may read the history; `subscribed` counts it as a subscriber already."""
    return _allows(
        client,
        channel,
        options.allow_history_for_client,
        options.allow_history_for_subscriber,
        options.allow_history_for_anonymous,
        subscribed,
    )


def may_read_presence(client: Client, channel: str, options: ChannelOptions, *, subscribed: bool = False) -> bool:
    """Whether the client may read presence; `subscribed` counts it as a subscriber already."""
    return _allows(
        client,
        channel,
        options.allow_presence_for_client,
        options.allow_presence_for_subscriber,
        options.allow_presence_for_anonymous,
        subscribed,
    )
