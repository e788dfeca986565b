"""Every setting there is: what it means, its bounds, its default and where its value came from.

Strongest first: a command's flags, `TRADELAKE_*` variables, `tradelake.toml` in the home, defaults.
No setting is a secret. pydantic is slow to import: the command line imports this when needed.
"""

import difflib
import os
import re
import tomllib
import warnings
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from tradelake.errors import UsageError
from tradelake.taker_rates import DEFAULT_TAKER_RATE, PUBLISHED_TAKER_RATES
from tradelake.units import parse_duration, parse_memory, parse_rate

ENV_PREFIX = "TRADELAKE_"
HOME_VARIABLE = "TRADELAKE_HOME"
DEFAULT_HOME = ".tradelake"
FILE_NAME = "tradelake.toml"

_PUBLISHED = {exchange: format(rate, "f") for exchange, rate in PUBLISHED_TAKER_RATES.items()}


def _with_published(value: object) -> object:
    return {**_PUBLISHED, **value} if isinstance(value, Mapping) else value


def _absolute(path: Path) -> Path:
    try:
        return path.absolute()
    except FileNotFoundError:
        raise UsageError(
            "the current folder has been deleted; go to another, or name "
            f"{str(path)!r} by its whole path"
        ) from None


def _none_or(value: object) -> object:
    return None if value == "none" else value


Seconds = Annotated[float, BeforeValidator(parse_duration)]
Rate = Annotated[str, BeforeValidator(parse_rate)]
Megabyte = 1024 * 1024


class Settings(BaseSettings):
    """The settings in force. Durations are seconds; as text 90, 90s, 200ms, 5m, 1h, 30d."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=ENV_PREFIX, validate_default=True
    )

    buffer_seconds: Seconds = Field(
        0.2,
        ge=0,
        le=900,
        description="Most seconds a change waits in delivery's buffer. Firehose's own bounds; the "
        "default keeps freshness well under 2 s without an object for every change.",
    )
    buffer_bytes: int = Field(
        5 * Megabyte,
        ge=1,
        le=128 * Megabyte,
        description="Bytes of records that end a buffer early. Firehose's default and upper bound.",
    )
    commit_interval: Seconds = Field(
        1.0,
        ge=0,
        le=3600,
        description="Least seconds between two commits: a commit a second is as fresh as a reader "
        "notices, and keeps the timeline short.",
    )
    list_every: Seconds = Field(
        60.0,
        ge=0,
        description="Seconds between listings of the landing zone for objects others put there; "
        "our own delivery hands its objects over without one.",
    )
    region: str = Field(
        "us-east-1",
        pattern=r"^[a-z]{2,}(-[a-z]+)+-[0-9]+$",
        description="AWS region written into the embedded store's change records; AWS's default.",
    )
    batch_records: int = Field(
        250_000,
        ge=1,
        description="Most records folded into one commit: bounds memory to some 500 MB.",
    )
    change_log_retention: Seconds = Field(
        86400.0,
        ge=0,
        description="Seconds that delivered records stay in the change log, counted from their "
        "arrival; as DynamoDB Streams, 24 hours. What is not delivered yet never expires.",
    )
    tombstone_retention: Seconds | None = Field(
        None,
        gt=0,
        description="Seconds that the order of a deleted key is kept, counted from its commit; "
        "none keeps it for good, so that a late record never brings a row back.",
    )
    replaced_files_retention: Seconds = Field(
        300.0,
        ge=300,
        description="Seconds that replaced table files live on, so that no running query loses "
        "them: a query's own time limit.",
    )
    timeline_instants: int = Field(
        100,
        ge=10,
        description="Commits kept on the active timeline; beyond about a hundred, opening the "
        "table begins to cost.",
    )
    savepoint_interval: Annotated[Seconds | None, BeforeValidator(_none_or)] = Field(
        3600.0,
        gt=0,
        description="Seconds between a pipeline's savepoints; those of a day are kept, then one a "
        "day for a month. none makes none.",
    )
    threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=1024,
        description="Threads for folding and queries; the machine's processors.",
    )
    memory_limit: Annotated[str, BeforeValidator(parse_memory)] = Field(
        "1GB",
        description="Most memory DuckDB may use in folding, and in one query; leaves a 2 GB "
        "machine room for the rest.",
    )
    thresholds_file: Annotated[Path, AfterValidator(_absolute)] | None = Field(
        None,
        description="A TOML file that replaces the packaged thresholds; in tradelake.toml relative "
        "to that file.",
    )
    taker_rates: Annotated[dict[str, Rate], BeforeValidator(_with_published)] = Field(
        default_factory=lambda: dict(_PUBLISHED),
        description="Taker fee per exchange as a decimal fraction of the value, `<exchange> "
        "futures` for its futures; those not named here keep the published rate.",
    )
    default_taker_rate: Rate = Field(
        format(DEFAULT_TAKER_RATE, "f"),
        description="Taker fee of exchanges not in taker_rates; what most publish.",
    )
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port on 127.0.0.1 where `run` answers /metrics (for Prometheus) and /healthz; "
        "none answers nowhere, 0 takes a free port.",
    )
    _home: Path = PrivateAttr(default=Path(DEFAULT_HOME))
    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def home(self) -> Path:
        """The folder of all state, absolute."""
        return self._home

    @property
    def origins(self) -> Mapping[str, str]:
        """For `home` and each setting: `default`, `file …`, `environment …` or `flag --…`."""
        return self._origins

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Values come merged from `load`, which remembers where each was found."""
        return (init_settings,)


NAMES: tuple[str, ...] = tuple(Settings.model_fields)


def load(home: str | Path | None = None, flags: Mapping[str, object] | None = None) -> Settings:
    """The settings in force for a home; flags that are None were not given.

    Raises:
        UsageError: an unknown or impossible setting; the message says where it stands.
    """
    folder, home_origin = _find_home(home)
    path = folder / FILE_NAME
    text, from_file = _read_file(path)
    values: dict[str, object] = {}
    origins = dict.fromkeys(NAMES, "default") | {"home": home_origin}
    for name, value in from_file.items():
        values[name], origins[name] = value, f"file {path}"
    for name, value in _read_environment().items():
        values[name], origins[name] = value, f"environment {ENV_PREFIX}{name.upper()}"
    for name, value in _known_flags(flags or {}).items():
        values[name], origins[name] = value, f"flag --{name.replace('_', '-')}"
    try:
        settings = Settings(**values)  # type: ignore[arg-type]
    except ValidationError as error:
        raise UsageError(_explain(error, origins, text)) from None
    settings._home = folder
    settings._origins = origins
    return settings


def _expanded(folder: str | Path) -> Path:
    try:
        return _absolute(Path(folder).expanduser())
    except RuntimeError:
        raise UsageError(f"{str(folder)!r}: there is no such user; write ./~… for a name") from None


def _find_home(home: str | Path | None) -> tuple[Path, str]:
    if home is not None:
        if not str(home):
            raise UsageError("--home is empty; name a folder")
        return _expanded(home), "flag --home"
    if variable := os.environ.get(HOME_VARIABLE):
        return _expanded(variable), f"environment {HOME_VARIABLE}"
    return _absolute(Path(DEFAULT_HOME)), "default"


def _read_file(path: Path) -> tuple[str, dict[str, object]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return "", {}
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}, line {line}: not UTF-8 text") from None
    try:
        values = tomllib.loads(text, parse_float=Decimal)  # rates never pass through binary floats
    except tomllib.TOMLDecodeError as error:
        raise UsageError(_broken_toml(path, text, error)) from None
    for name in values:
        if name not in NAMES:
            raise UsageError(
                f"{path}, line {_line_of(name, text)}: there is no setting {name!r}"
                f"{_suggestion(name)}; `tradelake config` lists them"
            )
    thresholds = values.get("thresholds_file")
    if isinstance(thresholds, str):
        values["thresholds_file"] = path.parent / thresholds
    return text, values


def _broken_toml(path: Path, text: str, error: tomllib.TOMLDecodeError) -> str:
    match = re.search(r"^(.*) \(at line (\d+), column \d+\)$", str(error), re.DOTALL)
    what, line = match.groups() if match else (str(error).split(" (at ")[0], text.count("\n") + 1)
    return f"{path}, line {line}: not TOML: {what}"


def _read_environment() -> dict[str, object]:
    prefixed = [name for name in os.environ if name.upper().startswith(ENV_PREFIX)]
    for variable in prefixed:
        name = variable[len(ENV_PREFIX) :].lower()
        if variable.upper() == HOME_VARIABLE or name in NAMES:
            continue
        if near := _nearest(name):
            raise UsageError(
                f"environment {variable}: there is no such setting; "
                f"did you mean {ENV_PREFIX}{near.upper()}?"
            )
        # Not like any setting: another program's, or another version's, and no reason to refuse.
        warnings.warn(f"environment {variable} is no setting of tradelake", stacklevel=3)
    try:
        return EnvSettingsSource(Settings)()
    except SettingsError:
        raise UsageError(
            f"environment {ENV_PREFIX}TAKER_RATES: not a JSON object; "
            'write for example {"Binance": "0.00075"}'
        ) from None


def _known_flags(flags: Mapping[str, object]) -> dict[str, object]:
    unknown = [name for name in flags if name not in NAMES]
    if unknown:
        raise UsageError(f"there is no setting {unknown[0]!r}{_suggestion(unknown[0])}")
    return {name: value for name, value in flags.items() if value is not None}


def _explain(error: ValidationError, origins: Mapping[str, str], text: str) -> str:
    first: Any = error.errors()[0]
    name = str(first["loc"][0])
    where = origins[name]
    if where.startswith("file "):
        where = f"{where.removeprefix('file ')}, line {_line_of(name, text)}"
    what = first["msg"].removeprefix("Value error, ")
    inner = "".join(f".{part}" for part in first["loc"][1:] if isinstance(part, str))
    what = _PLAINER.get(first["type"], what)
    shown = "" if "is not a" in what else f", not {str(first['input'])[:80]!r}"
    return f"{where}: {name}{inner}: {what[:1].lower()}{what[1:]}{shown}"


_PLAINER = {
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "dict_type": "must be a table of exchanges and rates",
}
"""What is said instead of pydantic's own words, by its error type."""


def _line_of(name: str, text: str) -> int:
    key = rf"""^\s*\[?\s*["']?{re.escape(name)}["']?\s*[\].=]"""
    match = re.search(key, text, re.MULTILINE)
    return text.count("\n", 0, match.end()) + 1 if match else 1


def _nearest(name: str) -> str | None:
    near = difflib.get_close_matches(name.lower().replace("-", "_"), NAMES, n=1, cutoff=0.7)
    return near[0] if near else None


def _suggestion(name: str) -> str:
    near = _nearest(name)
    return f"; did you mean {near!r}?" if near else ""
