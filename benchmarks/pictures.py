"""Draw the pictures of the README and the guides, of the demo's run on synthetic receipts.

usage: bash scripts/demo.sh && python benchmarks/pictures.py [outputs/quickstart]
Writes docs/images/demo.jpg: an unseen page with what the start finds, and what the fine-tuned model finds. Then studio.png
and report.png, which need Chromium and playwright (in [dev]).
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from hmean.reports.run import write_run_report

IMAGES = Path(__file__).parents[1] / "docs" / "images"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip
MOST = 300_000  # bytes of a picture


def main() -> None:
    """Draw all pictures."""
    run = Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/quickstart")
    before_and_after(run, Path("outputs/synthetic/images/00228.jpg")).save(IMAGES / "demo.jpg", quality=85)
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("there is no Chromium; on Debian: apt-get install chromium")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=FLAGS)
        with served_studio(run) as url:
            save(studio(browser, url), IMAGES / "studio.png")
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(write_run_report([run]).resolve().as_uri())
        save(page.screenshot(), IMAGES / "report.png")
        browser.close()


def before_and_after(run: Path, page: Path) -> Image.Image:
    """An unseen page beside itself: with what the start of a run finds on it, and with what was made of it finds."""
    found = []
    for checkpoint in (run / "checkpoints/start.ckpt", run / "checkpoints/best.ckpt"):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "hmean", "predict", str(page), f"checkpoint_path={checkpoint}"]
            subprocess.run([*command, f"output={folder}/found"], check=True)
            (overlay,) = Path(folder).glob("found/overlays/*.jpg")
            with Image.open(overlay) as image:
                found.append(image.convert("RGB"))
    before, after = found
    gap = 16
    joined = Image.new("RGB", (before.width + gap + after.width, before.height), "white")
    joined.paste(before, (0, 0))
    joined.paste(after, (before.width + gap, 0))
    return joined


@contextmanager
def served_studio(run: Path) -> Iterator[str]:
    """The address of a studio on a run."""
    command = [sys.executable, "-m", "hmean", "studio", str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def studio(browser: Any, url: str) -> bytes:
    """The page that is worst, at another box_thresh, so that there is something to see."""
    page: Page = browser.new_page(viewport={"width": 1280, "height": 800}, bypass_csp=True)
    page.set_default_timeout(180_000)  # a first use may compile
    page.goto(url)
    page.locator("#list li").first.click()
    page.locator("#parameter-box_thresh").fill("0.55")
    page.wait_for_function("document.querySelector('#gain').textContent.includes('[')")
    page.wait_for_function("document.querySelector('path.truth').getAttribute('d').length > 9")
    page.wait_for_timeout(1000)
    # How long it took here and now belongs to no document.
    page.evaluate("document.querySelector('#info').replaceChildren()")
    return page.screenshot()


def save(data: bytes, target: Path) -> None:
    """Write a screenshot with as many colours as keep it small."""
    for colours in (256, 128, 64, 32):
        out = io.BytesIO()
        Image.open(io.BytesIO(data)).convert("RGB").quantize(colours, dither=Image.Dither.NONE).save(
            out, "PNG", optimize=True
        )
        if len(out.getvalue()) < MOST:
            break
    target.write_bytes(out.getvalue())
    print(target, len(out.getvalue()), colours)


if __name__ == "__main__":
    main()
