"""The README's pictures of the page: `make screenshots`. A whole demo stream on a real worker, seen by a real browser.

python -m tests.page.screenshots [--events 527] [--rate 20] [--output docs/images]
"""

import argparse
import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.page.live import TOKEN, LiveWorker, demo_config, live_worker, write_photographs

LIMIT_BYTES = 250_000


def save(page: Any, path: Path) -> None:
    """What is in sight, as a PNG of few colours: flat areas and small pictures need no more."""
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    buffer = io.BytesIO()
    for colours in (256, 128, 64):
        buffer = io.BytesIO()
        image.quantize(colours, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        if buffer.tell() < LIMIT_BYTES:
            break
    path.write_bytes(buffer.getvalue())
    print(f"{path}: {buffer.tell():,} bytes, {image.width} × {image.height}, {colours} colours")


def show(chromium: Any, live: LiveWorker, output: Path) -> None:
    """The three pictures."""
    page = chromium.new_page(viewport={"width": 1280, "height": 1330})
    page.goto(live.url)
    page.wait_for_selector("#strip .tile")
    page.wait_for_selector("#label-choices button")
    page.wait_for_timeout(1_500)
    save(page, output / "page-light.png")
    page.emulate_media(color_scheme="dark")
    page.locator("#strip .tile").first.click()
    page.wait_for_selector("#detail .near img")
    page.locator("#detail").evaluate("(detail) => detail.scrollIntoView({ block: 'end' })")
    page.wait_for_timeout(1_000)
    save(page, output / "page-dark.png")
    page.close()
    phone = chromium.new_page(viewport={"width": 390, "height": 844}, device_scale_factor=2, is_mobile=True)
    phone.goto(live.url)
    phone.wait_for_selector("#strip .tile")
    phone.locator("#labelling").evaluate("(labelling) => labelling.scrollIntoView()")
    phone.wait_for_selector("#label-choices button")
    phone.wait_for_timeout(1_500)
    save(phone, output / "page-phone.png")


def main() -> None:
    """Run the stream, and look when nine tenths of it are predicted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=527)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        write_photographs(folder, arguments.events)
        config = demo_config(
            folder, f"page: {{token: '{TOKEN}', pictures_per_s: 40, keep_pictures: 2000}}\n", "groceries"
        )
        # Labels that may come apart from their pictures: what to label next is shown, too.
        config = config.replace("format: recorded", f"format: recorded\n  labels_file: {folder}/labels.jsonl")
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        with live_worker(config, arguments.rate) as live:
            looking = chromium.new_page()
            looking.goto(live.url)
            live.wait_for(int(0.9 * arguments.events), seconds=600.0)
            looking.close()
            show(chromium, live, arguments.output)
        chromium.close()


if __name__ == "__main__":
    main()
