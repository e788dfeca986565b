"""Running one function over several things on a small pool, to the end of the last of them."""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, wait
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def run_all(pool: Executor, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """The results in order. An error is raised once nothing runs any more.

    So whoever handles the error (by rolling back) never races with what it undoes.
    """
    futures = [pool.submit(function, item) for item in items]
    try:
        wait(futures)
        return [future.result() for future in futures]
    finally:
        for future in futures:
            future.cancel()
        wait(futures)
