"""The page and the table: nothing gets out of a text into the page, nothing in the page reaches out."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from minigan.report import Html, Picture, class_chart, drawn, element, html, measure_chart, page, png, table

HOSTILE = "</title></pre><script>alert('1')</script><img src=x onerror=\"alert(2)\">&"
PNG = Picture(png(np.zeros((4, 6), np.uint8)), "a caption")


def facts(**changes):
    """Two measures, three rows, as an evaluation.json has them."""
    values = lambda a, b: {"far": {"value": a, "low": a - 1, "high": a + 1}, "kind": {"value": b}}
    found = {
        **{"run": "r1", "model": "mlp", "step": 1500, "what": "digits", "n": 300, "seed": 7, "checkpoint": "ab" * 32},
        **{"said": ["A sentence."], "notes": ["A note."], "texts": ["A poem."]},
        "columns": {
            "far": {"heading": "Distance", "form": ".1f", "better": "low", "meaning": "How far."},
            "kind": {"heading": "Kind", "form": ".0%", "better": "", "meaning": "How kind."},
        },
        "rows": {
            "run": {"about": "This one.", "values": values(500.0, 0.5)},
            "floor": {"about": "Real.", "values": values(2.0, 1.0)},
            "empty": {"about": "Nothing.", "values": {}},
        },
        "settings": {"data": "digits", "lr": 0.0002, "image_shape": [28, 28, 1]},
        **{"trained_with": {"numpy": "2.0"}, "evaluated_with": {"python": "3.11"}},
        "reproduce": ["minigan train mlp --out r1"],
    }
    return found | changes


def hostile(value):
    """Every text in it, names too, but for what the page looks up or prints by."""
    if isinstance(value, str):
        return HOSTILE + value
    if isinstance(value, list):
        return [hostile(each) for each in value]
    if isinstance(value, dict):
        return {hostile(name): hostile(each) for name, each in value.items()}
    return value


def all_hostile():
    found = facts()
    for name in ("run", "model", "what", "checkpoint", "said", "notes", "texts", "settings", "trained_with"):
        found[name] = hostile(found[name])
    for name in ("evaluated_with", "reproduce"):
        found[name] = hostile(found[name])
    found["columns"] = {
        k: c | {"heading": hostile(c["heading"]), "meaning": hostile(c["meaning"])}
        for k, c in found["columns"].items()
    }
    found["rows"] = {hostile(k): r | {"about": hostile(r["about"])} for k, r in found["rows"].items()}
    return found


class Tags(HTMLParser):
    """The tags of a page with their attributes, and whether each that opens is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def tags_of(text):
    found = Tags(text)
    assert not found.open
    return found


def test_a_hostile_text_adds_no_tag_and_no_attribute():
    """The page of hostile facts has the same tags with the same attributes as that of harmless ones, text aside."""
    pictures = lambda text: {"Samples": [PNG], text: [Picture(PNG.data, text)], "Measures": [Picture(PNG.data, text)]}
    harmless, bad = page(facts(), pictures("More")), page(all_hostile(), pictures(HOSTILE))
    a, b = tags_of(harmless), tags_of(bad)
    assert [(tag, sorted(attributes)) for tag, attributes in a.tags] == [(t, sorted(x)) for t, x in b.tags]
    assert "<script" not in bad and "<img src=x" not in bad
    assert b.text.count(HOSTILE) >= 20  # it is all there, to be read
    assert {x["alt"] for t, x in b.tags if t == "img"} == {"a caption", HOSTILE}


def test_no_request_leaves_the_page():
    text = page(facts(), {"Samples": [PNG], "Measures": [Picture(drawn(measure_chart(facts())), "chart", False)]})
    found = tags_of(text)
    assert {tag for tag, _ in found.tags}.isdisjoint({"script", "link", "iframe", "object", "form", "a", "base"})
    sources = [attributes["src"] for _, attributes in found.tags if "src" in attributes]
    assert len(sources) == 2 and all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"https?:|//|url\(|@import", re.sub(r"base64,[\w+/=]+", "", text))
    policy = next(x["content"] for _, x in found.tags if x.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"


def test_the_page_holds_what_there_is():
    found = tags_of(page(facts(), {"Samples": [PNG]}))
    for text in ("r1: mlp after 1,500 steps", "300 digits, drawn with seed 7", "A sentence.", "A note.", "A poem."):
        assert text in found.text
    for text in ("499.0 to 501.0", "How far. Low is good.", "This one.", "minigan train mlp --out r1", "ab" * 32):
        assert text in found.text
    source = next(x["src"] for tag, x in found.tags if tag == "img")
    assert base64.b64decode(source.split(",")[1]) == PNG.data


def test_html_is_escaped_once_and_only_once():
    inner = element("b", "1 < 2")
    assert element("p", inner, ' & "') == "<p><b>1 &lt; 2</b> &amp; &quot;</p>"
    assert element("p", "x", class_='"><script>') == '<p class="&quot;&gt;&lt;script&gt;">x</p>'
    assert isinstance(inner + inner, Html) and not isinstance(inner + "<", Html)
    assert html(inner + "<i>") == "&lt;b&gt;1 &amp;lt; 2&lt;/b&gt;&lt;i&gt;"  # doubtful: escaped as a whole
    assert Html("").join([inner, "<"]) == inner + html("<")


def test_what_is_no_picture_is_refused():
    with pytest.raises(ValueError, match=r"^A picture in a report is a PNG or a GIF, but this one is not: odd$"):
        page(facts(), {"Samples": [Picture(b"<svg onload='alert(1)'/>", "odd")]})
    assert Picture(b"GIF89a...", "").kind == "gif" and Picture(b"\x89PNG", "").kind is None


def test_the_table():
    lines = table(facts()).splitlines()
    assert lines[0].split() == ["run", "95", "%", "interval", "floor", "empty"]
    assert lines[1].split() == ["Distance", "↓", "500.0", "499.0", "to", "501.0", "2.0"]
    assert lines[2].split() == ["Kind", "50%", "100%"]
    assert lines[1].index("2.0") + 3 == lines[2].index("100%") + 4 == lines[0].index("floor") + 5  # aligned
    assert "Distance  How far. Low is good." in lines and "Kind      How kind." in lines
    assert any(line.split(maxsplit=1) == ["floor", "Real."] for line in lines)


def test_charts():
    figure = measure_chart(facts())
    first, second = figure.axes
    assert first.get_title(loc="left").startswith("Distance") and "low is good" in first.get_title(loc="left")
    assert first.get_xscale() == "symlog" and second.get_xscale() == "linear"
    marks = [line for line in first.lines if line.get_marker() == "o"]
    assert [float(np.ravel(line.get_xdata())[0]) for line in marks] == [500, 2]
    assert list(first.get_xticks()) == [0, 10, 100]
    bars = class_chart([3, 0, 5], [2, 2, 2]).axes[0].patches
    assert [bar.get_height() for bar in bars] == [3, 0, 5, 2, 2, 2]
