"""What a transaction store promises its caller."""

import multiprocessing
import sqlite3
import threading

import pytest

from tradelake.actions import Delete, Put, Update
from tradelake.errors import StoreError
from tradelake.store import schema
from tradelake.store.interface import TransactionStore
from tradelake.store.sqlite import BATCH, SqliteStore


def test_the_sqlite_store_is_a_transaction_store(store: SqliteStore):
    interface: TransactionStore = store
    assert interface.count() == 0


def test_what_was_put_is_got_to_the_last_digit(store, trade):
    kept = trade(price="060123.1000", quantity="1e-3", user_id=None, wallet_address=None)
    assert store.put(kept)
    assert store.get("t1") == kept
    assert store.get("t2") is None
    assert store.count() == 1


def test_it_is_there_after_opening_again(store, path, trade):
    store.put(trade())
    store.close()
    assert SqliteStore(path).get("t1") == trade()


def test_putting_the_same_again_changes_nothing(store, trade, events):
    assert store.put(trade())
    assert not store.put(trade())
    assert store.put_many([trade(), trade("t2"), trade("t2")]) == 1
    assert events() == ["INSERT t1", "INSERT t2"]


def test_put_many_keeps_the_order_of_repeats(store, trade, events):
    changes = [trade(), trade(trade_status="FAILED"), trade(trade_status="SUCCESS")]
    assert store.put_many(changes) == 3
    assert store.get("t1").trade_status == "SUCCESS"
    assert events() == ["INSERT t1", "MODIFY t1", "MODIFY t1"]


def test_put_if_absent_never_overwrites(store, trade):
    assert store.put_if_absent(trade())
    assert not store.put_if_absent(trade(trade_status="FAILED"))
    assert store.get("t1") == trade()


def test_update_changes_only_the_fields_named(store, trade, events):
    store.put(trade())
    assert store.update("t1", {"trade_status": "SUCCESS", "user_id": None})
    assert store.get("t1") == trade(trade_status="SUCCESS", user_id=None)
    assert not store.update("t1", {"trade_status": "SUCCESS"})
    assert not store.update("t1", {})
    assert not store.update("t2", {"trade_status": "SUCCESS"})
    assert events() == ["INSERT t1", "MODIFY t1"]


def test_delete_says_whether_there_was_anything(store, trade, events):
    store.put_many([trade(f"t{n}") for n in range(4)])
    assert store.delete("t0")
    assert not store.delete("t0")
    assert store.delete_many(["t1", "t1", "t9", "t2"]) == 2
    assert store.count() == 1
    assert events()[4:] == ["REMOVE t0", "REMOVE t1", "REMOVE t2"]


def test_apply_does_all_in_order(store, trade, events):
    changed = store.apply(
        [
            Put(trade()),
            Update("t1", {"trade_status": "SUCCESS"}),
            Update("t1", {"trade_status": "SUCCESS"}),
            Put(trade("t2")),
            Delete("t1"),
            Delete("t1"),
        ]
    )
    assert changed == 4
    assert events() == ["INSERT t1", "MODIFY t1", "INSERT t2", "REMOVE t1"]


def test_apply_does_all_or_nothing(store, trade, events):
    with pytest.raises(StoreError):
        store.apply([Put(trade()), Put(trade("t2", exchange="\ud800"))])
    assert store.count() == 0
    assert events() == []


@pytest.mark.parametrize("amount", ["", "abc", "1_000", "٣", "NaN", "1,5", " 1", "1e1000", None, 5])
def test_an_amount_that_is_no_number_is_refused(store, trade, amount):
    with pytest.raises(StoreError, match="not a number"):
        store.put(trade(price=amount))
    store.put(trade())
    with pytest.raises(StoreError, match="not a number"):
        store.update("t1", {"trade_fee": amount})


def test_other_values_are_not_judged(store, trade):
    odd = trade(exchange="", order_type="HODL", timestamp="tomorrow", price="-1", user_id="\0'\"\\")
    store.put(odd)
    assert store.get("t1") == odd


@pytest.mark.parametrize("key", ["", "x" * 129])
def test_a_key_has_1_to_128_characters(store, trade, key):
    for write in (lambda: store.put(trade(key)), lambda: store.delete(key)):
        with pytest.raises(StoreError, match="1 to 128"):
            write()
    assert store.put(trade("€" * 128))


@pytest.mark.parametrize("name", ["transaction_id", "colour", "price = 1 --"])
def test_update_refuses_the_key_and_unknown_fields(store, trade, name):
    store.put(trade())
    with pytest.raises(StoreError, match="can't be updated"):
        store.update("t1", {name: "1"})


def test_an_error_leaves_the_batches_before_it(store, trade):
    def trades():
        for n in range(BATCH):
            yield trade(f"t{n}")
        yield trade("bad", price="")

    with pytest.raises(StoreError):
        store.put_many(trades())
    assert store.count() == BATCH


def test_a_slow_source_holds_up_no_other_writer(store, path, trade):
    other = SqliteStore(path)

    def trades():
        yield trade("t1")
        assert other.put(trade("t2"))
        yield trade("t3")

    assert store.put_many(trades()) == 2
    other.close()


def test_threads_may_share_a_store(store, trade, events):
    def write(thread: int) -> None:
        for n in range(20):
            store.put(trade(f"{thread}-{n}"))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.count() == len(events()) == 80


def _open_and_put(path, trade, barrier):
    barrier.wait()
    store = SqliteStore(path)
    store.put(trade)
    store.close()


def test_processes_may_make_the_store_at_the_same_moment(path, trade):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(6)
    writers = [
        context.Process(target=_open_and_put, args=(path, trade(f"t{n}"), barrier))
        for n in range(6)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 6
    assert SqliteStore(path).count() == 6


def test_a_newer_version_is_refused_and_left_alone(store, path):
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    with pytest.raises(StoreError, match="use a newer tradelake"):
        SqliteStore(path)


@pytest.mark.parametrize("content", [b"no database " * 100, None])
def test_what_is_no_store_is_refused_by_name(path, content):
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=r"store\.db"):
        SqliteStore(path)
