"""The page: its layout, and the callback that brings new commits to it."""

import time
from datetime import UTC, datetime
from typing import Any

import dash_ag_grid
import flask
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update

from tradelake.clock import Clock, system_clock
from tradelake.dashboard.figures import (
    exact,
    figure,
    grid_columns,
    grid_rows,
    note,
    shown,
    total,
)
from tradelake.dashboard.readings import Reading, Readings
from tradelake.dashboard.visuals import TITLE, VISUALS, Kind, Visual
from tradelake.hudi.instants import from_instant

LOOK_EVERY_MS = 1000
"""The pipeline commits once a second; looking costs a listing unless there is a new commit."""

LOOPBACK_NAMES = ["127.0.0.1", "localhost", "[::1]"]
"""Host names that are answered: a foreign page whose name was made to resolve here is not."""

_INDEX = """<!DOCTYPE html>
<html lang="en">
  <head>
    {%metas%}
    <meta name="color-scheme" content="light dark">
    <title>{%title%}</title>
    {%favicon%}
    {%css%}
  </head>
  <body>
    {%app_entry%}
    <footer>{%config%}{%scripts%}{%renderer%}</footer>
  </body>
</html>"""


def create_app(readings: Readings, clock: Clock = system_clock) -> Dash:
    """The application over a lake's readings; everything it needs is served by itself."""
    app = Dash(
        __name__,
        title=TITLE,
        update_title="",
        index_string=_INDEX,
        serve_locally=True,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )
    app.layout = lambda: _layout(readings.newest(), clock)
    _follow(app, readings, clock)
    _guard(app)
    return app


def _layout(reading: Reading, clock: Clock) -> html.Div:
    return html.Div(
        [
            html.Header([html.H1(TITLE), html.P(id="age", className="age", role="status")]),
            html.P(reading.failure, id="failure", role="alert"),
            _help(),
            html.Main([_card(visual, place) for place, visual in enumerate(VISUALS)]),
            dcc.Interval(id="tick", interval=LOOK_EVERY_MS),
            dcc.Store(id="moment", data=_moment(reading, clock)),
            # What the cards show comes by the callback below, the first time too.
            dcc.Store(id="drawn", data=None),
        ],
        id="board",
        className=_state(reading),
    )


def _help() -> html.Section:
    return html.Section(
        [
            html.H2("No trades yet"),
            html.P("This page fills by itself with the first commit. To make one:"),
            html.Ul(
                [
                    html.Li(["a market to watch: ", html.Code("tradelake demo")]),
                    html.Li(["real trades: ", html.Code("tradelake replay FILE")]),
                    html.Li(["and the pipeline that folds them: ", html.Code("tradelake run")]),
                ]
            ),
            html.P(["What waits, and where: ", html.Code("tradelake status")]),
        ],
        className="help",
    )


def _card(visual: Visual, place: int) -> html.Section:
    return html.Section(
        [
            html.H2([visual.title, html.Small(id=f"note{place}")]),
            _body(visual, place),
        ],
        className=f"card {visual.kind}",
        **{"aria-label": visual.title},
    )


def _body(visual: Visual, place: int) -> Any:
    if visual.kind is Kind.KPI:
        return html.Div(
            [
                html.P("–", id=f"visual{place}", className="number"),
                html.P(id=f"exact{place}", className="exact"),
            ]
        )
    if visual.kind is Kind.TABLE:
        return dash_ag_grid.AgGrid(
            id=f"visual{place}",
            columnDefs=grid_columns(visual),
            rowData=[],
            getRowId="params.data.dimension",
            defaultColDef={"sortable": True, "resizable": True},
            dashGridOptions={
                "theme": {
                    "function": "themeQuartz.withParams({backgroundColor: 'var(--card)', "
                    "foregroundColor: 'var(--text)', headerBackgroundColor: 'var(--card)', "
                    "borderColor: 'var(--line)', accentColor: 'var(--accent)', "
                    "browserColorScheme: 'inherit', fontFamily: 'inherit', "
                    "wrapperBorder: false, wrapperBorderRadius: 0, fontSize: 13, rowHeight: 32, "
                    "headerHeight: 34, cellHorizontalPadding: 8})"
                },
                "tooltipShowDelay": 300,
                "animateRows": False,
                "suppressNoRowsOverlay": True,
            },
            className="grid",
        )
    return dcc.Graph(
        id=f"visual{place}",
        figure={"data": [], "layout": {"xaxis": {"visible": False}, "yaxis": {"visible": False}}},
        responsive=True,
        config={"displayModeBar": False, "displaylogo": False},
        className="graph",
    )


def _follow(app: Dash, readings: Readings, clock: Clock) -> None:
    outputs = [
        Output("moment", "data"),
        Output("drawn", "data"),
        Output("failure", "children"),
        Output("board", "className"),
    ]
    for place, visual in enumerate(VISUALS):
        outputs += [Output(component, name) for component, name in _targets(visual, place)]

    @app.callback(outputs, Input("tick", "n_intervals"), State("drawn", "data"))  # type: ignore[untyped-decorator]
    def look(_ticks: int | None, drawn: str | None) -> list[Any]:
        reading = readings.newest()
        head = [_moment(reading, clock), reading.instant, reading.failure, _state(reading)]
        if reading.instant is None or reading.instant == drawn:
            return head + [no_update] * (len(outputs) - len(head))
        for visual, answer in zip(VISUALS, reading.answers, strict=True):
            head += _values(visual, answer)
        return head

    app.clientside_callback(
        ClientsideFunction("tradelake", "age"),
        Output("age", "children"),
        Output("age", "className"),
        Input("tick", "n_intervals"),
        Input("moment", "data"),
    )


def _targets(visual: Visual, place: int) -> list[tuple[str, str]]:
    """The properties that `_values` fills."""
    one = f"visual{place}"
    if visual.kind is Kind.KPI:
        return [(one, "children"), (f"exact{place}", "children")]
    if visual.kind is Kind.TABLE:
        return [(one, "rowData")]
    return [(one, "figure"), (f"note{place}", "children")]


def _values(visual: Visual, answer: Any) -> list[Any]:
    if visual.kind is Kind.KPI:
        number = total(answer)
        return [shown(number, visual.measures[0]), f"exactly {exact(number)}"]
    if visual.kind is Kind.TABLE:
        return [grid_rows(visual, answer)]
    return [figure(visual, answer), note(visual, answer)]


def _state(reading: Reading) -> str:
    return "filled" if reading.instant else "empty"


def _moment(reading: Reading, clock: Clock) -> dict[str, Any]:
    """What the browser needs to tell the age of what it shows, whatever its own clock says."""
    if reading.instant is None:
        return {"stamp": time.monotonic(), "at": None, "age": None}
    committed_us = from_instant(reading.instant)
    at = datetime.fromtimestamp(committed_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return {
        "stamp": time.monotonic(),
        "at": at,
        "age": max(0, clock() - committed_us) / 1_000_000,
    }


def _guard(app: Dash) -> None:
    """Only loopback names are answered, and the browser may load and run nothing but ours."""
    app.server.config["TRUSTED_HOSTS"] = LOOPBACK_NAMES
    scripts = " ".join(["'self'", *app.csp_hashes()])
    policy = "; ".join(
        (
            "default-src 'self'",
            f"script-src {scripts}",
            "style-src 'self' 'unsafe-inline'",  # Plotly and AG Grid write style elements
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "object-src 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )

    @app.server.after_request  # type: ignore[untyped-decorator]
    def _headers(response: flask.Response) -> flask.Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response
