"""Write `workflows/*.jpg`, the pictures in the template browser: `python -m tools.workflows.thumbnails`.

Each shipped workflow is run as it is; its picture shows four moments of the video it made.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import av
from PIL import Image
from playwright.sync_api import sync_playwright

from tools.comfyui.find import REPOSITORY, find_chromium, find_comfyui
from tools.comfyui.frontend import BROWSER_FLAGS, FIRST_VISIT_DONE, Frontend
from tools.comfyui.server import Server, base_directory

SIDE = 384  # pixels; two moments side by side, or wide ones below each other
LIMIT = 1800.0


def moments(video: Path) -> Image.Image:
    """Evenly spaced frames in one square picture: four, row by row, or two of a video that is twice as wide as high."""
    with av.open(str(video)) as container:
        frames = [frame.to_image() for frame in container.decode(video=0)]
    sheet, half = Image.new("RGB", (SIDE, SIDE)), SIDE // 2
    columns = 1 if frames[0].width > frames[0].height else 2
    for i in range(count := 2 * columns):
        frame = frames[round((i + 0.5) * len(frames) / count)]
        frame = frame.resize((SIDE // columns, half), Image.Resampling.LANCZOS)
        sheet.paste(frame, (i % columns * half, i // columns * half))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("numbers", nargs="*", help="those whose titles begin so, such as 11; all where none is given")
    asked = tuple(parser.parse_args().numbers)
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        Server(find_comfyui(), base_directory(Path(folder) / "base")) as server,
    ):
        server.post("/settings", FIRST_VISIT_DONE)
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=BROWSER_FLAGS)
        frontend = Frontend(browser.new_page(), server.url)
        for file in sorted((REPOSITORY / "workflows").glob("*.json")):
            if asked and not file.name.startswith(asked):
                continue
            frontend.drop(file)
            saved = server.saved(server.wait_for(frontend.queue(), LIMIT))
            (video,) = (path for path in saved if path.suffix == ".mp4")
            moments(video).save(file.with_suffix(".jpg"), quality=88)
            print(f"wrote {file.with_suffix('.jpg').relative_to(REPOSITORY)}")
        browser.close()


if __name__ == "__main__":
    main()
