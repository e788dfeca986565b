"""The parts of SQL that are let through, by sqlglot's names. What is not here is refused by name.

Functions called by name are in `functions.py`. Each gives Trino's value on DuckDB, as it is or as
`calls.py` rewrites it.
Deny-lists age badly: every release of an engine brings functions that read files.
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STRUCTURE = _words(
    """
    select from join where group having order ordered limit offset fetch with cte
    union intersect except subquery values tuple table tablealias alias aliases column identifier
    star literal boolean null paren distinct lateral unnest
    and or not eq neq nullsafeeq nullsafeneq gt gte lt lte add sub mul div mod neg
    between in is like escape exists any all case if cast trycast datatype datatypeparam
    interval var dpipe concat bracket array lambda attimezone limitoptions
    intervalspan hexstring ignorenulls respectnulls columndef
    window windowspec filter withingroup groupingsets cube rollup grouping dot
    """
)

FUNCTIONS = _words(
    "avg trim substring strposition extract currenttimestamp currentdate localtimestamp"
)
"""Functions that are nodes of their own; the rest are names, in `functions.py`."""

TYPES = _words(
    """
    BOOLEAN TINYINT SMALLINT INT BIGINT FLOAT DOUBLE DECIMAL VARCHAR TEXT DATE
    TIMESTAMP TIMESTAMPTZ ARRAY STRUCT
    """
)

ENGINE_WORDS = _words(
    """
    current_catalog current_database current_role current_schema current_schemas current_user
    session_user user
    """
)
"""Names that DuckDB answers by itself where no column has them: the process's, not the lake's."""

WRITTEN_AS = {
    "version": "FOR TIMESTAMP/VERSION AS OF (use --as-of)",
    "tablesample": "TABLESAMPLE",
    "qualify": "QUALIFY (not Trino's SQL)",
    "into": "INTO",
    "lock": "FOR UPDATE",
    "pivot": "PIVOT",
    "parameter": "a parameter",
    "placeholder": "a ? parameter",
    "sessionparameter": "a session variable",
    "matchrecognize": "MATCH_RECOGNIZE",
    "hint": "a hint",
    "intdiv": "//",
    "columns": "COLUMNS",
}
"""How users know constructs whose names in the tree would tell them nothing."""
