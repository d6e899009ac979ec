"""The thread of a synchronous client that watches, keeps leases alive and waits for locks: an asyncio loop with an
engine of its own, started by the first of these. Plain calls never pass through it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from zetcd.base import errors as etcd
from zetcd.client.reactor import Engine
from zetcd.session.errors import CLIENT_CLOSED, Error
from zetcd.session.options import Options

T = TypeVar("T")


class Background:
    """One loop in one thread, and the engine in it."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self.engine = Engine(options)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise Error(etcd.CANCELED, CLIENT_CLOSED)
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._main, name="zetcd-client", daemon=True)
                self._thread.start()
            return self._loop

    def _main(self) -> None:
        assert self._loop is not None
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do work in the loop, and wait for it; an interrupt here cancels it there."""
        try:
            loop = self._running()
        except Error:
            work.close()
            raise
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:  # also an interrupt: the work ends with whoever wanted it
            future.cancel()
            raise

    def tell(self, act: Callable[[], object]) -> None:
        """Do a short thing in the loop, soon."""
        self._running().call_soon_threadsafe(act)

    def close(self) -> None:
        """End what runs in the loop, and the thread."""
        with self._lock:
            loop, thread = self._loop, self._thread
            already, self._closed = self._closed, True
        if loop is None or thread is None or already:
            return
        asyncio.run_coroutine_threadsafe(self.engine.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
