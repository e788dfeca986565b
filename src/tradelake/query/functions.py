"""The functions a query may call, by Trino's names. What is not here is refused by name.

A line: Trino's name, how many arguments it takes (`2`, `2-3`, `1+`), and the function of DuckDB
that gives Trino's value for them: DuckDB's own, or one of `macros.py` (`_tl_…`), or `-` where
only the rewriting in `times.py` and `lists.py` says.
None of them reads a file or the process, and none makes a text or list much longer than its
arguments; `sequence`, `repeat`, `lpad`, `rpad` and `format`, which would, are bounded where they
are rewritten, and so are the steps of `reduce`, which may double as often as they like.
Functions with a syntax of their own (cast, extract, trim, if, …) are nodes: see `allowed.py`.
"""

from typing import NamedTuple

SCALAR = """
abs 1 abs
ceil 1 ceil
ceiling 1 ceil
floor 1 floor
round 1-2 round
truncate 1-2 trunc
mod 2 mod
power 2 pow
pow 2 pow
sqrt 1 sqrt
cbrt 1 cbrt
exp 1 exp
ln 1 ln
log 2 log
log2 1 log2
log10 1 log10
sign 1 sign
pi 0 pi
degrees 1 degrees
radians 1 radians
sin 1 sin
cos 1 cos
tan 1 tan
asin 1 asin
acos 1 acos
atan 1 atan
atan2 2 atan2
sinh 1 sinh
cosh 1 cosh
tanh 1 tanh
e 0 _tl_e
nan 0 _tl_nan
infinity 0 _tl_infinity
width_bucket 4 _tl_width_bucket
bitwise_and 2 _tl_bit_and
bitwise_or 2 _tl_bit_or
bitwise_xor 2 _tl_bit_xor
bitwise_not 1 _tl_bit_not
is_nan 1 isnan
is_finite 1 isfinite
is_infinite 1 isinf
random 0 random
rand 0 random
greatest 1+ greatest
least 1+ least
coalesce 2+ coalesce
nullif 2 nullif
try 1 try
typeof 1 typeof
"""

TEXT = """
concat 2+ concat
concat_ws 2+ _tl_concat_ws
length 1 length
lower 1 lower
upper 1 upper
reverse 1 _tl_reverse
replace 2-3 _tl_replace
split 2-3 _tl_split2
split_part 3 _tl_split_part
starts_with 2 starts_with
strpos 2 strpos
substr 2-3 _tl_substr
lpad 3 lpad
rpad 3 rpad
ltrim 1 _tl_ltrim
rtrim 1 _tl_rtrim
translate 3 translate
chr 1 chr
codepoint 1 _tl_codepoint
levenshtein_distance 2 levenshtein
format 2+ format
regexp_like 2 regexp_matches
regexp_extract 2-3 _tl_regexp_extract
regexp_extract_all 2-3 _tl_regexp_extract_all
regexp_replace 2-3 regexp_replace
regexp_split 2 regexp_split_to_array
regexp_count 2 _tl_regexp_count
"""

BINARY = """
to_utf8 1 encode
from_utf8 1 _tl_from_utf8
to_hex 1 _tl_to_hex
from_hex 1 _tl_from_hex
to_base64 1 _tl_to_base64
from_base64 1 from_base64
md5 1 _tl_md5
sha1 1 _tl_sha1
sha256 1 _tl_sha256
"""

JSON = """
json_extract 2 _tl_json_extract
json_extract_scalar 2 _tl_json_scalar
json_parse 1 _tl_json_parse
json_format 1 _tl_json_format
json_array_length 1 _tl_json_array_length
json_size 2 _tl_json_size
"""

TIME = """
now 0 now
current_timestamp 1 now
localtimestamp 1 now
current_timezone 0 -
date 1 date
date_trunc 2 date_trunc
date_add 3 date_add
date_diff 3 date_sub
date_format 2 strftime
date_parse 2 strptime
format_datetime 2 strftime
parse_datetime 2 strptime
from_iso8601_date 1 _tl_from_iso8601_date
from_iso8601_timestamp 1 _tl_from_iso8601_timestamp
to_iso8601 1 _tl_to_iso8601
from_unixtime 1-2 _tl_from_unixtime
to_unixtime 1 epoch
year 1 year
quarter 1 quarter
month 1 month
week 1 week
week_of_year 1 week
year_of_week 1 isoyear
yow 1 isoyear
day 1 day
day_of_month 1 day
day_of_week 1 isodow
dow 1 isodow
day_of_year 1 dayofyear
doy 1 dayofyear
hour 1 hour
minute 1 minute
second 1 second
millisecond 1 _tl_millisecond
timezone_hour 1 -
timezone_minute 1 -
at_timezone 2 -
with_timezone 2 -
last_day_of_month 1 last_day
"""

COLLECTIONS = """
cardinality 1 cardinality
contains 2 _tl_contains
element_at 2 _tl_element_at
array_distinct 1 _tl_array_distinct
array_except 2 _tl_array_except
array_intersect 2 _tl_array_intersect
array_union 2 _tl_array_union
arrays_overlap 2 _tl_arrays_overlap
array_join 2-3 _tl_array_join
array_max 1 _tl_array_max
array_min 1 _tl_array_min
array_position 2 _tl_array_position
array_remove 2 _tl_array_remove
array_sort 1 _tl_array_sort
slice 3 _tl_slice
flatten 1 _tl_flatten
trim_array 2 _tl_trim_array
repeat 2 _tl_repeat
zip 2-5 list_zip
zip_with 3 -
row 1+ row
filter 2 list_filter
transform 2 list_transform
reduce 4 list_reduce
any_match 2 _tl_any
all_match 2 _tl_all
none_match 2 _tl_none
sequence 2-3 generate_series
map 0-2 map
map_keys 1 map_keys
map_values 1 map_values
map_entries 1 _tl_map_entries
map_from_entries 1 map_from_entries
map_concat 2+ map_concat
map_filter 2 -
transform_keys 2 -
transform_values 2 -
map_zip_with 3 -
"""

AGGREGATES = """
count 0-1 count
count_if 1 count_if
sum 1 sum
avg 1 avg
min 1-2 min
max 1-2 max
min_by 2-3 arg_min_null
max_by 2-3 arg_max_null
bool_and 1 bool_and
bool_or 1 bool_or
every 1 bool_and
any_value 1 any_value
arbitrary 1 any_value
array_agg 1 array_agg
listagg 1-2 listagg
map_agg 2 _tl_map_agg
histogram 1 _tl_histogram
approx_distinct 1 approx_count_distinct
approx_percentile 2 quantile_disc
geometric_mean 1 geometric_mean
stddev 1 stddev
stddev_samp 1 stddev_samp
stddev_pop 1 stddev_pop
variance 1 variance
var_samp 1 var_samp
var_pop 1 var_pop
corr 2 corr
covar_samp 2 covar_samp
covar_pop 2 covar_pop
regr_slope 2 regr_slope
regr_intercept 2 regr_intercept
bitwise_and_agg 1 bit_and
bitwise_or_agg 1 bit_or
grouping 1+ grouping
"""

WINDOWS = """
row_number 0 row_number
rank 0 rank
dense_rank 0 dense_rank
percent_rank 0 percent_rank
cume_dist 0 cume_dist
ntile 1 ntile
lag 1-3 lag
lead 1-3 lead
first_value 1 first_value
last_value 1 last_value
nth_value 2 nth_value
"""


class Function(NamedTuple):
    """least, most: how many arguments; engine: DuckDB's name."""

    least: int
    most: int
    engine: str


def _read(*tables: str) -> dict[str, Function]:
    found = {}
    for line in "\n".join(tables).split("\n"):
        if line:
            name, count, engine = line.split()
            least, _, most = count.rstrip("+").partition("-")
            unbounded = 1_000 if count.endswith("+") else int(most or least)
            found[name] = Function(int(least), unbounded, engine)
    return found


FUNCTIONS = _read(SCALAR, TEXT, BINARY, JSON, TIME, COLLECTIONS, AGGREGATES, WINDOWS)
