"""Regenerates the tables in the documentation from the results of benchmarks.

python -m bench.tables        rewrites the tables in README.md and docs/
"""

from __future__ import annotations

from bench.tables.documents import DOCUMENTS, refreshed

if __name__ == "__main__":
    for document in DOCUMENTS:
        document.write_text(refreshed(document.read_text(encoding="utf-8")), encoding="utf-8")
