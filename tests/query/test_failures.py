"""What the engine complains of, in the words of who asked."""

import re

import pytest

from tradelake.errors import QueryError
from tradelake.query import Engine

SAID = {
    "price like '6%'": "LIKE needs varchar on both sides, not (decimal(18,8), varchar); "
    "cast to varchar",
    "price not like '6%' escape '!'": "LIKE needs varchar on both sides, not (decimal(18,8), "
    "varchar, varchar); cast to varchar",
    "-exchange": "- does not take (varchar); cast to a type that it takes",
    "exchange - price": "- does not take (varchar, decimal(18,8)); cast to a type that it takes",
    "regexp_like(price, '6')": "regexp_like does not take (decimal(18,8), varchar); cast to a "
    "type that it takes",
    "split_part(price, 'a', 1)": "a function of the query does not take (decimal(18,8), "
    "varchar); cast to a type that it takes",
    "array[1] + 1": "+ does not take (array(integer), integer); cast to a type that it takes",
    "contains(array[1], date '2020-01-01')": "the arguments of contains have types that do not "
    "go together; cast one",
    "cast(row(1) as row(a integer)).c": 'could not find key "c" in the row',
    "cast(row(1) as row(a integer)) + 1": "+ does not take (row(a integer), integer); cast to a "
    "type that it takes",
    "row(1, 2).a": "there is no field 'a': no row there",
    "1 in ('a', date '2020-01-01')": "can't cast integer to date",
    "not lower('X')": "could not convert string 'x' to boolean",
}


@pytest.mark.parametrize(("expression", "said"), SAID.items())
def test_a_type_that_does_not_fit_is_told_in_trino_s_words(
    engine: Engine, expression: str, said: str
) -> None:
    with pytest.raises(QueryError) as told:
        engine.execute(f"select {expression} from processed_crypto_txn").table()
    assert str(told.value) == said
    assert not re.search(r"~~|struct|list_|_tl_|BOOL", str(told.value))
