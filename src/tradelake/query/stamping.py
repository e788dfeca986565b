"""Which stamp each node of a query has, noted on the tree before it is rewritten.

So texts get their decimals, and a time in another zone is read and shown there.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from sqlglot import exp

from tradelake.errors import QueryError
from tradelake.query.catalog import DATABASE, TableSource
from tradelake.query.guard import visible_ctes
from tradelake.query.stamps import STAMP, Stamp, merged, of_type, plain_zone


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NOW = _words("now current_timestamp localtimestamp")
_MILLIS = _words("from_unixtime from_iso8601_timestamp date_parse parse_datetime")
_FIRST = _words(
    "max min any_value arbitrary max_by min_by lag lead first_value last_value nth_value try nullif"
)
_OF_ARRAYS = _words("array_agg element_at array_max array_min array_sort array_distinct slice")
_ALL = _words("coalesce greatest least")
_INTO_ZONE = _words("at_timezone with_timezone")

_READ_IN_ZONE = _words(
    """
    year quarter month week week_of_year year_of_week yow day day_of_month day_of_week dow
    day_of_year doy hour minute second millisecond timezone_hour timezone_minute
    date last_day_of_month date_format format_datetime to_iso8601 date_trunc date_add date_diff
    to_unixtime typeof count approx_distinct grouping
    """
)
_AROUND = (
    *(exp.Paren, exp.Alias, exp.Window, exp.Filter, exp.IgnoreNulls, exp.RespectNulls),
    *(exp.Bracket, exp.Order),
)
_KEEP_ZONE = (
    *(exp.Paren, exp.Alias, exp.Window, exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.Select),
    *(exp.Subquery, exp.Distinct, exp.Ordered, exp.Group, exp.Case, exp.If, exp.Cast, exp.Extract),
    *(exp.Add, exp.Sub, exp.AtTimeZone, exp.Between, exp.In, exp.Is, exp.Binary, exp.Tuple),
    *(exp.Rollup, exp.Cube, exp.GroupingSets, exp.Join),
)


def mark(tree: exp.Expression, tables: Mapping[str, TableSource]) -> None:
    """Notes each node's stamp, where it has one.

    Raises:
        QueryError: a time in another zone goes where the zone would be lost.
    """
    reader = _Reader(tables)
    for node in list(tree.walk()):
        stamp = reader.of(node)
        if stamp is not None:
            node.meta[STAMP] = stamp
            if stamp.zone is not None:
                _check_around(node)


def outputs(tree: exp.Expression, tables: Mapping[str, TableSource]) -> list[Stamp | None]:
    """The stamps of a query's columns, in order."""
    return [stamp for _, stamp in _Reader(tables).columns(tree)]


def _check_around(node: exp.Expression) -> None:
    around = node.parent
    if around is None or (isinstance(around, _KEEP_ZONE) and not isinstance(around, exp.DPipe)):
        return
    if isinstance(around, exp.Anonymous):
        name = around.name.lower()
        if name in _READ_IN_ZONE | _FIRST | _ALL | _INTO_ZONE:
            return
        raise QueryError(f"a time in another zone is not supported in {name}(…)")
    raise QueryError(f"a time in another zone is not supported in {around.key}")


Named = tuple[str, Stamp | None]


class _Reader:
    """Tells stamps; tables are the catalog's."""

    def __init__(self, tables: Mapping[str, TableSource]) -> None:
        self._tables = tables
        self._known: dict[int, Stamp | None] = {}

    def of(self, node: exp.Expression | None) -> Stamp | None:
        if node is None:
            return None
        if id(node) not in self._known:
            self._known[id(node)] = None  # a recursive WITH asks for itself
            self._known[id(node)] = self._find(node)
        return self._known[id(node)]

    def _find(self, node: exp.Expression) -> Stamp | None:
        if isinstance(node, exp.Column):
            return self._column(node)
        if isinstance(node, exp.Cast):
            return self._cast(node)
        if isinstance(node, exp.AtTimeZone):
            return self._into(node.this, node.args.get("zone"))
        if isinstance(node, exp.CurrentTimestamp | exp.Localtimestamp):
            return Stamp(_digits(node.this))
        if isinstance(node, exp.Subquery):
            is_table = isinstance(node.parent, exp.From | exp.Join | exp.Lateral)
            found = [] if is_table else self.columns(node.this)
            return found[0][1] if len(found) == 1 else None
        if isinstance(node, exp.Case | exp.If):
            return self._case(node)
        if isinstance(node, exp.Add | exp.Sub):
            sides = [self.of(node.this), self.of(node.expression)]
            return (sides[0] or sides[1]) if None in sides else None
        if isinstance(node, exp.Array):
            return self._merged(node.expressions)
        if isinstance(node, exp.Anonymous):
            return self._call(node)
        if isinstance(node, _AROUND):
            return self.of(node.this) if isinstance(node.this, exp.Expression) else None
        if isinstance(node, exp.Distinct) and len(node.expressions) == 1:
            return self.of(node.expressions[0])
        return None

    def _cast(self, node: exp.Cast) -> Stamp | None:
        if not node.to.this.name.startswith("TIMESTAMP"):
            return None
        sizes = node.to.expressions
        zone = None
        inner = self.of(node.this)
        plain = node.to.this.name == "TIMESTAMP"
        local = plain and inner is not None and (inner.zone is not None or inner.local)
        if node.to.this.name == "TIMESTAMPTZ":
            zone = inner.zone if inner else None
            if isinstance(node.this, exp.Literal) and node.this.is_string:
                match = re.search(r"[A-Za-z]\S*$|[+-]\d{1,2}:\d\d$", node.this.name)
                zone = plain_zone(match[0]) if match else None
        return Stamp(int(sizes[0].name) if sizes else 3, zone, local)

    def _into(self, moment: exp.Expression, zone: exp.Expression | None) -> Stamp:
        if not (isinstance(zone, exp.Literal) and zone.is_string):
            raise QueryError("a time zone must be written as a plain text")
        inner = self.of(moment)
        return Stamp(inner.places if inner else None, plain_zone(zone.name))

    def _case(self, node: exp.Expression) -> Stamp | None:
        if isinstance(node, exp.If):
            return self._merged([node.args["true"], node.args.get("false")])
        return self._merged([one.args["true"] for one in node.args["ifs"]] + [node.args["default"]])

    def _call(self, node: exp.Anonymous) -> Stamp | None:
        name, given = node.name.lower(), node.expressions
        if name in _NOW:
            return Stamp(_digits(given[0] if given else None))
        if name == "from_unixtime" and len(given) == 2:
            return Stamp(3, self._into(given[0], given[1]).zone)
        if name == "from_iso8601_timestamp" and isinstance(given[0], exp.Literal):
            match = re.search(r"T.*([+-]\d\d(:?\d\d)?)$", given[0].name)
            return Stamp(3, plain_zone(match[1]) if match else None)
        if name in _MILLIS:
            return Stamp(3)
        if name in _INTO_ZONE and len(given) == 2:
            return self._into(given[0], given[1])
        if (name in _FIRST | _OF_ARRAYS) and given:
            return self.of(given[0])
        if name in _ALL:
            return self._merged(given)
        if name in ("date_trunc", "date_add") and given:
            return self.of(given[-1])
        return None

    def _merged(self, nodes: Iterable[exp.Expression | None]) -> Stamp | None:
        kept = [node for node in nodes if node is not None and not isinstance(node, exp.Null)]
        return merged([self.of(node) for node in kept])

    def _column(self, column: exp.Column) -> Stamp | None:
        select = column.find_ancestor(exp.Select)
        while select is not None:
            for alias, source in _sources(select):
                if column.table and column.table.lower() != alias:
                    continue
                found = [s for name, s in self._source(source) if name == column.name.lower()]
                if found:
                    return found[0]
            select = select.find_ancestor(exp.Select)
        return None

    def _source(self, source: exp.Expression) -> list[Named]:
        if isinstance(source, exp.Table):
            if source.text("db") == DATABASE:
                table = self._tables.get(source.name) if source.name in self._tables else None
                return [(c.name.lower(), of_type(c.type)) for c in table.columns] if table else []
            for cte in visible_ctes(source):
                if cte.alias.lower() == source.name.lower():
                    return _renamed(cte, self.columns(cte.this))
            return []
        if isinstance(source, exp.Lateral | exp.Subquery):
            return _renamed(source, self.columns(source.this))
        if isinstance(source, exp.Values):
            return _renamed(source, self.columns(source))
        return []

    def columns(self, query: exp.Expression) -> list[Named]:
        """Names and stamps of a query's columns."""
        if isinstance(query, exp.Subquery | exp.Paren):
            return self.columns(query.this)
        if isinstance(query, exp.SetOperation):
            pairs = zip(self.columns(query.left), self.columns(query.right), strict=False)
            return [(name, merged([one, other])) for (name, one), (_, other) in pairs]
        if isinstance(query, exp.Values):
            rows = [r.expressions if isinstance(r, exp.Tuple) else [r] for r in query.expressions]
            return [("", self._merged(column)) for column in zip(*rows, strict=False)]
        found: list[Named] = []
        for one in query.expressions if isinstance(query, exp.Select) else []:
            starred = isinstance(one, exp.Star) or (
                isinstance(one, exp.Column) and isinstance(one.this, exp.Star)
            )
            if starred:
                only = one.table.lower() if isinstance(one, exp.Column) else ""
                for alias, source in _sources(query):
                    found += self._source(source) if only in ("", alias) else []
            else:
                found.append((one.alias_or_name.lower(), self.of(one)))
        return found


def _sources(select: exp.Select) -> Iterator[tuple[str, exp.Expression]]:
    tables = [select.args.get("from_") or select.args.get("from")]
    tables += select.args.get("joins") or []
    for clause in tables:
        if clause is not None:
            yield clause.this.alias_or_name.lower(), clause.this
    for lateral in select.args.get("laterals") or []:
        yield lateral.alias_or_name.lower(), lateral


def _renamed(source: exp.Expression, columns: list[Named]) -> list[Named]:
    alias = source.args.get("alias")
    names = [name.name.lower() for name in alias.args.get("columns") or []] if alias else []
    return [
        (names[place] if place < len(names) else name, stamp)
        for place, (name, stamp) in enumerate(columns)
    ]


def _digits(node: object) -> int:
    return int(node.name) if isinstance(node, exp.Literal) and node.is_int else 3
