"""Stages that overlap: each runs in a thread of its own, and short queues between them bound the memory."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any

_END = object()


class Pipeline:
    """Passes items of a source through named stages, in order, and measures each stage's busy seconds.

    An error in any stage, or in the consumer, stops the others and comes out of the iteration.
    """

    def __init__(
        self, source: Iterable[Any], stages: Mapping[str, Callable[[Any], Any]], *, depth: int = 1
    ) -> None:
        self._source = source
        self._stages = stages
        self._depth = depth
        self._stopped = threading.Event()
        self._errors: list[BaseException] = []
        self.seconds: dict[str, float] = dict.fromkeys(stages, 0.0)

    def __iter__(self) -> Generator[Any, None, None]:
        queues = [queue.Queue[Any](self._depth) for _ in range(len(self._stages) + 1)]
        threads = [threading.Thread(target=self._feed, args=(queues[0],), daemon=True)]
        for (name, work), inbound, outbound in zip(self._stages.items(), queues, queues[1:], strict=False):
            threads.append(
                threading.Thread(target=self._run, args=(name, work, inbound, outbound), name=name, daemon=True)
            )
        for thread in threads:
            thread.start()
        try:
            while (item := self._get(queues[-1])) is not _END:
                yield item
        finally:
            self._stopped.set()
            for thread in threads:
                thread.join()
        if self._errors:
            raise self._errors[0]

    def _feed(self, outbound: queue.Queue[Any]) -> None:
        try:
            for item in self._source:
                self._put(outbound, item)
        except BaseException as error:
            self._fail(error)
        self._put(outbound, _END)

    def _run(
        self, name: str, work: Callable[[Any], Any], inbound: queue.Queue[Any], outbound: queue.Queue[Any]
    ) -> None:
        try:
            while (item := self._get(inbound)) is not _END:
                started = time.perf_counter()
                result = work(item)
                self.seconds[name] += time.perf_counter() - started
                self._put(outbound, result)
        except BaseException as error:
            self._fail(error)
        self._put(outbound, _END)

    def _fail(self, error: BaseException) -> None:
        self._errors.append(error)
        self._stopped.set()

    def _put(self, target: queue.Queue[Any], item: Any) -> None:
        while not self._stopped.is_set():
            try:
                target.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def _get(self, source: queue.Queue[Any]) -> Any:
        while True:
            try:
                return source.get(timeout=0.1)
            except queue.Empty:
                if self._stopped.is_set():
                    return _END
