"""Trino's functions where DuckDB's own give another value, as macros made from DuckDB's.

A macro's types are those of the call: `typeof(x)` chooses at the binding, the text of x works for
every type. Failures are an impossible cast, since error() may not stand within TRY.
Sources: trino.io/docs/current/functions.
"""

FAILURE = "tradelake says: "
"""Begins the text of the impossible cast; `failures.py` shows what follows."""

MAX_GROWN = 200_000
"""Bytes that a call may make of shorter texts: it can't be interrupted, and works on 2,048 rows."""

MAX_FLAT = 1_000_000
"""Entries that flatten may put into one array, for the same reason."""

_SPACE = r"[\t-\r\x1c- \x{1680}\x{2000}-\x{2006}\x{2008}-\x{200a}\x{2028}\x{2029}\x{205f}\x{3000}]+"
"""What Java calls white space, which trim takes away; DuckDB's takes only blanks."""


def fail(message: str) -> str:
    """DuckDB's text of a number that can't be made: it fails with a message."""
    return f"CAST('{FAILURE}{message}' AS BIGINT)"


def fail_text(message: str) -> str:
    """The same, where a text stands."""
    return f"CAST({fail(message)} AS VARCHAR)"


def _nulls(a: str) -> str:
    return f"len({a}) > list_count({a})"


_TEXT = (
    rf"_tl_ltrim(s) AS regexp_replace(s, '^{_SPACE}', '')",
    rf"_tl_rtrim(s) AS regexp_replace(s, '{_SPACE}$', '')",
    "_tl_reverse(s) AS array_to_string(list_reverse(regexp_extract_all(s, '(?s).')), '')",
    "_tl_concat_ws(s, a) AS CASE WHEN typeof(a) LIKE '%]' THEN "
    + fail_text("concat_ws of an array is not supported; use array_join")
    + " ELSE concat_ws(s, a) END",
    # One entry's list names x once, whatever its type; the check comes after a doubling at most.
    "_tl_bounded(x) AS list_transform([x], lambda y: CASE WHEN CASE WHEN "
    f"strlen(CAST(y AS VARCHAR)) > {MAX_GROWN} THEN "
    + fail(f"a lambda would make a value of more than {MAX_GROWN} bytes")
    + " ELSE 0 END = 0 THEN y END)[1]",
    "_tl_replace_all(s, f, t) AS replace(s, CASE WHEN f = '' THEN "
    + fail_text("replace of an empty text is not supported")
    + f" WHEN strlen(s) // greatest(strlen(f), 1) * strlen(t) > {MAX_GROWN} "
    + "AND strlen(t) > strlen(f) THEN "
    + fail_text(f"replace would make a text of more than {MAX_GROWN} bytes")
    + " ELSE f END, t)",
    "_tl_replace(s, f) AS _tl_replace_all(s, f, ''), (s, f, t) AS _tl_replace_all(s, f, t)",
    f"_tl_growing(s, n) AS CASE WHEN (strlen(s) + 1) * n > {MAX_GROWN} AND n > 1 THEN "
    + fail_text(f"regexp_replace would make a text of more than {MAX_GROWN} bytes")
    + " ELSE s END",
    "_tl_joined(a, d) AS array_to_string(CASE WHEN list_sum(list_transform(a, "
    f"lambda x: strlen(x) + strlen(d))) > {MAX_GROWN} THEN [CAST("
    + fail_text(f"array_join, concat_ws or format would make a text of more than {MAX_GROWN} bytes")
    + " AS VARCHAR)] ELSE a END, d)",
    "_tl_split(s, d) AS string_split(s, CASE WHEN d = '' THEN "
    + fail_text("the delimiter of split may not be empty")
    + " ELSE d END)",
    "_tl_split_part(s, d, i) AS _tl_split(s, d)[CASE WHEN i <= 0 THEN "
    + fail("split_part counts from 1")
    + " ELSE i END]",
    "_tl_substr(s, n) AS CASE WHEN n = 0 OR n < -length(s) THEN left(s, 0) "
    "ELSE substring(s, n) END, "
    "(s, n, l) AS CASE WHEN n = 0 OR n < -length(s) OR l <= 0 THEN left(s, 0) "
    "ELSE substring(s, n, l) END",
    "_tl_codepoint(s) AS unicode(CASE WHEN length(s) <> 1 THEN "
    + fail_text("codepoint takes one character")
    + " ELSE s END)",
    "_tl_regexp_extract(s, p) AS CASE WHEN regexp_matches(s, p) THEN regexp_extract(s, p) END, "
    "(s, p, g) AS CASE WHEN regexp_matches(s, p) THEN CASE WHEN regexp_extract(s, p, g) = '' "
    "AND g > 0 THEN "
    + fail_text("regexp_extract found an empty or absent group, which can not be told apart here")
    + " ELSE regexp_extract(s, p, g) END END",
    "_tl_regexp_extract_all(s, p) AS regexp_extract_all(s, p), "
    "(s, p, g) AS regexp_extract_all(CASE WHEN g > 0 AND "
    "list_contains(regexp_extract_all(s, p, g), '') THEN "
    + fail_text(
        "regexp_extract_all found an empty or absent group, which can not be told apart here"
    )
    + " ELSE s END, p, g)",
    "_tl_regexp_count(s, p) AS len(regexp_extract_all(s, p))",
    "_tl_split_most(s, d, n) AS CASE WHEN n < 1 THEN [ "
    + fail_text("split takes at least 1 part")
    + " ] "
    "WHEN len(_tl_split(s, d)) <= n THEN _tl_split(s, d) ELSE list_append("
    "list_slice(_tl_split(s, d), 1, n - 1), "
    "array_to_string(list_slice(_tl_split(s, d), n, len(_tl_split(s, d))), d)) END",
    "_tl_split2(s, d) AS _tl_split(s, d), (s, d, n) AS _tl_split_most(s, d, n)",
    "_tl_format_s(x) AS CASE WHEN typeof(x) IN ('VARCHAR', 'TINYINT', 'SMALLINT', 'INTEGER', "
    "'BIGINT', 'HUGEINT', 'BOOLEAN', 'DATE', '\"NULL\"') THEN CAST(x AS VARCHAR) ELSE "
    + fail_text("format takes no such value for %s; cast it to varchar")
    + " END",
    "_tl_format_d(x) AS CASE WHEN typeof(x) IN ('TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', "
    "'HUGEINT', '\"NULL\"') THEN CAST(x AS VARCHAR) ELSE "
    + fail_text("format takes integers for %d")
    + " END",
    "_tl_format_f(x) AS CASE WHEN typeof(x) IN ('DOUBLE', 'FLOAT', '\"NULL\"') "
    "OR typeof(x) LIKE 'DECIMAL(%' THEN CAST(x AS VARCHAR) ELSE "
    + fail_text("format takes decimals and doubles for %f")
    + " END",
    "_tl_thousands(t) AS format('{:,}', CAST(split_part(t, '.', 1) AS HUGEINT)) || "
    "CASE WHEN t LIKE '%.%' THEN '.' || split_part(t, '.', 2) ELSE '' END",
    "_tl_zeros(t, n) AS CASE WHEN length(t) < n THEN lpad(t, CAST(n AS INTEGER), '0') ELSE t END",
)

_BYTES = (
    "_tl_bytes(x) AS CASE WHEN typeof(x) IN ('BLOB', '\"NULL\"') THEN x ELSE CAST("
    + fail_text("this function takes varbinary; write to_utf8(…)")
    + " AS BLOB) END",
    "_tl_md5(x) AS unhex(md5(_tl_bytes(x)))",
    "_tl_sha1(x) AS unhex(sha1(_tl_bytes(x)))",
    "_tl_sha256(x) AS unhex(sha256(_tl_bytes(x)))",
    "_tl_to_hex(x) AS hex(_tl_bytes(x))",
    "_tl_to_base64(x) AS to_base64(_tl_bytes(x))",
    "_tl_from_hex(s) AS unhex(CASE WHEN length(s) % 2 = 0 THEN s ELSE "
    + fail_text("from_hex takes an even number of digits")
    + " END)",
    "_tl_from_utf8(x) AS decode(_tl_bytes(x))",
)

_NUMBERS = (
    "_tl_width_bucket(x, a, b, n) AS CASE WHEN n <= 0 OR a = b THEN "
    + fail("width_bucket takes a positive count and two different bounds")
    + " WHEN a < b THEN CASE WHEN x < a THEN 0 WHEN x >= b THEN n + 1 ELSE "
    "CAST(floor(n * (CAST(x AS DOUBLE) - a) / (CAST(b AS DOUBLE) - a)) AS BIGINT) + 1 END "
    "ELSE CASE WHEN x > a THEN 0 WHEN x <= b THEN n + 1 ELSE "
    "CAST(floor(n * (CAST(a AS DOUBLE) - x) / (CAST(a AS DOUBLE) - b)) AS BIGINT) + 1 END END",
    "_tl_whole(x) AS CASE WHEN typeof(x) IN ('TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', "
    "'\"NULL\"') THEN CAST(x AS BIGINT) ELSE " + fail("bitwise functions take integers") + " END",
    "_tl_bit_and(a, b) AS _tl_whole(a) & _tl_whole(b)",
    "_tl_bit_or(a, b) AS _tl_whole(a) | _tl_whole(b)",
    "_tl_bit_xor(a, b) AS xor(_tl_whole(a), _tl_whole(b))",
    "_tl_bit_not(a) AS -1 - _tl_whole(a)",
    "_tl_nan() AS CAST('NaN' AS DOUBLE)",
    "_tl_infinity() AS CAST('Infinity' AS DOUBLE)",
    "_tl_e() AS exp(CAST(1 AS DOUBLE))",
)

_JSON = (
    "_tl_json_text(j) AS CASE WHEN typeof(j) IN ('VARCHAR', 'JSON') THEN CAST(j AS VARCHAR) ELSE "
    + fail_text("JSON functions take a varchar or json value")
    + " END",
    # Trino sorts an object's keys when it reads JSON; DuckDB keeps their order.
    "_tl_json_sorted(j) AS CASE WHEN length(CAST(j AS VARCHAR)) "
    "- length(replace(CAST(j AS VARCHAR), '{', '')) > 1 OR (CAST(j AS VARCHAR) LIKE '%{%' AND "
    "(json_type(j) <> 'OBJECT' OR json_keys(j) <> list_sort(json_keys(j)))) "
    "THEN CAST("
    + fail_text("json of nested objects or unsorted keys is not supported: json_extract_scalar is")
    + " AS JSON) ELSE j END",
    "_tl_json_extract(j, p) AS CASE WHEN json_valid(_tl_json_text(j)) "
    "THEN _tl_json_sorted(json_extract(_tl_json_text(j), p)) END",
    "_tl_json_scalar(j, p) AS CASE WHEN json_valid(_tl_json_text(j)) "
    "AND json_type(_tl_json_text(j), p) NOT IN ('OBJECT', 'ARRAY', 'NULL') "
    "THEN json_extract_string(_tl_json_text(j), p) END",
    "_tl_json_parse(s) AS _tl_json_sorted(json(s))",
    "_tl_json_format(j) AS CAST(_tl_json_sorted(json(_tl_json_text(j))) AS VARCHAR)",
    "_tl_json_array_length(j) AS CASE WHEN json_valid(_tl_json_text(j)) "
    "AND json_type(_tl_json_text(j)) = 'ARRAY' THEN json_array_length(_tl_json_text(j)) END",
    "_tl_json_size(j, p) AS CASE WHEN json_valid(_tl_json_text(j)) THEN "
    "CASE json_type(_tl_json_text(j), p) WHEN 'ARRAY' THEN json_array_length(_tl_json_text(j), p) "
    "WHEN 'OBJECT' THEN len(json_keys(_tl_json_text(j), p)) "
    "WHEN NULL THEN NULL ELSE CASE WHEN json_type(_tl_json_text(j), p) IS NOT NULL THEN 0 END "
    "END END",
)

_TIME = (
    "_tl_millis(t) AS t - to_microseconds(epoch_us(t) % 1000)",
    "_tl_from_unixtime(n) AS to_timestamp(round(CAST(n AS DOUBLE) * 1000) / 1000)",
    "_tl_millisecond(t) AS millisecond(t) % 1000",
    "_tl_from_iso8601_date(s) AS CAST(CASE WHEN regexp_full_match(s, '\\d{4}-\\d{2}-\\d{2}') "
    "THEN s ELSE " + fail_text("from_iso8601_date takes yyyy-mm-dd") + " END AS DATE)",
    "_tl_from_iso8601_timestamp(s) AS _tl_millis(CAST(CASE WHEN regexp_full_match(s, "
    r"'\d{4}-\d{2}-\d{2}(T\d{2}(:\d{2}(:\d{2}([.,]\d{1,9})?)?)?(Z|[+-]00:?00)?)?') "
    "THEN replace(s, ',', '.') ELSE "
    + fail_text(
        "from_iso8601_timestamp takes yyyy-mm-ddThh:mm:ss in UTC; other zones are not supported"
    )
    + " END AS TIMESTAMPTZ))",
    "_tl_from_iso8601_zoned(s) AS _tl_millis(CAST(CASE WHEN regexp_full_match(s, "
    r"'\d{4}-\d{2}-\d{2}(T\d{2}(:\d{2}(:\d{2}([.,]\d{1,9})?)?)?(Z|[+-]\d{2}(:?\d{2})?)?)?') "
    "THEN replace(s, ',', '.') ELSE "
    + fail_text("from_iso8601_timestamp takes yyyy-mm-ddThh:mm:ss with Z or +hh:mm")
    + " END AS TIMESTAMPTZ))",
    "_tl_to_iso8601(d) AS CASE WHEN typeof(d) = 'DATE' THEN CAST(d AS VARCHAR) ELSE "
    + fail_text("the decimals of this timestamp can not be told here; use date_format")
    + " END",
)

_COLLECTIONS = (
    "_tl_index(a, i) AS a[CASE WHEN i BETWEEN 1 AND len(a) OR a IS NULL OR i IS NULL THEN i ELSE "
    + fail("array subscript out of bounds; use element_at")
    + " END]",
    "_tl_map_index(m, k) AS map_values(m)[CASE WHEN m IS NULL OR k IS NULL "
    "OR list_contains(map_keys(m), k) THEN list_position(map_keys(m), k) ELSE "
    + fail("the key is not in the map; use element_at")
    + " END]",
    "_tl_map_element_at(m, k) AS m[k]",
    "_tl_element_at(a, i) AS a[CASE WHEN i = 0 THEN "
    + fail("SQL array indices start at 1")
    + " WHEN len(a) IS NOT NULL THEN i END]",
    "_tl_contains(a, x) AS CASE WHEN list_contains(a, x) THEN true "
    f"WHEN {_nulls('a')} THEN NULL ELSE list_contains(a, x) END",
    "_tl_array_distinct(a) AS list_filter(a, lambda x, i: "
    "coalesce(list_position(list_slice(a, 1, i - 1), x), 0) = 0)",
    "_tl_array_union(a, b) AS _tl_array_distinct(a || b)",
    "_tl_array_except(a, b) AS CASE WHEN b IS NOT NULL THEN _tl_array_distinct("
    "list_filter(a, lambda x: coalesce(list_position(b, x), 0) = 0)) END",
    "_tl_array_intersect(a, b) AS CASE WHEN b IS NOT NULL THEN _tl_array_distinct("
    "list_filter(a, lambda x: coalesce(list_position(b, x), 0) > 0)) END",
    "_tl_arrays_overlap(a, b) AS CASE WHEN list_has_any(a, b) THEN true "
    f"WHEN {_nulls('a')} OR {_nulls('b')} THEN NULL ELSE list_has_any(a, b) END",
    "_tl_array_join(a, d) AS _tl_joined(list_transform(a, lambda x: _tl_varchar(x)), d), "
    "(a, d, n) AS _tl_joined(list_transform(a, lambda x: coalesce(_tl_varchar(x), n)), d)",
    f"_tl_array_max(a) AS CASE WHEN {_nulls('a')} THEN NULL ELSE list_max(a) END",
    f"_tl_array_min(a) AS CASE WHEN {_nulls('a')} THEN NULL ELSE list_min(a) END",
    "_tl_array_position(a, x) AS CASE WHEN a IS NOT NULL AND x IS NOT NULL "
    "THEN CAST(coalesce(list_position(a, x), 0) AS BIGINT) END",
    "_tl_array_sort(a) AS list_sort(a, 'ASC', 'NULLS LAST')",
    "_tl_slice(a, s, l) AS list_slice(a, CASE WHEN s = 0 THEN "
    + fail("SQL array indices start at 1")
    + " WHEN s < -len(a) THEN len(a) + 1 WHEN s < 0 THEN len(a) + s + 1 ELSE s END, "
    "CASE WHEN l < 0 THEN "
    + fail("length must be greater than or equal to 0")
    + " WHEN s < -len(a) THEN len(a) WHEN s < 0 THEN len(a) + s + l ELSE s + l - 1 END)",
    "_tl_any(b) AS _tl_contains(b, true)",
    "_tl_none(b) AS NOT _tl_contains(b, true)",
    "_tl_all(b) AS NOT _tl_contains(b, false)",
    "_tl_both_keys(a, b) AS _tl_array_distinct(map_keys(a) || map_keys(b))",
    "_tl_array_remove(a, x) AS CASE WHEN x IS NOT NULL THEN list_filter(a, "
    "lambda e: e IS NULL OR e <> x) END",
    "_tl_trim_array(a, n) AS list_slice(a, 1, CASE WHEN n < 0 OR n > len(a) THEN "
    + fail("trim_array takes a number from 0 to the size of the array")
    + " ELSE len(a) - n END)",
    "_tl_flatten(a) AS flatten(list_slice(a, 1, CASE WHEN "
    f"list_sum(list_transform(a, lambda x: len(x))) > {MAX_FLAT} THEN "
    + fail(f"flatten would make an array of more than {MAX_FLAT} entries")
    + " ELSE len(a) END))",
    "_tl_repeat(x, n) AS list_transform(generate_series(1, CASE WHEN n < 0 OR n > 10000 THEN "
    + fail("repeat makes 0 to 10000 entries")
    + f" WHEN (strlen(CAST(x AS VARCHAR)) + 1) * n > {MAX_GROWN} AND n > 1 THEN "
    + fail(f"repeat would make an array of more than {MAX_GROWN} bytes")
    + " ELSE n END), lambda i: x)",
    "_tl_map_entries(m) AS list_transform(map_entries(m), lambda e: row(e.key, e.value))",
    "_tl_early_day(d) AS CASE WHEN day(d) > 28 THEN CAST("
    + fail_text("a sequence by months must start on one of the days 1 to 28")
    + " AS DATE) ELSE d END",
    "_tl_histogram(x) AS map_from_entries(list_transform(map_entries(histogram(x)), "
    "lambda e: (e.key, CAST(e.value AS BIGINT))))",
    "_tl_map_agg(k, v) AS map(list(k) FILTER (WHERE k IS NOT NULL), "
    "list(v) FILTER (WHERE k IS NOT NULL))",
)

MACROS = tuple(
    f"CREATE MACRO {text}" for text in (*_TEXT, *_JSON, *_BYTES, *_NUMBERS, *_TIME, *_COLLECTIONS)
)
