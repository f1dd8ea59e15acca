"""A real run of load-100 to reports/sample, and the picture of its report in the README.

make sample
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "reports/sample"
WIDTH, HEIGHT = 1100, 900


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "loadproof", "run", "scenarios/load-100.yaml", "--out", directory]
        subprocess.run(command, cwd=ROOT, check=True)
        (run,) = Path(directory).iterdir()
        shutil.rmtree(SAMPLE, ignore_errors=True)
        shutil.copytree(run, SAMPLE, ignore=shutil.ignore_patterns("*.log"))
    manifest = SAMPLE / "manifest.json"
    manifest.write_text(manifest.read_text().replace(f" --out {directory}", ""))
    subprocess.run([sys.executable, "-m", "loadproof", "report", SAMPLE], cwd=ROOT, check=True)
    take_picture(SAMPLE / "report.html", SAMPLE / "report.png")


def take_picture(report: Path, picture: Path) -> None:
    """The first screen of the report."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(report.as_uri())
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main()
