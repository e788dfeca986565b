"""A child process that writes to a store until it is killed: `writer.py STORE SEED`."""

import random
import sys
from pathlib import Path

from tradelake.actions import Action, Delete, Put, Update
from tradelake.store.sqlite import SqliteStore
from tradelake.trade import FIELD_NAMES, Transaction

KEYS = [f"t{n}" for n in range(50)]


def main() -> None:
    store = SqliteStore(Path(sys.argv[1]))
    chance = random.Random(int(sys.argv[2]))
    while True:
        store.apply([action(chance) for _ in range(chance.randint(1, 20))])
        store.put_many([transaction(chance) for _ in range(chance.randint(1, 20))])
        print(flush=True)


def action(chance: random.Random) -> Action:
    draw = chance.random()
    if draw < 0.4:
        return Put(transaction(chance))
    if draw < 0.7:
        return Update(chance.choice(KEYS), {"trade_fee": str(chance.randint(0, 9))})
    return Delete(chance.choice(KEYS))


def transaction(chance: random.Random) -> Transaction:
    values = {name: str(chance.randint(0, 2)) for name in FIELD_NAMES}
    return Transaction.from_dict(values | {"transaction_id": chance.choice(KEYS)})


if __name__ == "__main__":
    main()
