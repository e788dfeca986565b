"""Calls on texts, regular expressions and JSON in DuckDB's words.

Source of what Trino does: trino.io/docs/current/functions/string.html, regexp.html, json.html,
conversion.html; format's letters are java.util.Formatter's.
"""

import re
from collections.abc import Callable

from sqlglot import exp

from tradelake.errors import QueryError
from tradelake.query.decimals import fill
from tradelake.query.nodes import call, literal, marked, whole_number

MAX_PAD = 10_000
"""Characters lpad, rpad and format may make: one call can't be interrupted."""


def _concat(*values: exp.Expression) -> exp.Expression:
    """Null where a part is null, and of arrays too; DuckDB's concat skips nulls."""
    whole: exp.Expression = exp.paren(values[0].copy())
    for value in values[1:]:
        whole = exp.DPipe(this=whole, expression=exp.paren(value.copy()), safe=False)
        marked(whole, "concat")
    return exp.paren(whole, copy=False)


def _concat_ws(by: exp.Expression, *values: exp.Expression) -> exp.Expression:
    """The parts of one array in Trino; DuckDB would write the array's text."""
    if len(values) == 1:
        return call("_tl_concat_ws", by, *values)
    return call("_tl_joined", exp.array(*(value.copy() for value in values)), by)


def _regexp_replace(
    text: exp.Expression, pattern: exp.Expression, new: exp.Expression | None = None
) -> exp.Expression:
    """Groups are $1 in Trino, \\1 in DuckDB."""
    word = literal(new, "the replacement of regexp_replace") if new else ""
    if "\\" in word:
        raise QueryError("regexp_replace needs a plain text without \\ as its replacement")
    word = re.sub(r"\$(\d)", r"\\\1", word)
    if "$" in word:
        raise QueryError("regexp_replace: name groups by number, $1 to $9")
    bounded = call("_tl_growing", text, exp.Literal.number(len(word.encode())))
    return call(
        "regexp_replace", bounded, pattern, exp.Literal.string(word), exp.Literal.string("g")
    )


def _pad(name: str) -> Callable[..., exp.Expression]:
    def rewrite(text: exp.Expression, size: exp.Expression, by: exp.Expression) -> exp.Expression:
        whole_number(size, "the size of lpad and rpad", MAX_PAD)
        return call(name, text, size, by)

    return rewrite


def _json(name: str) -> Callable[..., exp.Expression]:
    def rewrite(value: exp.Expression, path: exp.Expression) -> exp.Expression:
        words = literal(path, "a JSON path")
        if not re.fullmatch(r"\$(\.[A-Za-z_]\w*|\[\d+\]|\[\"[^\"\\]*\"\])*", words, re.ASCII):
            raise QueryError(f'the JSON path {words[:40]!r} is not supported: $.key, [0], ["key"]')
        words = re.sub(r'\["([^"]*)"\]', r'."\1"', words)
        return call(name, value, exp.Literal.string(words))

    return rewrite


_PLACE = re.compile(r"%(?:(\d+)\$)?([-+0,]*)(\d+)?(?:\.(\d+))?([a-zA-Z%]?)")


def _format(pattern: exp.Expression, *values: exp.Expression) -> exp.Expression:
    """format('%s of %,.2f', …) as its pieces side by side."""
    words = literal(pattern, "the text of format")
    parts: list[exp.Expression] = []
    after = place = 0
    for match in _PLACE.finditer(words):
        parts.append(exp.Literal.string(words[after : match.start()]))
        after = match.end()
        if match[0] == "%%":
            parts.append(exp.Literal.string("%"))
            continue
        if match[1] is None:
            place += 1
        number = int(match[1] or place)
        if not 0 < number <= len(values):
            raise QueryError(f"format: there is no value for {match[0]!r}")
        parts.append(_piece(match, values[number - 1]))
    parts.append(exp.Literal.string(words[after:]))
    shown = [part for part in parts if part.name or not isinstance(part, exp.Literal)]
    return call("_tl_joined", exp.array(*shown), exp.Literal.string(""))


def _piece(match: re.Match[str], value: exp.Expression) -> exp.Expression:
    _, flags, width, places, letter = match.groups()
    size = int(width or 0)
    many, left, zeros = "," in flags, "-" in flags, "0" in flags
    if letter not in "sdf" or not letter or size > MAX_PAD or (left and (zeros or not width)):
        raise QueryError(f"format: {match[0]!r} is not supported; there are %s, %d and %.2f")
    if letter == "s":
        if places or many or zeros or "+" in flags:
            raise QueryError(f"format: {match[0]!r} is not supported")
        text = "coalesce(_tl_format_s(x), 'null')"
    else:
        if (letter == "d" and places) or (zeros and not width):
            raise QueryError(f"format: {match[0]!r} is not supported")
        scale = int(places or 6) if letter == "f" else 0
        if scale > 18:
            raise QueryError("format: at most 18 decimals are supported")
        number = f"CAST(_tl_format_{letter}(x) AS DECIMAL(38, {scale}))"
        shown = f"CAST(abs({number}) AS VARCHAR)"
        if many:
            shown = f"_tl_thousands({shown})"
        signs = "'+'" if "+" in flags else "''"
        sign = f"CASE WHEN {number} < 0 THEN '-' ELSE {signs} END"
        if zeros:
            shown = f"_tl_zeros({shown}, {size} - length({sign}))"
        text = f"coalesce({sign} || {shown}, 'null')"
    if size and not zeros:
        side = "rpad" if left else "lpad"
        text = f"CASE WHEN length({text}) < {size} THEN {side}({text}, {size}, ' ') ELSE {text} END"
    return fill(text, x=value)


CALLS: dict[str, Callable[..., exp.Expression]] = {
    "concat": _concat,
    "concat_ws": _concat_ws,
    "regexp_replace": _regexp_replace,
    "lpad": _pad("lpad"),
    "rpad": _pad("rpad"),
    "json_extract": _json("_tl_json_extract"),
    "json_extract_scalar": _json("_tl_json_scalar"),
    "json_size": _json("_tl_json_size"),
    "format": _format,
}
