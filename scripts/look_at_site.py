"""Open every page of the built site in Chromium, at the width of a phone and of a desk, and keep how it looks.

python scripts/look_at_site.py FOLDER                    # every page of build/html, after make docs
python scripts/look_at_site.py FOLDER --pages start docs/live

Left out are the listings of the source. FOLDER gets each page in strips, and sheets of many strips to look through.
Said, and an error: what a page tells the console or throws, what it asks of other machines, pictures that are missing,
pages wider than the window, and what reaches over the edge without a bar to scroll it by.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests"))
from browsers import browser, listened  # noqa: E402

HTML = ROOT / "build" / "html"
#: Pixels: of a window, by its width, the height; of a strip of a page and of what Chromium draws at once, the height.
WINDOWS = {390: 844, 1280: 900}
STRIP, SHOT = 2400, 12_000
#: By how much strips are made smaller on a sheet, and how many stand side by side.
SHEETS = {390: (0.62, 6), 1280: (0.5, 3)}

#: What is wrong with how a page is laid out, in words. What scrolls in a box of its own may be wider than the box.
FAULTS = """() => {
  const wide = document.documentElement.clientWidth, told = [];
  const text = (e) => [...(e.innerText || e.src || '')].slice(0, 50).join('');
  const named = (e) => `${e.tagName.toLowerCase()}.${e.className} "${text(e)}"`;
  const scrolls = (e) => e && e !== document.body &&
    (['auto', 'scroll'].includes(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  if (document.documentElement.scrollWidth > wide)
    told.push(`${document.documentElement.scrollWidth} pixels wide`);
  for (const e of document.querySelectorAll('img'))
    if (e.complete && !e.naturalWidth) told.push(`no picture: ${e.src}`);
  for (const e of document.querySelectorAll('main *, .rwta *')) {
    const box = e.getBoundingClientRect();
    if (box.width && getComputedStyle(e).visibility !== 'hidden' && box.right > wide + 1 && !scrolls(e.parentElement))
      told.push(`over the edge by ${Math.round(box.right - wide)}: ${named(e)}`);
    if (['hidden', 'clip'].includes(getComputedStyle(e).overflowX) && e.scrollWidth > e.clientWidth + 1
        && e.clientWidth > 1 && e.matches('article *') && !e.matches('.math, .math *'))
      told.push(`cut off: ${named(e)}`);
  }
  return told;
}"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which this machine, and no other, finds the files of a folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()


def look(page: Any, address: str, out: Path) -> tuple[list[str], list[Path]]:
    """What is wrong with a page, and its strips."""
    page.goto(address, wait_until="networkidle")
    page.evaluate("document.querySelectorAll('img').forEach((e) => e.loading = 'eager')")
    faults = page.evaluate(FAULTS)
    width, height = page.viewport_size["width"], page.evaluate("document.documentElement.scrollHeight")
    strips = []
    for top in range(0, height, SHOT):
        clip = {"x": 0, "y": top, "width": width, "height": min(SHOT, height - top)}
        with Image.open(BytesIO(page.screenshot(full_page=True, clip=clip))) as shot:
            for part in range(0, shot.height, STRIP):
                strips.append(out.with_name(f"{out.name}-{len(strips)}.png"))
                shot.crop((0, part, width, min(part + STRIP, shot.height))).save(strips[-1], compress_level=1)
    return faults, strips


def sheets(strips: list[Path], width: int, out: Path) -> None:
    """Put strips side by side onto sheets, each with its name above it."""
    scale, beside = SHEETS[width]
    size = (round(width * scale), round(STRIP * scale))
    for first in range(0, len(strips), beside):
        sheet = Image.new("RGB", (beside * (size[0] + 8), size[1] + 14), "#888")
        for k, path in enumerate(strips[first : first + beside]):
            with Image.open(path) as strip:
                small = strip.convert("RGB").resize((size[0], round(strip.height * scale)), Image.Resampling.LANCZOS)
            sheet.paste(small, (k * (size[0] + 8), 14))
            ImageDraw.Draw(sheet).text((k * (size[0] + 8), 1), path.stem[-size[0] // 6 :], fill="white")
        sheet.save(out / f"sheet-{width}-{first // beside:03d}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for the pictures")
    parser.add_argument("--pages", nargs="*", default=[], help="beginnings of their paths; default: every page")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    names = sorted(path.relative_to(HTML).as_posix() for path in HTML.rglob("*.html"))
    names = [name for name in names if name.startswith(tuple(arguments.pages) or "") and not name.startswith("_")]
    if not names:
        sys.exit(f"there is no such page in {HTML}: make docs")
    start, how = browser()
    wrong = 0
    with served(HTML) as address, start as playwright:
        chromium = playwright.chromium.launch(**how)
        for width, height in WINDOWS.items():
            strips = []
            page = chromium.new_page(viewport={"width": width, "height": height})
            told, asked = listened(page, kinds=("error", "warning"))  # the theme chats
            for name in names:
                out = arguments.folder / f"{width}-{name.removesuffix('.html').replace('/', '.')}"
                faults, parts = look(page, address + name, out)
                strips += parts
                others = [url for url in asked if not url.startswith((address, "data:", "blob:"))]
                for fault in (*faults, *told, *(f"asks for {url}" for url in others)):
                    print(f"{width} {name}: {fault}", flush=True)
                    wrong += 1
                told.clear(), asked.clear()
            page.close()
            sheets(strips, width, arguments.folder)
        chromium.close()
    print(f"{len(names)} pages at {len(WINDOWS)} widths: {wrong} faults")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
