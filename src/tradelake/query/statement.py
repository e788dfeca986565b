"""Text to one statement: exactly one, of a kind that only reads, with the user's place in errors.

What the text may do beyond that is decided on the tree, in `guard.py`.
"""

import difflib
import re
from dataclasses import dataclass
from enum import StrEnum

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokens import Token, TokenType

from tradelake.errors import QueryError
from tradelake.query.catalog import DATABASE
from tradelake.query.dialect import Athena

DIALECT = Athena
MAX_BYTES = 262_144
"""Athena's own limit on a query's text."""

MAX_NESTING = 40
"""Brackets within brackets; Python's parser stack ends a little above it."""

MAX_ARRAYS = 8
"""Arrays within arrays: sqlglot's time to read them doubles with each level."""

MAX_NUMBER = 80
"""Characters of a number: twice the digits a DECIMAL can have."""


_COMMANDS = ("SHOW", "DESCRIBE", "DESC", "EXPLAIN")


class Show(StrEnum):
    """A statement about the catalog, answered without the engine."""

    TABLES = "tables"
    COLUMNS = "columns"
    DATABASES = "databases"
    DESCRIBE = "describe"
    CREATE = "create table"
    FUNCTIONS = "functions"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: a query (`tree`), perhaps only to be explained, or a SHOW about `name`.

    name: the table of COLUMNS, DESCRIBE and CREATE; else the LIKE pattern, if any.
    """

    tree: exp.Query | None = None
    explain: bool = False
    show: Show | None = None
    name: str | None = None


def parse(sql: str) -> Statement:
    """Takes the user's text apart.

    Raises:
        QueryError: not one statement, not one that reads, or not SQL (with line and column).
    """
    tokens = _only_statement(_tokens(sql))
    word = tokens[0].text.upper()
    if word in ("SHOW", "DESCRIBE", "DESC"):
        return _parse_show(word, tokens[1:])
    if word == "EXPLAIN":
        if len(tokens) < 2 or not _begins_query(tokens[1]):
            raise QueryError("EXPLAIN takes a query: explain select …")
        return Statement(tree=_parse_query(sql, tokens[1:]), explain=True)
    if not _begins_query(tokens[0]):
        raise QueryError(
            f"only queries are possible here (SELECT, WITH, VALUES, SHOW, DESCRIBE, EXPLAIN), "
            f"not {_clip(tokens[0].text)}{_near_word(word)}"
        )
    return Statement(tree=_parse_query(sql, tokens))


def _tokens(sql: str) -> list[Token]:
    try:
        size = len(sql.encode("utf-8"))
    except UnicodeEncodeError:
        raise QueryError("the query is not valid UTF-8 text") from None
    if size > MAX_BYTES:
        raise QueryError(f"the query has {size} bytes; the most is {MAX_BYTES}")
    if match := re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", sql):
        raise QueryError(f"the query holds the control character {match[0]!r}")
    try:
        tokens = list(sqlglot.tokenize(sql, read=DIALECT))
        first = next((t for t in tokens if t.token_type is not TokenType.SEMICOLON), None)
        if first is not None and first.text.upper() in _COMMANDS:
            # sqlglot swallows what follows such a word whole: blank it and look again.
            blanked = sql[: first.start] + " " * len(first.text) + sql[first.end + 1 :]
            tokens = [first, *sqlglot.tokenize(blanked, read=DIALECT)]
    except TokenError as error:
        place = re.search(r"line (\d+),? col(?:umn)? (\d+)", str(error), re.IGNORECASE)
        where = f" at line {place[1]}, column {place[2]}" if place else ""
        raise QueryError(f"the query ends inside a quoted text or comment{where}") from None
    return tokens


def _only_statement(tokens: list[Token]) -> list[Token]:
    statements: list[list[Token]] = [[]]
    depth = arrays = 0
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            statements.append([])
            continue
        statements[-1].append(token)
        if token.text in ("(", "[", "{") and token.token_type is not TokenType.STRING:
            depth += 1
        elif token.text in (")", "]", "}") and token.token_type is not TokenType.STRING:
            depth -= 1
        if token.token_type in (TokenType.L_BRACKET, TokenType.R_BRACKET):
            arrays += 1 if token.token_type is TokenType.L_BRACKET else -1
        if depth > MAX_NESTING or arrays > MAX_ARRAYS:
            raise _too_deep()
        if token.token_type is TokenType.DCOLON:
            raise QueryError(f"x::type at line {token.line} is not Athena's SQL: cast(x as type)")
        if token.token_type is TokenType.NUMBER and len(token.text) > MAX_NUMBER:
            raise QueryError(f"the number at line {token.line} has {len(token.text)} characters")
    found = [statement for statement in statements if statement]
    if not found:
        raise QueryError("there is no query; write for example: select 1")
    if len(found) > 1:
        raise QueryError(f"one statement at a time, please: these are {len(found)}")
    return found[0]


def _too_deep() -> QueryError:
    return QueryError(
        f"the query is nested too deeply (more than about {MAX_NESTING} levels); "
        "write it in steps: with a as (select …)"
    )


def _begins_query(token: Token) -> bool:
    return token.token_type in (TokenType.L_PAREN, TokenType.TABLE) or token.text.upper() in (
        "SELECT",
        "WITH",
        "VALUES",
    )


def _parse_query(sql: str, tokens: list[Token]) -> exp.Query:
    # Blanks in place of what comes before keep line and column in messages true.
    before = re.sub(r"[^\n]", " ", sql[: tokens[0].start])
    text = before + sql[tokens[0].start : tokens[-1].end + 1]
    try:
        tree = sqlglot.parse_one(text, read=DIALECT)
    except ParseError as error:
        raise QueryError(_syntax_message(error)) from None
    except RecursionError:
        raise _too_deep() from None
    except (TokenError, ValueError) as error:
        raise QueryError(f"the query can't be read: {str(error).splitlines()[0]}") from None
    while isinstance(tree, exp.Subquery | exp.Paren) and not tree.args.get("alias"):
        inner = tree.this
        if {name for name, value in tree.args.items() if value} != {"this"}:
            break
        tree = inner
    if not isinstance(tree, exp.Query | exp.Values):
        raise QueryError("only queries are possible here (SELECT, WITH, VALUES, SHOW, DESCRIBE)")
    return tree


def _syntax_message(error: ParseError) -> str:
    first = error.errors[0] if error.errors else {}
    near = str(first.get("highlight") or "").strip()
    what = str(first.get("description") or "")
    what = "something is missing" if "<" in what else what.split(". ")[0].rstrip(".").lower()
    found = f" near {_clip(near)!r}" if near else ""
    return (
        f"syntax error at line {first.get('line', 1)}, column {first.get('col', 1)}{found}: {what}"
    )


_NAME = rf'(?:(?:"?awsdatacatalog"?\s*\.\s*)?"?{DATABASE}"?\s*\.\s*)?"?([a-z0-9_]+)"?'
_LIKE = r"(?: (?:like )?'([^']*)')?"
_SHOWS = (
    (Show.DATABASES, rf"show (?:databases|schemas){_LIKE}"),
    (Show.FUNCTIONS, rf"show functions{_LIKE}"),
    (Show.CREATE, rf"show create table {_NAME}"),
    (
        Show.TABLES,
        rf'show tables(?: (?:in|from) (?:"?awsdatacatalog"?\.)?"?{DATABASE}"?)?'
        rf"{_LIKE}",
    ),
    (Show.COLUMNS, rf'show columns (?:from|in) {_NAME}(?: (?:from|in) "?{DATABASE}"?)?'),
    (Show.DESCRIBE, rf"desc(?:ribe)? {_NAME}"),
)


def _parse_show(word: str, rest: list[Token]) -> Statement:
    text = word.lower()
    for token in rest:
        quoted = token.token_type is TokenType.STRING
        text += ("" if token.text == "." or text.endswith(".") else " ") + (
            f"'{token.text}'" if quoted else token.text.lower()
        )
    for show, pattern in _SHOWS:
        if match := re.fullmatch(pattern, text):
            name = match[1] if match.re.groups else None
            return Statement(show=show, name=name)
    raise QueryError(
        f"can't {_clip(text)}; there are: show tables, show columns from TABLE, show create table "
        "TABLE, show schemas, show functions, describe TABLE"
    )


def _near_word(word: str) -> str:
    known = ("SELECT", "WITH", "VALUES", "SHOW", "DESCRIBE", "EXPLAIN")
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
    return f"; did you mean {near[0]}?" if near else ""


def _clip(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "…"
