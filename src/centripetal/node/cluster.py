"""The other nodes: which there are, what they are told, what they are asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from ..interfaces import BrokerError, Clock, Controller
from ..model import ClientError
from . import control
from .counters import Counters

ALIVE_SECONDS = 3
"""A node tells of itself so often."""

SILENCE_SECONDS = 10.0
"""A node that was not heard for so long is gone."""

ANSWER_SECONDS = 5.0
"""Nodes that have not answered a question by then are left out, if the question does not say otherwise."""

MAX_QUESTIONS = 10_000
"""More open questions than this are refused."""

STEERING = "steering"
"""The topic by which nodes of a group have each other do what they are told."""

_decode_refusal = msgspec.msgpack.Decoder(tuple[int, str]).decode

Handler = Callable[[bytes], Awaitable[bytes]]

_log = structlog.get_logger("centripetal.node")


class ClusterError(BrokerError):
    """Another node could not be asked."""


class Member:
    """Another node.

    Attributes:
        description: in the wire names of `NodeResult`.
        group, session_prefix: see control.Alive.
        heard_at: monotonic seconds.
    """

    __slots__ = ("description", "group", "heard_at", "session_prefix")

    def __init__(self, description: dict[str, Any], group: str, session_prefix: str, heard_at: float) -> None:
        self.description = description
        self.group = group
        self.session_prefix = session_prefix
        self.heard_at = heard_at


@dataclass(frozen=True)
class Membership:
    """How a node is one of several.

    Attributes:
        controller: carries messages between them.
        group, session_prefix: see control.Alive.
    """

    controller: Controller
    group: str = ""
    session_prefix: str = ""


class Cluster:
    """This node among the others; the controller's ControlEvents.

    Args:
        node: its id.
        membership: how it is one of them.
        clock: tells who has been silent.
        counters: counts messages and the time of surveys.
        describe: returns this node's description.
        carry_out: does what another node tells.

    Attributes:
        members: the other nodes by id.
        handlers: answer questions, by topic.
    """

    def __init__(
        self,
        node: str,
        membership: Membership,
        clock: Clock,
        counters: Counters,
        describe: Callable[[], dict[str, object]],
        carry_out: Callable[[control.AnyMessage], Coroutine[Any, Any, None]],
    ) -> None:
        self.node = node
        self.group = membership.group
        self.session_prefix = membership.session_prefix
        self.members: dict[str, Member] = {}
        self.handlers: dict[str, Handler] = {STEERING: self._answer_steering}
        self._controller = membership.controller
        self._clock = clock
        self._counters = counters
        self._describe = describe
        self._carry_out = carry_out
        self._questions: dict[int, _Survey] = {}
        self._last_question = 0
        self._seconds = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._controller.bind(self)

    async def start(self) -> None:
        """Meets the others.

        Raises:
            BrokerError: the controller cannot be reached.
        """
        await self._controller.start(self.node)
        await self._tell_alive(greets=True)

    async def stop(self) -> None:
        """Says goodbye."""
        try:
            await self.tell(control.Gone(sender=self.node))
        except BrokerError as error:
            _log.warning("goodbye_not_sent", error=str(error))
        for task in tuple(self._tasks):
            task.cancel()
        await self._controller.stop()

    def group_members(self) -> list[str]:
        """Returns the other nodes of this one's group."""
        return [name for name, member in self.members.items() if self.group and member.group == self.group]

    def is_known(self, public_id: str) -> bool:
        """Whether there is a node, or a group, with an id."""
        return public_id == (self.group or self.node) or any(
            public_id == (member.group or name) for name, member in self.members.items()
        )

    def holder_of(self, public_id: str, session: str) -> str | None:
        """Returns the node that has a session, None if there is none (any more)."""
        for name, member in self.members.items():
            if public_id == (member.group or name) and session.startswith(member.session_prefix):
                return name
        return None

    async def steer(self, message: control.AnyMessage) -> None:
        """Has the other nodes do something with their connections; waits for those of this group.

        Args:
            message: what to do.

        Raises:
            BrokerError: it cannot be sent.
            ClientError: what a node of this group says against it.
        """
        group = self.group_members()
        for name in list(self.members):  # some may come or go meanwhile
            if name not in group:
                await self.tell(message, name)
        answers = await self.ask(STEERING, control.encode(message), group)
        for answer in answers.values():
            code, text = _decode_refusal(answer)
            if code:
                raise ClientError(code, text)

    async def _answer_steering(self, body: bytes) -> bytes:
        try:
            await self._carry_out(control.decode(body))
        except ClientError as error:
            return msgspec.msgpack.encode((error.code, error.message))
        return msgspec.msgpack.encode((0, ""))

    def num_nodes(self) -> int:
        """Returns how many nodes there are, with those of a group as one."""
        return len({self.group or self.node} | {member.group or name for name, member in self.members.items()})

    def greet(self) -> None:
        """Meets the others again, after messages may have been lost."""
        self._run(self._tell_alive(greets=True))

    def every_second(self) -> None:
        """Tells of this node now and then, and forgets those that are silent."""
        self._seconds += 1
        if self._seconds % ALIVE_SECONDS == 0:
            self._run(self._tell_alive())
        oldest = self._clock.monotonic() - SILENCE_SECONDS
        for name in [name for name, member in self.members.items() if member.heard_at < oldest]:
            self._forget(name)

    async def tell(self, message: control.AnyMessage, node: str = "") -> None:
        """Tells all others something, or one.

        Raises:
            BrokerError: it cannot be sent.
        """
        self._counters.controls_sent += 1
        await self._controller.send(node, control.encode(message))

    async def ask(
        self, topic: str, body: bytes = b"", nodes: Sequence[str] | None = None, *, seconds: float = ANSWER_SECONDS
    ) -> dict[str, bytes]:
        """Asks other nodes, and waits for their answers.

        Args:
            topic: which handler answers.
            body: what it needs.
            nodes: ids of members; None for all.
            seconds: nodes that have not answered by then are left out.

        Returns:
            Answers by node id; without those that failed or did not come in time.

        Raises:
            BrokerError: it cannot be sent.
            ClusterError: too much is asked already.
        """
        asked = set(self.members if nodes is None else nodes)
        if not asked:
            return {}
        if len(self._questions) >= MAX_QUESTIONS:
            raise ClusterError("too many questions are open")
        self._last_question = number = self._last_question + 1
        survey = self._questions[number] = _Survey(asked, asyncio.get_running_loop())
        started = self._clock.monotonic()
        try:
            question = control.Question(sender=self.node, number=number, topic=topic, body=body)
            for node in ("",) if nodes is None else nodes:
                await self.tell(question, node)
            await survey.wait(seconds)
        finally:
            del self._questions[number]
        self._counters.survey_duration[topic].observe(self._clock.monotonic() - started)
        return survey.answers

    def on_control(self, address: str, message: bytes) -> None:
        """Takes a message; see ControlEvents."""
        try:
            decoded = control.decode(message)
        except msgspec.DecodeError as error:
            _log.warning("control_message_not_understood", error=str(error))
            return
        sender = decoded.sender
        if sender == self.node:
            return
        self._counters.controls_received += 1
        match decoded:
            case control.Alive():
                self._hear(decoded)
            case control.Gone():
                self._forget(sender)
            case control.Answer():
                survey = self._questions.get(decoded.number)
                if survey is not None:
                    survey.take(sender, None if decoded.failed else decoded.body)
            case control.Question():
                self._run(self._answer(decoded))
            case _:
                self._run(self._carry_out_told(decoded))

    def _hear(self, message: control.Alive) -> None:
        known = message.sender in self.members
        self.members[message.sender] = Member(
            message.description, message.group, message.session_prefix, self._clock.monotonic()
        )
        if message.greets or not known:
            self._run(self._tell_alive())

    def _forget(self, node: str) -> None:
        if self.members.pop(node, None) is not None:
            for survey in list(self._questions.values()):
                survey.take(node, None)

    async def _carry_out_told(self, message: control.AnyMessage) -> None:
        """Does what a node of another group tells; it does not learn of failures."""
        try:
            await self._carry_out(message)
        except ClientError as error:
            _log.info("told_in_vain", message=type(message).__name__, code=error.code)

    async def _answer(self, question: control.Question) -> None:
        handler = self.handlers.get(question.topic)
        body, failed = b"", handler is None
        if handler is not None:
            try:
                body = await handler(question.body)
            except Exception:  # noqa: BLE001 - the one who asks must not wait
                _log.exception("question_not_answered", topic=question.topic)
                failed = True
        answer = control.Answer(sender=self.node, number=question.number, body=body, failed=failed)
        await self.tell(answer, question.sender)

    async def _tell_alive(self, *, greets: bool = False) -> None:
        await self.tell(
            control.Alive(
                sender=self.node,
                description=self._describe(),
                group=self.group,
                greets=greets,
                session_prefix=self.session_prefix,
            )
        )

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._quietly(coroutine))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _quietly(self, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            await coroutine
        except BrokerError as error:
            _log.warning("control_message_not_sent", error=str(error))
        except Exception:  # noqa: BLE001 - one message must not end the others
            _log.exception("control_message_failed")


class _Survey:
    """Answers to one question, until all are there."""

    def __init__(self, asked: set[str], loop: asyncio.AbstractEventLoop) -> None:
        self.answers: dict[str, bytes] = {}
        self._missing = asked
        self._complete: asyncio.Future[None] = loop.create_future()

    def take(self, node: str, answer: bytes | None) -> None:
        if node in self._missing:
            self._missing.discard(node)
            if answer is not None:
                self.answers[node] = answer
            if not self._missing and not self._complete.done():
                self._complete.set_result(None)

    async def wait(self, seconds: float) -> None:
        await asyncio.wait([self._complete], timeout=seconds)
