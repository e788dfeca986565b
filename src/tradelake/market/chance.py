"""Chance that falls the same on every machine and Python version, from one seed.

Only `random()` and `getrandbits()` of the Mersenne Twister are used, which Python keeps stable;
other methods have changed between versions (as has `sum` of floats, in 3.12), and libm's log, exp
and cos differ in the last digit between machines. What remains is + − × ÷ and square root, which
IEEE 754 fixes to the last bit, and tables of exp and ln from `decimal`, correctly rounded anywhere.
"""

import random
from bisect import bisect
from collections.abc import Iterable
from decimal import Context, Decimal
from functools import cache
from itertools import accumulate
from typing import Generic, TypeVar
from uuid import UUID

from tradelake.errors import UsageError

T = TypeVar("T")

_BITS = 256
"""Ones among 256 fair bits: a bell curve around 128 with standard deviation 8."""

_CELLS = 512
"""Cells of the exponential's table; within a cell it is drawn evenly."""

_TABLES = Context(prec=28)


class Weighted(Generic[T]):
    """Things of which some are drawn more often; `Chance.pick` draws one."""

    def __init__(self, weights: Iterable[tuple[T, float]]) -> None:
        pairs = list(weights)
        self.things = [thing for thing, _ in pairs]
        self.bounds = list(accumulate(weight for _, weight in pairs))


class Chance:
    """A stream of draws.

    Raises:
        UsageError: the seed is negative (Python would play it as its positive twin).
    """

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise UsageError(f"the seed is {seed}; give a whole number from 0 on")
        twister = random.Random(seed)
        self.even = twister.random
        self._bits = twister.getrandbits

    def happens(self, probability: float) -> bool:
        """True with the probability given."""
        return self.even() < probability

    def between(self, low: float, high: float) -> float:
        """A number drawn evenly from low to high."""
        return low + (high - low) * self.even()

    def index(self, count: int) -> int:
        """A whole number from 0 to count − 1."""
        return int(self.even() * count)

    def pick(self, choices: Weighted[T]) -> T:
        """One of the things, by weight."""
        bounds = choices.bounds
        return choices.things[bisect(bounds, self.even() * bounds[-1], 0, len(bounds) - 1)]

    def bell(self) -> float:
        """Normal to the eye: mean 0, standard deviation 1, in steps of 1/8."""
        return (self._bits(_BITS).bit_count() - _BITS // 2) / 8

    def lognormal(self, median: float, sigma: float) -> float:
        """Lognormal with a median and the standard deviation of the logarithm."""
        step = self._bits(_BITS).bit_count()
        table = _exponentials(sigma)
        below, above = table[step], table[step + 1]
        return median * (below + (above - below) * (self.even() - 0.5))

    def exponential(self, mean: float) -> float:
        """Waiting time of something that may happen at any moment."""
        table = _waits()
        waited = 0.0
        while True:
            place = self.even() * _CELLS
            cell = int(place)
            if cell < _CELLS - 1:
                return mean * (
                    waited + table[cell] + (table[cell + 1] - table[cell]) * (place - cell)
                )
            waited += table[cell]  # the last cell has no end: wait on, without memory

    def pareto(self, least: float, most: float) -> float:
        """Heavy-tailed: half as many for every doubling, from least up to most."""
        return min(most, least / (1.0 - self.even()))

    def hex(self, digits: int) -> str:
        """Hexadecimal digits."""
        return f"{self._bits(4 * digits):0{digits}x}"

    def uuid(self) -> str:
        """A version 4 UUID."""
        return str(UUID(int=self._bits(128), version=4))


@cache
def _exponentials(sigma: float) -> list[float]:
    exact = Decimal(str(sigma))
    steps = (Decimal(step - _BITS // 2) / 8 for step in range(_BITS + 2))
    return [float(_TABLES.exp(_TABLES.multiply(exact, step))) for step in steps]


@cache
def _waits() -> list[float]:
    left = (_TABLES.divide(_CELLS - cell, _CELLS) for cell in range(_CELLS))
    return [float(-_TABLES.ln(share)) for share in left]
