"""Spark with one version of Hudi, a process of its own: JSON lines in, a JSON line back for each.

    python spark_process.py JAR SCRATCH OPTIONS

OPTIONS, a JSON object, is what Hudi is told in everything it does. Rows come and go as Arrow IPC
files, since these keep types and nulls. Spark chatters on both of its outputs, so the answers have
the one that this process was given, and the rest goes to standard error.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

# The tests' tables have some hundred rows: what takes time is compiling, not running.
_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Duser.timezone=UTC"


def session(jar: str, scratch: str, options: dict[str, str]) -> SparkSession:
    builder = SparkSession.builder.master("local[2]")
    settings = {
        "spark.jars": jar,
        "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
        "spark.kryo.registrator": "org.apache.spark.HoodieSparkKryoRegistrar",
        "spark.sql.extensions": "org.apache.spark.sql.hudi.HoodieSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.hudi.catalog.HoodieCatalog",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "1500m",
        "spark.driver.extraJavaOptions": f"{_JAVA} -Djava.io.tmpdir={scratch}",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.default.parallelism": "2",
        "spark.sql.warehouse.dir": f"{scratch}/warehouse",
        **options,
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    made = builder.getOrCreate()
    made.sparkContext.setLogLevel("ERROR")
    return made


class Spark:
    """What can be asked for; each method is a verb of the protocol."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark

    def read(self, path: str, options: dict[str, str], into: str) -> int:
        """Writes the rows that Hudi reads to a file; returns how many."""
        return _give(self._spark.read.format("hudi").options(**options).load(path), into)

    def write(self, path: str, rows: str, options: dict[str, str], mode: str) -> None:
        """Has Hudi write the rows of a Parquet file into a table."""
        found = self._spark.read.parquet(rows)
        found.write.format("hudi").options(**options).mode(mode).save(path)

    def sql(self, text: str, into: str) -> int:
        """Writes the rows of a query, or of a procedure's call, to a file; returns how many."""
        return _give(self._spark.sql(text), into)


def _give(found: DataFrame, into: str) -> int:
    batches = found._collect_as_arrow()
    schema = batches[0].schema if batches else pa.schema([])
    with pa.OSFile(into, "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sum(len(batch) for batch in batches)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    jar, scratch, options = sys.argv[1:]
    spark = Spark(session(jar, scratch, json.loads(options)))
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        verb: Callable[..., Any] = getattr(spark, request.pop("do"))
        try:
            answer = {"done": verb(**request)}
        except Exception as error:  # whatever Spark has to say belongs to the asking test
            answer = {"error": str(error)}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
