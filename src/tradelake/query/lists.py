"""Calls on arrays, maps and rows in DuckDB's words.

Source of what Trino does: trino.io/docs/current/functions/array.html, map.html, lambda.html.
"""

from collections.abc import Callable

from sqlglot import exp

from tradelake.errors import QueryError
from tradelake.query.decimals import fill
from tradelake.query.nodes import call, marked

MAX_SEQUENCE = 10_000
"""Trino's own limit on the entries of a sequence and a repeat; it also bounds memory."""


def _sequence(*given: exp.Expression) -> exp.Expression:
    return marked(call("sequence", *given), "sequence")


def bounded_sequence(
    start: exp.Expression, stop: exp.Expression, step: exp.Expression, cast: str = ""
) -> exp.Expression:
    """A sequence of integers, dates or times; more than MAX_SEQUENCE entries are an error."""
    far = f"start + {MAX_SEQUENCE - 1} * step"
    bounded = fill(
        f"CASE WHEN stop BETWEEN LEAST(start, {far}) AND GREATEST(start, {far}) THEN stop "
        f"WHEN stop IS NULL OR start IS NULL THEN NULL "
        f"ELSE ERROR('sequence must run towards its end in at most {MAX_SEQUENCE} entries') END",
        start=start,
        stop=stop,
        step=step,
    )
    made = call("generate_series", start, bounded, step)
    return fill(f"CAST(x AS {cast})", x=made) if cast else made


def _matching(name: str) -> Callable[..., exp.Expression]:
    def rewrite(array: exp.Expression, test: exp.Expression) -> exp.Expression:
        return call(name, call("list_transform", array, test))

    return rewrite


def _reduce(
    array: exp.Expression, first: exp.Expression, step: exp.Expression, last: exp.Expression
) -> exp.Expression:
    """Each step's state is bounded, since one that doubles would fill any memory in one call."""
    if isinstance(step, exp.Lambda):
        step.set("this", call("_tl_bounded", step.this))
    folded = call("list_reduce", array, step, first)
    return fill("list_transform([folded], f)[1]", folded=folded, f=last)


def _over(text: str, *names: str) -> Callable[..., exp.Expression]:
    """A call whose last argument is a lambda of several names; text has it as f, of one entry @.

    names: what each of the lambda's own names is in text.
    """

    def rewrite(*given: exp.Expression) -> exp.Expression:
        *values, function = given
        if not isinstance(function, exp.Lambda) or len(function.expressions) != len(names):
            raise QueryError(f"a lambda of {len(names)} names is needed here: (a, b) -> …")
        parts = {chr(ord("a") + place): value for place, value in enumerate(values)}
        entry = _unused(function)
        meant = {
            name.name: fill(part.replace("@", entry), **parts)
            for name, part in zip(function.expressions, names, strict=True)
        }
        body = _renamed(function.this.copy(), meant)
        return fill(text.replace("@", entry), f=body, **parts)

    return rewrite


def _unused(function: exp.Expression) -> str:
    """A name for the entry that no lambda within has."""
    used = {name.name for name in function.find_all(exp.Identifier)}
    return next(name for number in range(len(used) + 1) if (name := f"_tl{number}") not in used)


def _renamed(body: exp.Expression, meant: dict[str, exp.Expression]) -> exp.Expression:
    holder = exp.Paren(this=body)
    for name in list(body.find_all(exp.Identifier)):
        if name.name in meant and _is_variable(name, holder):
            name.replace(meant[name.name].copy())
    return holder


def _is_variable(name: exp.Identifier, holder: exp.Expression) -> bool:
    """Not a field's or column's name, nor the own name of a lambda within."""
    around = name.parent
    if isinstance(around, exp.Column | exp.TableAlias | exp.Alias | exp.ColumnDef):
        return False
    if isinstance(around, exp.Dot) and around.expression is name:
        return False
    while around is not None and around is not holder:
        if isinstance(around, exp.Lambda) and any(
            own.name == name.name for own in around.expressions
        ):
            return False
        around = around.parent
    return True


CALLS: dict[str, Callable[..., exp.Expression]] = {
    "cardinality": lambda whole: fill("CAST(cardinality(x) AS BIGINT)", x=whole),
    "sequence": _sequence,
    "any_match": _matching("_tl_any"),
    "all_match": _matching("_tl_all"),
    "none_match": _matching("_tl_none"),
    "reduce": _reduce,
    "map_filter": _over(
        "map_from_entries(list_filter(map_entries(a), lambda @: f))", "@.key", "@.value"
    ),
    "transform_values": _over(
        "map(map_keys(a), list_transform(map_entries(a), lambda @: f))", "@.key", "@.value"
    ),
    "transform_keys": _over(
        "map(list_transform(map_entries(a), lambda @: f), map_values(a))", "@.key", "@.value"
    ),
    "map_zip_with": _over(
        "map(_tl_both_keys(a, b), list_transform(_tl_both_keys(a, b), lambda @: f))",
        "@",
        "a[@]",
        "b[@]",
    ),
    "zip_with": _over(
        "CASE WHEN a IS NOT NULL AND b IS NOT NULL THEN "
        "list_transform(list_zip(a, b), lambda @: f) END",
        "@[1]",
        "@[2]",
    ),
}
