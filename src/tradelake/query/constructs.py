"""What stands in the arguments of a node and would be another query, or none, in Trino."""

from sqlglot import exp

from tradelake.errors import QueryError

_AGGREGATES_IN_GROUP = ("listagg",)
_IGNORING = ("first_value", "last_value", "nth_value", "lag", "lead")


def check_construct(node: exp.Expression) -> None:
    """Raises QueryError for a form that the engine takes and Trino doesn't, or takes otherwise."""
    if isinstance(node, exp.Select):
        _select(node)
    elif isinstance(node, exp.Join):
        _join(node)
    elif isinstance(node, exp.LimitOptions):
        if node.args.get("with_ties") or node.args.get("percent"):
            raise QueryError("WITH TIES and PERCENT are not supported; use rank()")
    elif isinstance(node, exp.Group):
        if node.args.get("all") is not None or node.args.get("totals"):
            raise QueryError("GROUP BY ALL, GROUP BY DISTINCT and TOTALS are not supported")
    elif isinstance(node, exp.Between):
        if node.args.get("symmetric"):
            raise QueryError("BETWEEN SYMMETRIC is not supported")
    elif isinstance(node, exp.Distinct):
        if node.args.get("on") is not None:
            raise QueryError("DISTINCT ON is not Athena's SQL")
        if isinstance(node.parent, exp.Anonymous):
            _distinct(node.parent.name.lower(), len(node.expressions))
    elif isinstance(node, exp.SetOperation):
        if node.args.get("by_name") or node.args.get("side") or node.args.get("kind"):
            raise QueryError("set operations BY NAME are not Athena's SQL")
    elif isinstance(node, exp.Escape):
        if not (isinstance(node.expression, exp.Literal) and len(node.expression.name) == 1):
            raise QueryError("ESCAPE takes one character, written as a plain text")
    elif isinstance(node, exp.WithinGroup | exp.IgnoreNulls | exp.RespectNulls):
        _around_call(node)
    elif isinstance(node, exp.Literal) and node.is_int and int(node.name) > 2**63:
        raise QueryError(f"the number {node.name} does not fit bigint; write decimal '…'")


MAX_WEIGHT = 2_000_000
"""What a query may grow to when calls that name an argument several times are written out."""

_REPEATING = 4
"""How often such a call names its arguments at the most, or nearly so."""


def check_weight(tree: exp.Expression) -> None:
    """Raises QueryError for calls within calls within calls, which would be written out for hours.

    A plain node adds one, a call multiplies what is within it.
    """
    order = list(tree.walk(bfs=False))
    weights = {id(node): 1 for node in order}
    for node in reversed(order):
        if isinstance(node, exp.Func | exp.Bracket | exp.Div):
            weights[id(node)] *= _REPEATING
        if weights[id(node)] > MAX_WEIGHT:
            raise QueryError("the query's calls are nested too deeply; write it in steps")
        if node.parent is not None and id(node.parent) in weights:
            weights[id(node.parent)] += weights[id(node)]


def _select(node: exp.Select) -> None:
    joins = node.args.get("joins") or []
    starred = any(one.is_star for one in node.expressions)
    if starred and any(join.args.get("using") for join in joins):
        raise QueryError("* with USING is not supported; name the columns, or use ON")
    if node.args.get("kind") or node.args.get("operation_modifiers"):
        raise QueryError("SELECT AS STRUCT and the like are not Athena's SQL")


def _join(node: exp.Join) -> None:
    method, side, kind = (node.text(part).upper() for part in ("method", "side", "kind"))
    if method or kind not in ("", "INNER", "OUTER", "CROSS") or node.args.get("global"):
        raise QueryError(f"{method or kind} JOIN is not Athena's SQL; write EXISTS or JOIN … ON")
    if side not in ("", "LEFT", "RIGHT", "FULL"):
        raise QueryError(f"{side} JOIN is not Athena's SQL")


def _distinct(name: str, count: int) -> None:
    if name == "listagg":
        if count > 2:
            raise QueryError("listagg takes a value and a separator")
    elif count > 1:
        raise QueryError(f"{name}(distinct …) takes one argument")


def _around_call(node: exp.Expression) -> None:
    called = node.this
    name = called.name.lower() if isinstance(called, exp.Anonymous) else ""
    if isinstance(node, exp.WithinGroup):
        if name not in _AGGREGATES_IN_GROUP:
            raise QueryError("WITHIN GROUP is supported with listagg only")
    elif name not in _IGNORING:
        raise QueryError("IGNORE NULLS goes after first_value, last_value, nth_value, lag and lead")
