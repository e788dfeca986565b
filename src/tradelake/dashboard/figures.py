"""A visual's answer as what the page shows: a number, rows of a grid, or a Plotly figure.

Plain data in Plotly's and AG Grid's own shapes. Values of the lake are escaped, since Plotly takes
its texts for HTML. Text, lines and grounds have no colour here: the style sheet gives it, so that
the page follows the system's theme without being asked.
"""

from collections.abc import Sequence
from decimal import Decimal
from html import escape
from typing import Any

import pyarrow as pa

from tradelake.dashboard.visuals import Kind, Measure, Visual

Figure = dict[str, Any]
Number = Decimal | int | None

MOST_BARS = 15
"""Bars that can be read in one card; the largest are shown, and how many there are."""

_LONGEST_LABEL = 24

_CLEAR = "rgba(0,0,0,0)"
_ACCENT = "#3d87d9"
_OTHERS = ("#3d87d9", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a90c", "#8a8f98")
_COLOURS = {
    "LOW_RISK": "#56b4e9",
    "MEDIUM_RISK": "#e69f00",
    "HIGH_RISK": "#d55e00",
    "SUCCESS": "#009e73",
    "PENDING": "#e69f00",
    "BUY": "#3d87d9",
    "SELL": "#cc79a7",
}
"""Okabe and Ito's colours, told apart by the colour-blind, a little altered to show on both
grounds. A value keeps its colour whatever its place."""


def shown(value: Number, measure: Measure) -> str:
    """A number as people read it, thousands apart and rounded; a dash where there is none."""
    return "–" if value is None else f"{value:,.{measure.decimals}f}"


def exact(value: Number) -> str:
    """All its digits, thousands apart."""
    return "–" if value is None else f"{value:,f}" if isinstance(value, Decimal) else f"{value:,}"


def total(answer: pa.Table) -> Number:
    """The one number of a KPI."""
    number: Number = answer.column(0)[0].as_py()
    return number


def grid_columns(visual: Visual) -> list[dict[str, Any]]:
    """AG Grid's column definitions: the dimension, then the measures, sorted by their value."""
    head = str(visual.dimension).replace("_", " ").capitalize()
    return [
        {"field": "dimension", "headerName": head, "flex": 2, "minWidth": 75},
        *(
            {
                "field": f"value{place}",
                "headerName": measure.label,
                "valueFormatter": {"function": f"params.data.shown{place}"},
                "tooltipField": f"exact{place}",
                "type": "rightAligned",
                "flex": 3,
                "minWidth": 118,
            }
            for place, measure in enumerate(visual.measures)
        ),
    ]


def grid_rows(visual: Visual, answer: pa.Table) -> list[dict[str, Any]]:
    """AG Grid's rows: each measure as a value to sort by, as shown and with all its digits."""
    rows = []
    for label, *numbers in zip(*_columns(answer), strict=True):
        row: dict[str, Any] = {"dimension": label}
        for place, (number, measure) in enumerate(zip(numbers, visual.measures, strict=True)):
            row[f"value{place}"] = _length(number)
            row[f"shown{place}"] = shown(number, measure)
            row[f"exact{place}"] = exact(number)
        rows.append(row)
    return rows


def figure(visual: Visual, answer: pa.Table) -> Figure:
    """The Plotly figure of a bar, donut or pie."""
    labels, numbers = _columns(answer)
    if visual.kind is Kind.BAR:
        return _bars(visual.measures[0], labels, numbers)
    return _slices(visual, labels, numbers)


def note(visual: Visual, answer: pa.Table) -> str:
    """What a figure leaves out; nothing where it is whole."""
    if visual.kind is not Kind.BAR or answer.num_rows <= MOST_BARS:
        return ""
    return f"the {MOST_BARS} largest of {answer.num_rows:,}"


def _bars(measure: Measure, labels: Sequence[Any], numbers: Sequence[Number]) -> Figure:
    labels, numbers = labels[:MOST_BARS], numbers[:MOST_BARS]
    names = [_text(label) for label in labels]
    places = list(range(len(labels)))
    longest = max((_length(number) for number in numbers), default=0.0)
    bars: Figure = {
        "type": "bar",
        "orientation": "h",
        "x": [_length(number) for number in numbers],
        "y": places,
        "text": [shown(number, measure) for number in numbers],
        "textposition": "outside",
        "cliponaxis": False,
        "customdata": [[name, exact(n)] for name, n in zip(names, numbers, strict=True)],
        "hovertemplate": f"%{{customdata[0]}}<br>{measure.label} %{{customdata[1]}}<extra></extra>",
        "marker": {"color": _ACCENT},
    }
    return _with_layout(
        bars,
        margin=_margin(right=16 + 7 * max((len(text) for text in bars["text"]), default=0)),
        xaxis={"range": [0, longest or 1], "visible": False, "fixedrange": True},
        yaxis={
            "range": [len(labels) - 0.5, -0.5],
            "tickvals": places,
            "ticktext": [_clipped(label) for label in labels],
            "automargin": True,
            "fixedrange": True,
            "showgrid": False,
            "zeroline": False,
            "ticks": "outside",
            "tickcolor": _CLEAR,
        },
        bargap=0.35,
    )


def _slices(visual: Visual, labels: Sequence[Any], numbers: Sequence[Number]) -> Figure:
    measure = visual.measures[0]
    slices = {
        "type": "pie",
        "labels": [_text(label) for label in labels],
        "values": [_length(number) for number in numbers],
        "text": [shown(number, measure) for number in numbers],
        "customdata": [exact(number) for number in numbers],
        "textinfo": "label+text",
        "textposition": "outside",
        "hovertemplate": f"%{{label}}<br>{measure.label} %{{customdata}}<br>%{{percent}}"
        "<extra></extra>",
        "marker": {"colors": _colours(labels)},
        "hole": 0.6 if visual.kind is Kind.DONUT else 0,
        "sort": False,
        "direction": "clockwise",
    }
    # Fixed margins, wide enough for the labels: with automargin the circle jumps at each commit.
    return _with_layout(slices, margin=_margin(left=76, right=76, top=34, bottom=34))


def _margin(left: int = 8, right: int = 8, top: int = 8, bottom: int = 8) -> dict[str, int]:
    """In pixels."""
    return {"l": left, "r": right, "t": top, "b": bottom}


def _with_layout(trace: Figure, **more: Any) -> Figure:
    layout = {
        "paper_bgcolor": _CLEAR,
        "plot_bgcolor": _CLEAR,
        "showlegend": False,
        "uirevision": "the viewer's zoom stays",
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 12},
        **more,
    }
    return {"data": [trace], "layout": layout}


def _columns(answer: pa.Table) -> list[list[Any]]:
    return [column.to_pylist() for column in answer.columns]


def _length(number: Number) -> float:
    """Only for lengths, angles and sorting: texts are made of the exact number."""
    return float(number or 0)


def _text(label: object) -> str:
    return escape(str(label), quote=False)


def _clipped(label: object) -> str:
    text = str(label)
    return _text(text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…")


def _colours(labels: Sequence[Any]) -> list[str]:
    unnamed = sorted(str(label) for label in labels if label not in _COLOURS)
    others = {label: _OTHERS[place % len(_OTHERS)] for place, label in enumerate(unnamed)}
    return [_COLOURS.get(str(label)) or others[str(label)] for label in labels]
