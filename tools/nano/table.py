"""The evaluation's table: every line with what it is made of and, where there is one, its bar."""

from __future__ import annotations

from dataclasses import dataclass

from tools.nano.vocabulary import ACTIONS, CAMERA_MOVES

STRENGTHS = ("0", "0.25", "0.5", "0.75", "1")


@dataclass(frozen=True)
class Line:
    """One line. row, source, key: which findings. kind: how they become one number (see `report.STATISTICS`).

    low, high: the bar, inclusive; None is open. against: the source whose own value it is divided by.
    """

    row: str
    key: str
    says: str
    kind: str = "share"
    source: str = "generated"
    low: float | None = None
    high: float | None = None
    against: str | None = None

    @property
    def bar(self) -> str:
        """Such as ">= 0.95" or "0.8 to 1.2"; "" without one."""
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        if self.low is not None:
            return f">= {self.low:g}"
        return "" if self.high is None else f"<= {self.high:g}"

    def passes(self, value: float) -> bool | None:
        """Whether `value` meets the bar; None where there is no bar."""
        if not self.bar:
            return None
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


def _single() -> list[Line]:
    bars = {"colour": 0.98, "shape": 0.90, "size": 0.97, "background": None, "motion": 0.95}
    lines = [Line("single", name, f"{name} named is shown", low=low) for name, low in bars.items()]
    return lines + [Line("single", f"motion {a}", f"motion: {a}", low=0.90) for a in ACTIONS]


def _pair() -> list[Line]:
    says = {"colour": "is there", "shape": "shape named is shown", "motion": "motion named is performed"}
    lines = [Line("pair", f"{i} {name}", f"{i} object: {says[name]}") for i in ("first", "second") for name in says]
    return [
        *lines,
        Line("pair", "attributes of both", "both objects: colours and shapes as named", low=0.85),
        Line("pair", "motions of both", "both objects: each moves as told", low=0.85),
        Line("pair", "both", "both objects, all of it"),
    ]


def _memory() -> list[Line]:
    bars = {"colour": 0.95, "size": 0.95, "background": 0.95, "shape": 0.85, "all": 0.80}
    lines = []
    for kind, says in (("kept", "in chunk 6 as in chunk 1"), ("as named", "in chunk 6 as named")):
        lines += [Line("memory", f"{name} {kind}", f"{name} {says}", low=low) for name, low in bars.items()]
    lines += [Line("memory", f"{name} in every chunk", f"{name} as named in all six chunks") for name in bars]
    told = [("colour changes when told", '"it turns ...": new colour'), ("stops", '"it stops": stands still')]
    return lines + [Line("memory", key, says) for key, says in told]


def _seams(key: str, name: str) -> list[Line]:
    """The step across a chunk border against the median step inside the two chunks, 95th percentile."""
    return [
        Line("memory", key, f"{name}: jump at a border, p95", "p95"),
        Line("memory", key, f"{name}: drawn", "p95", source="drawn"),
        Line("memory", key, f"{name}: drawn, through the VAE", "p95", source="vae"),
        Line("memory", key, f"{name}: p95 against that through the VAE", "p95", high=1.2, against="vae"),
    ]


def _image() -> list[Line]:
    bars = {"colour": 0.95, "size": 0.95, "background": 0.95, "shape": 0.88, "motion": None}
    psnr = Line("image", "first frame", "first frame reproduced, mean PSNR in dB", kind="mean", low=30)
    through = Line("image", "first frame", "the same, the VAE alone", kind="mean", source="vae")
    return [psnr, through] + [Line("image", name, f"{name} of the image kept", low=b) for name, b in bars.items()]


def _shots() -> list[Line]:
    lines = [
        Line("shots", "new shot", "new shot: composition changes, identity kept", low=0.85),
        Line("shots", "composition", "new shot: composition changes"),
        Line("shots", "identity", "new shot: colour, shape and size kept"),
    ]
    names = ("colour", "shape", "size", "background")
    lines += [Line("shots", f"new shot {name}", f"new shot: {name} kept") for name in names]
    says = "agreement with the old shot above chance"
    return lines + [Line("shots", f"cut {n}", f"cut: {n}, {says}", "above chance", low=-0.1, high=0.1) for n in names]


def _long() -> list[Line]:
    bars = {"colour": 0.90, "size": 0.90, "background": 0.90, "shape": 0.80}
    lines = [Line("long", f"{name} kept", f"{name} in chunk 60 as in chunk 6", low=low) for name, low in bars.items()]
    return [
        *lines,
        Line("long", "sharpness", "sharpness in chunk 60 against chunk 6", "mean", low=0.8, high=1.25),
        Line("long", "healthy", "chunk 60 neither static, empty nor saturated", low=0.95),
    ]


def _outdoors() -> list[Line]:
    lines = [Line("camera", "camera", "the camera moves as told", "list mean", low=0.95)]
    lines += [Line("camera", f"camera {move}", f"camera: {move}") for move in CAMERA_MOVES]
    lines += [Line("camera", "camera rests unasked", "the camera rests where nothing is said")]
    lines += [Line("camera", f"{name} kept", f"under the camera: {name} kept") for name in ("colour", "shape", "size")]
    return [
        *lines,
        Line("camera", "all kept", "under the camera: colour, shape, size, background kept", low=0.90),
        Line("camera", "motion kept", "under the camera: the object's motion kept", "list mean", low=0.90),
        Line("weather", "present", "weather named is there", "list mean", low=0.98),
        Line("weather", "absent", "no weather where none is named", "list mean", low=0.98),
        Line("weather", "attributes", "in the weather: all attributes kept"),
        Line("wall", "nothing of the old", "three chunks after a cut: nothing of the old shot", low=0.98),
        *[Line("wall", f"no old {name}", f"after a cut: no old {name}") for name in ("colour", "shape", "background")],
    ]


def _story() -> list[Line]:
    bars = {"colour": 0.95, "size": 0.95, "background": 0.95, "shape": 0.85, "all": 0.80}
    return [
        *[Line("story", f"{name} at the end", f"story: {name} at the end as named", low=b) for name, b in bars.items()],
        Line("story", "weather at the end", "story: weather at the end"),
        Line("story", "first shape", "story: shape in second 1"),
        Line("story", "tenth shape", "story: shape in second 10"),
        Line("story", "shape worn off", "story: shape in second 1 less second 10", "mean", high=0.05),
        Line("story", "outline worn off", "story: overlap with the named shape in second 1 less second 10", "mean"),
        Line("story", "actions", "story: actions", "list mean"),
        Line("story", "camera", "story: camera as told, or at rest", "list mean"),
    ]


def _second_pass() -> list[Line]:
    row, seams = "restyle", "retouch: jump at a border, p95"
    errors = [Line(row, f"error at {s}", f"path off at strength {s}, in pixels", "mean") for s in STRENGTHS]
    return [
        Line(row, "new colour", "restyle at .5: new colour shown in all six chunks", low=0.95),
        Line(row, "path", "restyle at .5: path within 3 pixels of the source's", low=0.95),
        Line(row, "both", "restyle at .5: both"),
        Line(row, "new colour in each", "restyle at .5: chunks in the new colour", "list mean"),
        *[
            Line(row, f"{name} of a {kind}", f"restyle at .5, of {kind}s: {name}")
            for kind in ("film", "take")
            for name in ("new colour", "path")
        ],
        *errors,
        Line(row, "errors", "path off: least gap between neighbours' intervals", "gap", low=0),
        Line("retouch", "outside kept", "retouch: all chunks outside bit for bit", low=1),
        Line("retouch", "new colour", "retouch at .5: new colour shown before the joining chunks"),
        Line("retouch", "path", "retouch at .5: path within 3 pixels of the take's"),
        Line("retouch", "seams", seams, "p95"),
        Line("retouch", "seams of the take", f"{seams}, the take's own there", "p95"),
        Line("retouch", "seams", f"{seams}, drawn through the VAE", "p95", source="vae"),
        Line("retouch", "seams", "retouch: p95 against that through the VAE", "p95", high=1.2, against="vae"),
        Line("retouch", "told", "motion that cannot join: told", "list mean", low=0.9),
        Line("retouch", "false alarms", "motion that can: told all the same", "list mean", high=0.1),
        Line("retouch", "spent when told", "share of the forwards spent when told, p95", "p95", high=0.7),
        Line("finish", "attributes", "finish at .5: colour, shape, size, background of the draft kept", low=0.95),
        Line("finish", "path", "finish at .5: path within 3 pixels of the draft's", low=0.95),
        *[Line("finish", f"{name} kept", f"finish at .5: {name} kept") for name in ("colour", "shape", "size")],
        Line("finish", "sharpness", "finish at .5: sharpness against the model's own", "mean", low=1),
        Line("finish", "sharper than the draft", "finish at .5: sharpness against the draft's", "mean"),
    ]


TABLE: tuple[Line, ...] = (
    *_single(),
    *_pair(),
    Line("swap", "new action", "new action from the chunk where the prompt changes", low=0.95),
    Line("swap", "old action just before", "old action in the chunk before", low=0.95),
    Line("swap", "old action in all chunks before", "old action in both chunks before"),
    Line("swap", "attributes", "all attributes as named in the last chunk"),
    Line("swap", "no room", "left out of the swap: no room for an action"),
    *_memory(),
    Line("memory", "actions", "actions of chunks 2 to 6", kind="list mean"),
    *_seams("seams", "seams"),
    *_seams("seams going on", "seams where the action goes on"),
    Line("memory", "latent motion", "motion inside a latent frame", "pooled", low=0.8, high=1.2),
    Line("memory", "latent motion", "motion inside a latent frame, drawn", "pooled", source="drawn"),
    Line("memory", "latent motion", "motion inside a latent frame, through the VAE", "pooled", "vae", 0.8, 1.2),
    Line("memory", "blocks", "blocks while a colour turns, against drawn clips", "mean", high=1.5, against="drawn"),
    Line("memory", "patches", "patches inside the object while a colour turns", "mean"),
    Line("memory", "patches", "the same, drawn, through the VAE", "mean", source="vae"),
    *_image(),
    Line("continuation", "carried on", "same direction, speed within 20%", low=0.90),
    Line("continuation", "same direction", "same direction"),
    Line("continuation", "same speed", "speed within 20%"),
    Line("continuation", "colour kept", "colour kept"),
    Line("continuation", "shape kept", "shape kept"),
    Line("pace", "carried on", "every speed: same direction, speed within 20%", low=0.90),
    *_shots(),
    *_outdoors(),
    *_story(),
    *_long(),
    *_second_pass(),
    Line("memory", "psnr", "VAE reconstruction of drawn clips, mean PSNR in dB", "mean", source="vae", low=33),
    Line("memory", "psnr of turns", "the same while a colour turns", "mean", source="vae", low=30),
    Line("files", "size", "all files together, MB", kind="mean", high=60),
    Line("speed", "distill", "seconds a chunk, 2 CPU cores, distilled", kind="mean", high=1.5),
    Line("speed", "base", "seconds a chunk, 2 CPU cores, base", kind="mean", high=8),
)
