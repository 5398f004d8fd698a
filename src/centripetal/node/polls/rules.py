"""How the channels of a namespace are polled."""

from __future__ import annotations

from msgspec import Struct

from ..settings import SharedPollOptions

REFRESH_INTERVAL_SECONDS = 10.0
REFRESH_BATCH_SIZE = 1000
MAX_KEYS_PER_CONNECTION = 5000
CHANNEL_SHUTDOWN_DELAY_SECONDS = 1.0
TRACK_EXPIRED_EXTRA_DELAY_SECONDS = 25.0
"""What holds where the namespace does not say."""


class PollRules(Struct, frozen=True, kw_only=True):
    """The options `shared_poll.*` of a namespace, with the defaults filled in.

    Attributes:
        hook: name of the hook that is asked (`proxy_name`).
        interval_seconds: from one refresh of a key to the next (`refresh_interval`).
        max_interval_seconds: so far it may grow while the backend is slow (`backpressure_max_interval`); 0 for no growth.
        batch_size: keys in one call (`refresh_batch_size`).
        max_keys: keys of one subscription (`max_keys_per_connection`).
        versioned: the backend gives versions (`mode`); otherwise its data are compared.
        shutdown_delay_seconds: a channel without subscribers is forgotten after this (`channel_shutdown_delay`).
        extra_delay_seconds: keys are tracked for so long beyond their signature (`track_expired_extra_delay`).
        publish_enabled: values come through the API, too.
        keep_data: the latest value of each key is kept (`keep_latest_data`).
    """

    hook: str = ""
    interval_seconds: float = REFRESH_INTERVAL_SECONDS
    max_interval_seconds: float = 0.0
    batch_size: int = REFRESH_BATCH_SIZE
    max_keys: int = MAX_KEYS_PER_CONNECTION
    versioned: bool = False
    shutdown_delay_seconds: float = CHANNEL_SHUTDOWN_DELAY_SECONDS
    extra_delay_seconds: float = TRACK_EXPIRED_EXTRA_DELAY_SECONDS
    publish_enabled: bool = False
    keep_data: bool = False


def rules_of(options: SharedPollOptions) -> PollRules:
    """Returns the rules of a namespace; zero and less mean the default, but for the shutdown delay, which may be none."""
    shutdown = options.channel_shutdown_delay
    return PollRules(
        hook=options.proxy_name,
        interval_seconds=options.refresh_interval if options.refresh_interval > 0 else REFRESH_INTERVAL_SECONDS,
        max_interval_seconds=options.backpressure_max_interval,
        batch_size=options.refresh_batch_size if options.refresh_batch_size > 0 else REFRESH_BATCH_SIZE,
        max_keys=options.max_keys_per_connection if options.max_keys_per_connection > 0 else MAX_KEYS_PER_CONNECTION,
        versioned=options.mode == "versioned",
        shutdown_delay_seconds=max(shutdown, 0.0) if shutdown else CHANNEL_SHUTDOWN_DELAY_SECONDS,
        extra_delay_seconds=(
            options.track_expired_extra_delay
            if options.track_expired_extra_delay > 0
            else TRACK_EXPIRED_EXTRA_DELAY_SECONDS
        ),
        publish_enabled=options.publish_enabled,
        keep_data=options.keep_latest_data,
    )
