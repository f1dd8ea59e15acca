"""Pictures become parts of a page: each rewriting by itself, and texts are never changed."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from loadproof.analysis.report import svg
from loadproof.analysis.report.drawing import FAINT, HEAT, INK, LINES, SHADE, chart

COLOURS = {"#010203": "ink", "#040506": "line-1"}


def rewritten(rewrite, text: str, *arguments) -> dict[str, str]:
    """The attributes of an element after the rewriting."""
    element = ElementTree.fromstring(text)
    rewrite(element, *arguments)
    return dict(element.attrib)


def test_numbers_have_two_decimals():
    """In paths, positions and styles; ids that look like numbers stay."""
    found = rewritten(svg.shorten_numbers, '<path id="p1.23456" d="M 1.23456 7 L 10.999 0.5" style="x: 0.12345"/>')
    assert found == {"id": "p1.23456", "d": "M 1.23 7 L 10.99 0.5", "style": "x: 0.12"}


@pytest.mark.parametrize("font", ["9px 'DejaVu Sans', sans-serif", "bold 9px serif"])
def test_the_font_is_the_pages(font):
    """In its own size."""
    found = rewritten(svg.take_page_font, f'<text style="font: {font}; text-anchor: middle"/>')
    assert found == {"style": "font: 9px var(--font); text-anchor: middle"}


def test_colours_are_the_pages():
    """As attributes or in a style; colours without a stand-in stay."""
    text = '<rect fill="#040506" stroke="none" style="fill: #010203; stroke: #123456; opacity: 0.3"/>'
    assert rewritten(svg.take_page_colours, text, COLOURS) == {
        "fill": "var(--line-1)",
        "stroke": "none",
        "style": "fill: var(--ink); stroke: #123456; opacity: 0.3",
    }


def test_ids_are_made_unique_wherever_they_are_referenced():
    """Another picture on the page may have the same ones."""
    text = (
        '<use xmlns:xlink="http://www.w3.org/1999/xlink" id="a" xlink:href="#b" clip-path="url(#c)"'
        ' style="fill: url(#d)"/>'
    )
    assert list(rewritten(svg.own_ids, text, "load").values()) == [
        "load-a",
        "#load-b",
        "url(#load-c)",
        "fill: url(#load-d)",
    ]


def test_a_picture_adapts_its_width_and_has_a_description():
    """Its view box stays."""
    text = '<svg width="619.2pt" height="180pt" viewBox="0 0 619.2 180"/>'
    assert rewritten(svg.scale_to_page, text, 'All "good"') == {
        "viewBox": "0 0 619.2 180",
        "role": "img",
        "aria-label": 'All "good"',
    }


@pytest.mark.slow
@pytest.mark.drawn
@pytest.mark.parametrize(
    "name", ["#040506", 'id="x" url(#p) 1.23456', "font: 9px serif; a", "<b>&amp;</b>", 'a="0.12345"']
)
def test_no_text_of_a_picture_is_rewritten(name):
    """Whatever an endpoint is called, and however much that looks like something to rewrite."""
    with chart("times", "ms", end_s=2) as (axes, drawing):
        axes.plot([0, 1], [1, 2], color=LINES[0], label=name)
        drawing.legend(axes)
    element = re.search(r"<svg.*</svg>", drawing.svg("told"), re.DOTALL)[0]
    assert name in {text.text for text in ElementTree.fromstring(element).iter("{http://www.w3.org/2000/svg}text")}


def test_each_colour_has_a_different_stand_in():
    """Or two of the page's variables would become one."""
    drawn = [INK, FAINT, SHADE, *LINES, *HEAT]
    assert len(set(drawn)) == len(drawn) == 15
