"""Questions asked at the same moment are answered by one statement."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from sqlalchemy.exc import TimeoutError as PoolTimeout

AskT = TypeVar("AskT")
AnswerT = TypeVar("AnswerT")


class Batched(Generic[AskT, AnswerT]):
    """While one batch is being answered the next one gathers: the busier, the larger.

    `answer` gives one answer a question, in their order; what it raises reaches all who asked. If
    it waited for a connection in vain, so have those who gathered meanwhile: they are told too.
    """

    def __init__(
        self, answer: Callable[[Sequence[AskT]], Awaitable[Sequence[AnswerT]]], most: int
    ) -> None:
        self._answer = answer
        self._most = most
        self._asked: list[tuple[AskT, asyncio.Future[AnswerT]]] = []
        self._answering: asyncio.Task[None] | None = None

    async def ask(self, question: AskT) -> AnswerT:
        future: asyncio.Future[AnswerT] = asyncio.get_running_loop().create_future()
        self._asked.append((question, future))
        if self._answering is None:
            self._answering = asyncio.create_task(self._answer_all(), name="batched")
        return await future

    async def _answer_all(self) -> None:
        while self._asked:
            batch = self._asked[: self._most]
            del self._asked[: self._most]
            await self._answer_batch(batch)
        self._answering = None

    async def _answer_batch(self, batch: Sequence[tuple[AskT, asyncio.Future[AnswerT]]]) -> None:
        try:
            answers = await self._answer([question for question, _ in batch])
        except Exception as failure:  # noqa: BLE001 - it is raised where the question was asked
            if isinstance(failure, PoolTimeout):
                batch = [*batch, *self._asked]
                self._asked.clear()
            for _, future in batch:
                if not future.done():
                    future.set_exception(failure)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():  # who asked may have gone
                future.set_result(answer)
