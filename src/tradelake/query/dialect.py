"""Trino's grammar as sqlglot reads it, but no function known to it except by its own syntax.

sqlglot would read `instr`, `len` or `ifnull` as what other engines mean by them, and translate a
known function in its own way. Here `name(…)` stays a name, which `functions.py` knows or doesn't.
"""

from sqlglot import exp
from sqlglot.dialects.trino import Trino

_OWN_SYNTAX = ("CAST", "TRY_CAST", "EXTRACT", "TRIM", "POSITION", "SUBSTRING")
"""Functions with words between their brackets: cast(x AS type), trim(BOTH 'x' FROM y) …"""


class Athena(Trino):  # type: ignore[misc]
    """The dialect of queries."""

    class Parser(Trino.parser_class):  # type: ignore[misc]
        FUNCTIONS = {"AVG": exp.Avg.from_arg_list}  # noqa: RUF012 - as sqlglot declares it
        FUNCTION_PARSERS = {  # noqa: RUF012
            name: parse
            for name, parse in Trino.parser_class.FUNCTION_PARSERS.items()
            if name in _OWN_SYNTAX
        }
