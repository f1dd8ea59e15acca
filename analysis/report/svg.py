"""Turns Matplotlib's output into an element of a page: unique ids, the page's colours and font; texts are unchanged."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from xml.etree.ElementTree import Element

_SVG: Final = "http://www.w3.org/2000/svg"
_XLINK: Final = "http://www.w3.org/1999/xlink"
_HREF: Final = f"{{{_XLINK}}}href"
_LONG_DECIMALS: Final = re.compile(r"(\d\.\d\d)\d+")
ElementTree.register_namespace("", _SVG)
ElementTree.register_namespace("xlink", _XLINK)


def page_element(drawn: str, *, name: str, description: str, colours: Mapping[str, str]) -> str:
    """The picture as an element among others on a page; `colours` maps drawn colours to the page's variables."""
    root = ElementTree.fromstring(drawn)  # noqa: S314 - written by Matplotlib
    for element in root.iter():
        shorten_numbers(element)
        take_page_font(element)
        take_page_colours(element, colours)
        own_ids(element, name)
    scale_to_page(root, description)
    return ElementTree.tostring(root, encoding="unicode")


def shorten_numbers(element: Element) -> None:
    """Round to a hundredth of a point, which is finer than any screen shows."""
    for key, value in element.attrib.items():
        if key not in {"id", _HREF}:
            element.set(key, _LONG_DECIMALS.sub(r"\1", value))


def take_page_font(element: Element) -> None:
    """Use the page's font, in the same size."""
    style = _style_of(element)
    if "font" in style:
        size = next(part for part in style["font"].split() if part.endswith("px"))
        _restyle(element, style | {"font": f"{size} var(--font)"})


def take_page_colours(element: Element, colours: Mapping[str, str]) -> None:
    """Use the page's colours, whatever the theme; colours that aren't listed stay."""

    def of_page(value: str) -> str:
        return f"var(--{colours[value]})" if value in colours else value

    for key in {"fill", "stroke"} & element.attrib.keys():
        element.set(key, of_page(element.attrib[key]))
    if style := _style_of(element):
        _restyle(element, {key: of_page(value) for key, value in style.items()})


def own_ids(element: Element, name: str) -> None:
    """Prefix ids with the picture's name, wherever they are defined or referenced, so that they are unique."""
    for key, value in element.attrib.items():
        if key == "id":
            element.set(key, f"{name}-{value}")
        elif key == _HREF:
            element.set(key, value.replace("#", f"#{name}-", 1))
        else:
            element.set(key, value.replace("url(#", f"url(#{name}-"))


def scale_to_page(root: Element, description: str) -> None:
    """Remove width and height, so that it adapts to its place, and add a description for screen readers."""
    for key in {"width", "height"} & root.attrib.keys():
        del root.attrib[key]
    root.set("role", "img")
    root.set("aria-label", description)


def _style_of(element: Element) -> dict[str, str]:
    declarations = (part.partition(":") for part in element.get("style", "").split(";") if part.strip())
    return {key.strip(): value.strip() for key, _, value in declarations}


def _restyle(element: Element, style: Mapping[str, str]) -> None:
    element.set("style", "; ".join(f"{key}: {value}" for key, value in style.items()))
