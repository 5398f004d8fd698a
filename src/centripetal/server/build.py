"""Chooses implementations: a configuration becomes a node."""

from __future__ import annotations

import socket

import msgspec

from .. import __version__
from ..auth import JwtVerifier, KeySets
from ..config import Config
from ..interfaces import Clock, SystemClock
from ..node.cluster import Membership
from ..node.node import Node
from ..node.polls.polls import CONCURRENCY
from ..node.settings import NodeOptions, SharedPollSettings
from .engine import Engine, WorkerEngine, memory_engine


def token_verifier(config: Config, clock: Clock, key_sets: KeySets | None) -> JwtVerifier:
    """Returns the verifier of connection and subscription tokens.

    Args:
        config: the configuration.
        clock: tells whether a token is expired.
        key_sets: fetches keys; outlives the verifier, so that a reload keeps them.

    Raises:
        TokenSettingsError: an option cannot be used.
    """
    return JwtVerifier(
        config.client.token,
        config.client.subscription_token,
        clock=clock,
        insecure_skip_signature_verify=config.client.insecure_skip_token_signature_verify,
        key_sets=key_sets,
    )


def share_of_polls(config: Config, workers: int) -> SharedPollSettings:
    """Returns the settings of shared polls for one of several workers: each may make an equal share of the calls."""
    limit = max((config.shared_poll.concurrency_limit or CONCURRENCY) // workers, 1)
    return msgspec.structs.replace(config.shared_poll, concurrency_limit=limit)


def node_options(config: Config, workers: int) -> NodeOptions:
    """Returns the options of a node that is one of several workers, or the only one."""
    polls = share_of_polls(config, workers)
    return NodeOptions(client=config.client, channel=config.channel, rpc=config.rpc, shared_poll=polls)


def build_node(
    config: Config, key_sets: KeySets | None = None, engine: Engine | None = None, workers: int = 1
) -> Node:
    """Returns a node with the engine that the configuration asks for. Needs a running event loop.

    Args:
        config: the configuration.
        key_sets: fetches the keys of tokens; needed if an endpoint for them is set.
        engine: to use instead of a new one.
        workers: how many nodes share the work of this server.

    Raises:
        TokenSettingsError: a token option cannot be used.
    """
    clock = SystemClock()
    engine = engine or memory_engine(config, clock)
    worker = engine if isinstance(engine, WorkerEngine) else None
    return Node(
        broker=engine.broker,
        presence=engine.presence,
        map_broker=engine.map_broker,
        options=node_options(config, workers),
        tokens=token_verifier(config, clock, key_sets),
        clock=clock,
        membership=None if worker is None else Membership(worker.controller, worker.group, worker.session_prefix),
        name=config.node.name or f"{socket.gethostname()}_{config.http_server.port}",
        version=__version__,
    )
