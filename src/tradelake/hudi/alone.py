"""One thread at a time: a second one that calls is refused instead of let in or kept waiting."""

from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from tradelake.errors import TableError


class HasTurn(Protocol):
    """Something that one thread uses at a time."""

    turn: RLock


S = TypeVar("S", bound=HasTurn)
P = ParamSpec("P")
R = TypeVar("R")


def alone(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """A method that raises TableError while another thread is in one of the object's methods."""

    @wraps(method)
    def called(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if not self.turn.acquire(blocking=False):
            raise TableError(
                "another thread is at work with this writer; a writer is not for several threads "
                "at once: let them take turns, or hand all work to one"
            )
        try:
            return method(self, *args, **kwargs)
        finally:
            self.turn.release()

    return called
