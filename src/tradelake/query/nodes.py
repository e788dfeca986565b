"""Small pieces that every rewriting uses: calls, literals, marks."""

from sqlglot import exp

from tradelake.errors import QueryError

TYPED = "typed"
"""Where a node keeps what is still to be decided by its operands' types: see `typed.py`."""


def call(name: str, *arguments: exp.Expression) -> exp.Anonymous:
    """A call of the engine's own function; the arguments are copied."""
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def marked(node: exp.Expression, rule: str) -> exp.Expression:
    """The node, left to a rule of `typed.py`."""
    node.meta[TYPED] = rule
    return node


def literal(node: exp.Expression, what: str) -> str:
    """The text of a plain text literal; raises QueryError where it is something else."""
    if not (isinstance(node, exp.Literal) and node.is_string):
        raise QueryError(f"{what} must be written as a plain text")
    return str(node.name)


def whole_number(node: exp.Expression, what: str, most: int) -> int:
    """The value of an integer literal from 0 to most; raises QueryError otherwise."""
    if isinstance(node, exp.Literal) and node.is_int and int(node.name) <= most:
        return int(node.name)
    raise QueryError(f"{what} must be written as a number up to {most}")
