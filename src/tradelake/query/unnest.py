"""UNNEST as a derived table: DuckDB's own knows neither maps nor several arrays in one."""

from sqlglot import exp

from tradelake.errors import QueryError
from tradelake.query.decimals import fill


def unnest(node: exp.Unnest) -> exp.Expression:
    """LATERAL (SELECT unnest(a) AS x, …) AS t; shorter arrays are filled with nulls, as in Trino.

    Raises:
        QueryError: its columns are not named, or are of rows.
    """
    arrays = node.expressions
    alias = node.args.get("alias")
    names = list(alias.args.get("columns") or []) if alias else []
    ordinality = node.args.get("offset")
    if isinstance(ordinality, exp.Identifier):
        names.append(ordinality)
    number = len(names) - bool(ordinality)
    if alias is None or not names:
        raise QueryError("name the columns of unnest: unnest(…) as t(x)")
    if number == 2 and len(arrays) == 1:
        columns = [fill(f"unnest({part}(x))", x=arrays[0]) for part in ("map_keys", "map_values")]
    elif number == len(arrays):
        columns = [fill("unnest(x)", x=array) for array in arrays]
    else:
        raise QueryError("unnest takes arrays (a column each) or one map (two columns); not rows")
    if ordinality:
        columns.append(_ordinality(arrays))
    select = exp.Select(
        expressions=[
            exp.Alias(this=column, alias=exp.to_identifier(name.name, quoted=True))
            for column, name in zip(columns, names, strict=True)
        ]
    )
    table = exp.TableAlias(this=alias.this.copy() if alias.this else None)
    return exp.Lateral(this=exp.Subquery(this=select), alias=table)


def _ordinality(arrays: list[exp.Expression]) -> exp.Expression:
    sizes = [fill("cardinality(x)", x=array) for array in arrays]
    most = exp.Anonymous(this="greatest", expressions=sizes) if len(sizes) > 1 else sizes[0]
    return fill("unnest(range(1, CAST(n AS BIGINT) + 1))", n=most)
