"""Decodes cells in any machine's encoding into readable text; different cells stay different.

Locust on Windows writes in its machine's code page, and a file doesn't say which. UTF-8 is recognised by its form; for
the rest, the code page is guessed from the text it would give. The guess only affects how names look, never which names
are the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_HIGH: Final = re.compile(rb"[\x80-\xff]+")
_COMMON_LEADS: Final = range(0xB0, 0xD8)
"""Lead bytes of the 3,755 most frequent characters, in GB 2312's first level."""
_KANA: Final = re.compile("[\u3040-\u30ff]")
_HALF_WIDTH: Final = re.compile("[\uff61-\uffdc]")
_PAGES: Final = ("gb2312", "cp932", "cp1251", "cp1252", "gb18030", "big5", "cp949")
"""In the order in which they are tried; latin-1, which decodes any byte, comes last."""
_ALL_PAGES: Final = (
    *("utf-8", "gb18030", "big5", "big5hkscs", "cp932", "euc_jp", "cp949", "cp874", "latin-1"),
    *(f"cp125{number}" for number in range(9)),
    *("cp437", "cp850", "cp866", "koi8-r", "iso8859-2", "iso8859-15"),
)


class Texts:
    """Readable texts for the cells of a run or a log; cells have one character per byte, as from `cells_of`."""

    def __init__(self, cells: Iterable[str]) -> None:
        # Sorted, so that the result doesn't depend on the order in the file.
        raw = sorted({cell for cell in cells if not cell.isascii()})
        readable = {cell: text for cell in raw if (text := _utf_8(cell)) is not None}
        foreign = [cell for cell in raw if cell not in readable]
        self.page = _page_of([cell.encode("latin-1") for cell in foreign]) if foreign else None
        """The code page used for the rest; None if all is UTF-8."""
        self._texts = readable
        taken = set(readable.values())
        for cell in foreign:
            written = cell.encode("latin-1")
            text = written.decode(self.page or "latin-1", errors="backslashreplace")
            self._texts[cell] = text if text not in taken else f"{text} (bytes {written.hex(' ')})"
            taken.add(self._texts[cell])

    def of(self, cell: str) -> str:
        return self._texts.get(cell, cell)

    @property
    def notes(self) -> tuple[str, ...]:
        if self.page is None:
            return ()
        as_what = f"as if written in the code page {self.page}, a guess, and kept apart byte for byte"
        return (f"texts that are not in UTF-8 are shown {as_what}",)


def could_be(text: str, cell: str) -> bool:
    """Whether `text` has the bytes of this cell in some code page."""
    if text.isascii() or cell.isascii():
        return text == cell
    return any(_encoded(text, page) == cell for page in _ALL_PAGES)


def _encoded(text: str, page: str) -> str | None:
    try:
        return text.encode(page).decode("latin-1")
    except UnicodeEncodeError:
        return None


def _utf_8(cell: str) -> str | None:
    try:
        return cell.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return None


def _page_of(cells: list[bytes]) -> str:
    return next((page for page in _PAGES if _fits(cells, page)), "latin-1")


def _fits(cells: list[bytes], page: str) -> bool:
    """Whether all cells decode to plausible text in this code page."""
    try:
        texts = [cell.decode(page) for cell in cells]
    except UnicodeDecodeError:
        return False
    strange = "".join(character for text in texts for character in text if not character.isascii())
    if any(text.encode(page) != cell for text, cell in zip(texts, cells, strict=True)) or not strange:
        return False
    return _is_likely(strange, [run for cell in cells for run in _HIGH.findall(cell)], page)


def _is_likely(strange: str, runs: list[bytes], page: str) -> bool:
    """Whether the non-ASCII characters and the runs of their bytes are typical of this code page."""
    if page == "gb2312":
        leads = [lead for run in runs for lead in run[::2]]
        return sum(lead in _COMMON_LEADS for lead in leads) * 2 > len(leads)
    if page == "cp932":
        return bool(_KANA.search(strange)) and not _HALF_WIDTH.search(strange)
    # Cyrillic words are entirely non-ASCII; Latin words only have a letter here and there.
    in_words = sum(map(len, runs)) >= 2 * len(runs)
    return strange.isalpha() and in_words == {"cp1251": True, "cp1252": False}.get(page, in_words)
