"""A child process that appends records and delivers them until killed: `deliverer.py HOME`."""

import json
import sys
from pathlib import Path

from tradelake.delivery.firehose import Delivery
from tradelake.storage import LocalStorage
from tradelake.stream.changelog import ChangeLog


def main() -> None:
    home = Path(sys.argv[1])
    stream = ChangeLog(home / "store.db")
    delivery = Delivery(stream, LocalStorage(home, sync=False), buffer_seconds=0, buffer_bytes=2000)
    while True:
        first = stream.latest() + 1
        stream.append(
            b"bad %d" % n if n % 7 == 0 else change_record(n) for n in range(first, first + 20)
        )
        delivery.deliver()
        print(flush=True)


def change_record(n: int) -> bytes:
    keys = {"transaction_id": {"S": f"t{n}"}}
    dynamodb = {"ApproximateCreationDateTime": 1_763_842_800_123, "Keys": keys}
    return json.dumps(
        {"eventID": str(n), "eventName": "REMOVE", "dynamodb": dynamodb}, separators=(",", ":")
    ).encode()


if __name__ == "__main__":
    main()
