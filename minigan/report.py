"""What `minigan evaluate` found, for people: a table for the terminal, two charts, and one page of HTML.

The page is one file that opens from a folder: pictures are inside it as data: URIs, there is no script, and its
Content-Security-Policy forbids every request. Nothing from a file or a user reaches it unescaped: all text goes
through `html`, and only what `element` has built is left as it is.

All of these take the facts of an evaluation.json, a dict (see minigan.evaluation):

    columns     by name: heading, form (how to print a number), better ("low", "high", "near 0" or ""), meaning
    rows        by name: about, and values by the columns' names: value, and low and high where there is an interval

N images in a picture, H rows and W columns of pixels, C channels, K classes.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigan.metrics.modes import Interval
from minigan.viz.figures import BLUE, FAINT, INK, ORANGE, _figure, _png, _tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Facts = Mapping[str, Any]
Row = dict[str, Interval]  # by column; low and high are NaN where there is no interval
FORMATS = {b"\x89PNG\r\n\x1a\n": "png", b"GIF87a": "gif", b"GIF89a": "gif"}  # by a picture's first bytes
ARROWS = {"low": "↓", "high": "↑", "near 0": "→ 0", "": ""}
WORDS = {"low": "Low is good.", "high": "High is good.", "near 0": "Near 0 is good.", "": ""}


class Picture(NamedTuple):
    """The bytes of a PNG or GIF, what is to be seen in it, and whether its pixels are to stay sharp when enlarged."""

    data: bytes
    caption: str
    sharp: bool = True

    @property
    def kind(self) -> str | None:
        """ "png" or "gif", by its first bytes; None for anything else."""
        return next((kind for start, kind in FORMATS.items() if self.data.startswith(start)), None)


class Column(NamedTuple):
    """A measure: its heading, how its numbers are printed, which are good, and what they mean."""

    heading: str
    form: str
    better: str  # "low", "high", "near 0", or "" where a number is to be like real data's
    meaning: str


@dataclass
class Found:
    """What an evaluation found, for `page`: n samples of what, its rows (the run's first), sentences, pictures."""

    what: str
    n: int
    columns: Mapping[str, Column]
    rows: dict[str, tuple[str, Row]]  # by name: what it is, and its values
    said: list[str]
    notes: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    pictures: dict[str, list[Picture]] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)  # for evaluation.json alone


def alone(value: float) -> Interval:
    """A number without an interval."""
    return Interval(float(value), math.nan, math.nan)


# ---- for the terminal ----------------------------------------------------------------------------------------------


def table(facts: Facts) -> str:
    """The measures as aligned text, a line each, the rows' values side by side and the first one's interval beside
    it; then a line for each measure and each row on what it is.
    """
    columns, rows = facts["columns"], facts["rows"]
    first, *others = rows
    lines = [["", first, "95 % interval", *others]]
    for key, column in columns.items():
        values = [number(rows[name]["values"].get(key), column["form"]) for name in rows]
        between = ends(rows[first]["values"].get(key), column["form"])
        lines.append([f"{column['heading']} {ARROWS[column['better']]}".strip(), values[0], between, *values[1:]])
    head, *widths = (max(map(len, cells)) for cells in zip(*lines))
    text = [f"{name:<{head}}  " + "  ".join(f"{c:>{w}}" for c, w in zip(cells, widths)) for name, *cells in lines]
    told = {column["heading"]: explained(column) for column in columns.values() if explained(column)}
    width = max(map(len, [*told, *rows]))
    told |= {"": ""} | {name: row["about"] for name, row in rows.items()}
    return "\n".join(
        [*(line.rstrip() for line in text), "", *(f"{k:<{width}}  {v}".rstrip() for k, v in told.items())]
    )


def explained(column: Mapping[str, str]) -> str:
    return f"{column['meaning']} {WORDS[column['better']]}".strip()


def number(value: Mapping[str, float] | None, form: str) -> str:
    """A value as text; "" where there is none."""
    return "" if value is None else format(value["value"] + 0.0, form)


def ends(value: Mapping[str, float] | None, form: str) -> str:
    """Its interval as text; "" where there is none."""
    return "" if value is None or "low" not in value else f"{value['low']:{form}} to {value['high']:{form}}"


# ---- pictures ------------------------------------------------------------------------------------------------------


def png(pixels: np.ndarray) -> bytes:
    """uint8 (H, W) or (H, W, 3), as `minigan.viz.grid` gives them -> the bytes of a PNG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", optimize=True)
    return file.getvalue()


def drawn(figure: Figure) -> bytes:
    """A figure of minigan.viz -> the bytes of a PNG."""
    return _png(figure)


def class_chart(run: Sequence[int], real: Sequence[int]) -> Figure:
    """How many samples the classifier takes for each of K classes, beside as many real images. Both (K,) counts."""
    figure = _figure(7.2, 2.6)
    axes = figure.subplots()
    _tidy(axes, "Images of each class, as the classifier sees them")
    at = np.arange(len(run))
    axes.bar(at - 0.2, run, 0.38, color=ORANGE, label="samples")
    axes.bar(at + 0.2, real, 0.38, color=BLUE, label="real")
    axes.set_xticks(at)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=8)
    return figure


def measure_chart(facts: Facts) -> Figure:
    """A panel for each column: the first row's value with its interval, and all other rows, on one axis.

    Where low is good and the values lie far apart the scale is logarithmic, but linear from 0 to the floor. Rows
    without a value are left empty. The dotted line is the row "floor".
    """
    columns, names = facts["columns"], list(facts["rows"])
    wide = 2
    deep = math.ceil(len(columns) / wide)
    figure = _figure(7.2, 0.3 + deep * (0.55 + 0.17 * len(names)))
    panels = figure.subplots(deep, wide, sharey=True, squeeze=False)
    for axes, (key, column) in zip(panels.flat, columns.items()):
        _tidy(axes, f"{column['heading']}" + (f"  ({column['better']} is good)" if column["better"] else ""))
        values = {name: row["values"][key] for name, row in facts["rows"].items() if key in row["values"]}
        for name, each in values.items():
            y, colour = names.index(name), ORANGE if name == names[0] else BLUE
            if "low" in each:
                axes.plot([each["low"], each["high"]], [y, y], color=colour, linewidth=2.2, alpha=0.45)
            axes.plot(each["value"], y, "o", color=colour, markersize=4.5)
        if "floor" in values:
            axes.axvline(values["floor"]["value"], color=FAINT, linewidth=0.9, linestyle=":", zorder=0)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)  # the first row on top
        axes.grid(axis="y", color="#EEEEEE", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.locator_params(axis="x", nbins=5)
        if column["better"] == "low":
            _logarithmic(axes, values)
        for label in axes.get_yticklabels():
            label.set_color(INK)
    for axes in panels.flat[len(columns) :]:
        axes.remove()
    return figure


def _logarithmic(axes: Axes, values: Mapping[str, Mapping[str, float]]) -> None:
    floor = values.get("floor", {"value": 0.0})
    linear, most = max(map(abs, floor.values())), max(each["value"] for each in values.values())
    if linear > 0 and most > 30 * linear:
        axes.set_xscale("symlog", linthresh=linear)
        powers = 10.0 ** np.arange(math.ceil(math.log10(linear)), math.floor(math.log10(most)) + 1)
        axes.set_xticks([0, *powers[:: math.ceil(len(powers) / 5)]], minor=False)
        axes.set_xticks([], minor=True)


# ---- HTML ----------------------------------------------------------------------------------------------------------


class Html(str):
    """Text that is HTML already. Only `element` makes it; the sum of two is HTML, that of one and a str is not."""

    def __add__(self, other: str) -> str:
        return Html(str(self) + other) if isinstance(other, Html) else str(self) + other

    def join(self, parts: Iterable[str]) -> Html:
        return Html(str(self).join(map(html, parts)))


def html(content: Any) -> Html:
    """Anything as HTML: what is Html stays, all else is escaped, quotation marks too."""
    return content if isinstance(content, Html) else Html(escape(str(content), quote=True))


def element(tag: str, *content: Any, **attributes: Any) -> Html:
    """<tag attributes>content</tag>, with every content and value escaped unless it is Html. class_ stands for class.

    img has no end tag, and takes no content.
    """
    words = "".join(f' {name.rstrip("_")}="{html(value)}"' for name, value in attributes.items())
    return Html(f"<{tag}{words}>" + ("" if tag == "img" else "".join(map(html, content)) + f"</{tag}>"))


def figure_of(picture: Picture) -> Html:
    """A picture inside the page, with its caption. Raises ValueError unless it is a PNG or a GIF."""
    if picture.kind is None:
        raise ValueError(f"A picture in a report is a PNG or a GIF, but this one is not: {picture.caption}")
    source = f"data:image/{picture.kind};base64,{base64.b64encode(picture.data).decode()}"
    look = {"class_": "sharp"} if picture.sharp else {}
    image = element("img", src=source, alt=picture.caption, **look)
    return element("figure", image, element("figcaption", picture.caption))


def measures_of(facts: Facts) -> Html:
    """The table: a line a measure, a column for each row of the facts, each value with its interval below it; and
    what both are.
    """
    columns, rows = facts["columns"], facts["rows"]
    head = element("tr", element("td"), *(element("th", name, scope="col") for name in rows))
    body = []
    for key, column in columns.items():
        cells = [element("th", column["heading"], " ", ARROWS[column["better"]], scope="row")]
        for row in rows.values():
            value, form = row["values"].get(key), column["form"]
            cells.append(element("td", number(value, form), element("small", ends(value, form))))
        body.append(element("tr", *cells))
    whole = element("table", element("thead", head), element("tbody", *body), class_="measures")
    told = [
        element("h3", heading) + element("dl", *(element("dt", k) + element("dd", v) for k, v in each.items()))
        for heading, each in (
            ("The columns", {name: row["about"] for name, row in rows.items()}),
            ("The measures", {column["heading"]: explained(column) for column in columns.values()}),
        )
    ]
    under = "In small print: 95 % intervals. ↓ low is good, ↑ high is good, → 0 near 0 is good."
    return element("div", whole, class_="wide") + element("p", under, class_="note") + Html("").join(told)


def pairs_of(values: Mapping[str, Any]) -> Html:
    """Names and values in two columns."""
    rows = (element("tr", element("th", name, scope="row"), element("td", value)) for name, value in values.items())
    return element("div", element("table", element("tbody", *rows), class_="pairs"), class_="wide")


def page(facts: Facts, pictures: Mapping[str, Sequence[Picture]]) -> str:
    """The whole report. pictures: by the heading of their section, which stand in this order before the measures,
    but for those under "Measures", which stand among them.

    facts, beside columns and rows: run, model, step, n, what (the samples are), said (sentences), texts, notes,
    settings, trained_with, evaluated_with, checkpoint, seed, reproduce (commands).
    """
    name = "" if facts["run"] == facts["model"] else f"{facts['run']}: "
    title = f"{name}{facts['model']} after {facts['step']:,} steps"
    body = [
        element("h1", title),
        element("p", f"{facts['n']:,} {facts['what']}, drawn with seed {facts['seed']}.", class_="note"),
        element("ul", *(element("li", sentence) for sentence in facts["said"]), class_="said"),
    ]
    if facts["texts"]:
        body += [element("h2", "Samples"), *(element("pre", text) for text in facts["texts"])]
    for heading, some in pictures.items():
        if heading != "Measures" and some:
            body += [element("h2", heading), *map(figure_of, some)]
    body += [element("h2", "Measures"), measures_of(facts), *map(figure_of, pictures.get("Measures", ()))]
    body += [element("p", note) for note in facts["notes"]]
    made = {"checkpoint (sha256)": facts["checkpoint"], "seed of the samples": facts["seed"]}
    made |= {f"trained with {name}": value for name, value in facts["trained_with"].items()}
    made |= {f"evaluated with {name}": value for name, value in facts["evaluated_with"].items()}
    body += [element("h2", "How to make this again"), element("pre", "\n".join(facts["reproduce"]))]
    body += [pairs_of(made), element("h2", "Configuration"), pairs_of(facts["settings"])]
    return document(title, body)


def document(title: str, body: Iterable[Html]) -> str:
    """One HTML file that opens from a folder: what it shows is inside it, and no request leaves it."""
    policy = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
    head = (
        '<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{element('title', title)}\n<style>{STYLE}</style>"
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n'
        + "\n".join(body)
        + "\n</body></html>\n"
    )


STYLE = """
body { max-width: 56rem; margin: 2rem auto 4rem; padding: 0 1rem; color: #222; background: #fff;
  font: 1rem/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.25; margin-bottom: .3rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .8rem; border-bottom: 1px solid #ddd; padding-bottom: .2rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
.note, small, figcaption { color: #555; font-size: .85rem; }
.said { padding-left: 1.2rem; } .said li { margin: .5rem 0; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; } .sharp { image-rendering: pixelated; }
figcaption { margin-top: .2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .45rem; text-align: right; vertical-align: top; border-bottom: 1px solid #e4e4e4; }
thead th { vertical-align: bottom; white-space: nowrap; }
tbody th { text-align: left; font-weight: 600; white-space: nowrap; position: sticky; left: 0; background: #fff; }
td small { display: block; font-size: .72rem; white-space: nowrap; }
.measures tr > :nth-child(2) { background: #fdf1e7; }
.measures thead th { font-weight: 600; }
.pairs td { text-align: left; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; font-size: .9rem; margin: 0; }
dt { font-weight: 600; } dd { margin: 0; }
pre { background: #f5f5f5; padding: .7rem .9rem; overflow-x: auto; font-size: .85rem; white-space: pre-wrap; }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } }
@media print { body { max-width: none; margin: 0; font-size: 10pt; } figure, tr { break-inside: avoid; }
  h2, h3 { break-after: avoid; } .wide { overflow: visible; } td, th { padding: .15rem .25rem; } }
"""
