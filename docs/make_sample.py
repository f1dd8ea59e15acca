"""A real run of load-100 to reports/sample, and the picture of its report in the README.

make sample    # a new run
make picture   # the same run, judged by today's code
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image, PngImagePlugin

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "reports/sample"
WIDTH, HEIGHT = 1100, 900
SHOWS: Final = "shows"
"""A text in the picture: the fingerprint of what it was taken of."""


def main() -> None:
    if "--kept" not in sys.argv:
        replace_run()
    subprocess.run([sys.executable, "-m", "loadproof", "report", SAMPLE], cwd=ROOT, check=True)
    take_picture(SAMPLE / "report.html", SAMPLE / "report.png")


def replace_run() -> None:
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "loadproof", "run", "scenarios/load-100.yaml", "--out", directory]
        subprocess.run(command, cwd=ROOT, check=True)
        (run,) = Path(directory).iterdir()
        shutil.rmtree(SAMPLE, ignore_errors=True)
        shutil.copytree(run, SAMPLE, ignore=shutil.ignore_patterns("*.log"))
    manifest = SAMPLE / "manifest.json"
    manifest.write_text(manifest.read_text().replace(f" --out {directory}", ""))


def take_picture(report: Path, picture: Path) -> None:
    """The first screen of the report, with its fingerprint."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(report.as_uri())
        page.screenshot(path=picture)
        browser.close()
    text = PngImagePlugin.PngInfo()
    text.add_text(SHOWS, fingerprint(report.read_text(encoding="utf-8")))
    with Image.open(picture) as image:
        image.save(picture, pnginfo=text, optimize=True)


def fingerprint(page: str) -> str:
    """Of what the first screen shows: styles, verdict and thresholds."""
    top, heading, _ = page.partition("<h2>Load and goodput</h2>")
    if not heading:
        raise ValueError("the page has no heading below its first screen")
    return hashlib.sha256(top.encode()).hexdigest()


if __name__ == "__main__":
    main()
