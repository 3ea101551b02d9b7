"""Write `workflows/*.jpg`, the pictures in the template browser: `python -m tests.comfy.author_thumbnails`.

Each shipped workflow is run as it is; its picture shows four moments of the video it made.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import av
from PIL import Image
from playwright.sync_api import sync_playwright

from tests.comfy.comfyui import REPOSITORY, Server, base_directory, find_chromium, find_comfyui
from tests.comfy.frontend import BROWSER_FLAGS, FIRST_VISIT_DONE, Frontend

SIDE = 384  # pixels; two moments side by side
LIMIT = 1800.0


def moments(video: Path) -> Image.Image:
    """Four evenly spaced frames, row by row, in one square picture."""
    with av.open(str(video)) as container:
        frames = [frame.to_image() for frame in container.decode(video=0)]
    sheet, half = Image.new("RGB", (SIDE, SIDE)), SIDE // 2
    for i in range(4):
        frame = frames[round((i + 0.5) * len(frames) / 4)]
        sheet.paste(frame.resize((half, half), Image.Resampling.LANCZOS), (i % 2 * half, i // 2 * half))
    return sheet


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        Server(find_comfyui(), base_directory(Path(folder) / "base")) as server,
    ):
        server.post("/settings", FIRST_VISIT_DONE)
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=BROWSER_FLAGS)
        frontend = Frontend(browser.new_page(), server.url)
        for file in sorted((REPOSITORY / "workflows").glob("*.json")):
            frontend.drop(file)
            (video,) = server.saved(server.wait_for(frontend.queue(), LIMIT))
            moments(video).save(file.with_suffix(".jpg"), quality=88)
            print(f"wrote {file.with_suffix('.jpg').relative_to(REPOSITORY)}")
        browser.close()


if __name__ == "__main__":
    main()
