"""Finding models: the transformer, and the VAE, text encoder and special tokens that go with it.

The official download (`ckpt/magi/4.5B_base/inference_weight`, `ckpt/vae`, `ckpt/t5/t5-v1_1-xxl`), the
reference's `downloads` folder, the bundled model and a ComfyUI models folder with sub folders are all
understood, entered at any level.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from magi_core.config import DiTConfig
from magi_core.errors import MagiError, echo
from magi_core.inputs.json_text import read_json
from magi_core.inputs.regular import open_regular
from magi_core.weights.header import read_header
from magi_core.weights.places import T5_PLACES, TOKEN_PLACES, TOKENIZER_FILES, VAE_PLACES, around, looked_at, walked
from magi_core.weights.reader import read_tensors
from magi_core.weights.recognise import looks_like_dit, official_config, recognise, variant_from_name, variant_of
from magi_core.weights.shards import (
    INDEX_NAMES,
    check_file,
    has_standard_name,
    is_numbered,
    list_shards,
    read_index,
    unusable_files,
    weight_files,
)
from magi_core.weights.unchanged import while_all_unchanged
from magi_core.weights.zst import peek_header

OTHER_PARTS = ("vae", "t5", "text_encoder")  # folder names that never hold the transformer
VAE_MARKER = "encoder.cls_token"
SIZES = {(34, 3072): "4.5B", (48, 6144): "24B"}


@dataclass(frozen=True)
class Missing:
    """A part that was not found: what it is and where to get it."""

    part: str
    where: str


WHERE = {
    "VAE": "Hugging Face sand-ai/MAGI-1, folder ckpt/vae: hf download sand-ai/MAGI-1 --include 'ckpt/vae/*'",
    "text encoder": "Hugging Face sand-ai/MAGI-1, folder ckpt/t5 (or DeepFloyd/t5-v1_1-xxl): "
    "hf download sand-ai/MAGI-1 --include 'ckpt/t5/*'",
    "special tokens": "GitHub SandAI-org/MAGI-1, file example/assets/special_tokens.npz: put it beside the model",
}


@dataclass(frozen=True)
class ModelFiles:
    """One model: where its parts are (None = not found) and what it is.

    dit: folder or file of the transformer. vae, t5: folders. special_tokens: the .npz file.
    variant: "base" or "distill", None where names do not tell. config: None where `problem` says why it
    cannot be read.
    """

    dit: Path
    config: DiTConfig | None
    variant: str | None
    parameters: int
    vae: Path | None = None
    t5: Path | None = None
    special_tokens: Path | None = None
    problem: str = ""

    @property
    def missing(self) -> tuple[Missing, ...]:
        found = {"VAE": self.vae, "text encoder": self.t5, "special tokens": self.special_tokens}
        return tuple(Missing(part, WHERE[part]) for part, path in found.items() if path is None)

    @property
    def label(self) -> str:
        """Such as "4.5B distill fp8"."""
        if self.config is None:
            return "unreadable"
        size = SIZES.get((self.config.num_layers, self.config.hidden_size), f"{self.parameters / 1e6:.1f}M")
        return " ".join([size, self.variant or "base or distill?", *(["fp8"] if self.config.fp8 else [])])


def find_model(path: str | Path, variant: str = "auto") -> ModelFiles:
    """The one model at or below `path`, with the parts around it.

    path: the weights' folder or file, or any folder above. variant: an explicit "base" or "distill" chooses
    among several. Raises `MagiError` where there is no model, more than one, or one that cannot be read.
    """
    return _model_at(Path(path).absolute(), variant)


def find_models(search_paths: Iterable[str | Path]) -> list[ModelFiles]:
    """Every model below `search_paths`, unreadable ones included (see `problem`); absent paths are skipped.

    Each file fails alone: whatever is wrong with one, the others are found.
    """
    found: dict[Path, ModelFiles] = {}
    for path in (Path(path).absolute() for path in search_paths):
        for files in _models_at(path):
            found.setdefault(files.dit, files)
    return list(found.values())


@while_all_unchanged(64, lambda given, variant: looked_at(given))
def _model_at(given: Path, variant: str) -> ModelFiles:
    files = _describe(find_dit(given, variant), given)
    if files.problem:
        raise MagiError(files.problem)
    return files


@while_all_unchanged(16, looked_at, lambda found: not any(files.problem for files in found))
def _models_at(path: Path) -> tuple[ModelFiles, ...]:
    """What cannot be read is tried again every time: that may have passed without a trace."""
    if path.is_dir():
        models = [_describe(dit, path) for dit in _candidates(path)]
        return *models, *map(_unreadable, _unusable(path))
    return (_describe(path, path),) if os.path.lexists(path) else ()


def find_dit(path: str | Path, variant: str = "auto") -> Path:
    """The transformer's folder or file: `path` itself where it holds weights, else the only one below it."""
    path = Path(path).absolute()
    if not os.path.lexists(path):
        raise MagiError(f"there is no model at {path}: check the path")
    if not path.is_dir():
        return path
    found = list(_candidates(path))
    if len(found) > 1 and variant != "auto":
        found = [dit for dit in found if _may_be(dit, variant)] or found
    if len(found) > 1:
        names = ", ".join(str(dit.relative_to(path)) for dit in found[:8])
        raise MagiError(f"{path} holds {len(found)} models: {names}. Choose one of them.")
    if found:
        return found[0]
    for file in _unusable(path):  # one of these may have been meant
        check_file(file)
    list_shards(path)  # says what is wrong with a folder without weights
    recognise(read_tensors(path).headers)  # and what these weights are instead
    return path


def _may_be(dit: Path, variant: str) -> bool:
    try:
        return variant_of(dit) in (variant, None)
    except MagiError:  # its configuration is damaged, which is said if it is chosen
        return True


def _folders(top: Path) -> Iterator[Path]:
    """Folders at or below `top` that may hold a transformer."""
    for folder, _ in walked(top):
        if folder == top or not folder.name.lower().startswith(OTHER_PARTS):
            yield folder


def _candidates(top: Path) -> Iterator[Path]:
    """Folders and files at or below `top` that hold a transformer, or weights that cannot be read."""
    for folder in _folders(top):
        yield from _transformers_in(folder)


def _unusable(top: Path) -> Iterator[Path]:
    """What has the name of a weight file at or below `top` and is none."""
    for folder in _folders(top):
        with suppress(OSError):
            yield from unusable_files(folder)


def _unreadable(file: Path) -> ModelFiles:
    try:
        check_file(file)
    except MagiError as error:
        return ModelFiles(dit=file, config=None, variant=None, parameters=0, problem=str(error))
    return _describe(file, file)  # it has become readable meanwhile


def _transformers_in(folder: Path) -> list[Path]:
    """The folder, where its weight files are one transformer; single files where it holds several."""
    try:
        files = [file for file in weight_files(folder) if file.suffix != ".bin"]
        single = [file for file in files if not is_numbered(file) and not has_standard_name(file)]
        for name in INDEX_NAMES:
            if (folder / name).is_file():
                return _of_index(folder, folder / name, single)
        holding = [file for file in files if holds_transformer(file)]
        named = [file for file in holding if file in single]
        return [*named, *([folder] if len(named) < len(holding) else [])]
    except OSError:
        return []


def _of_index(folder: Path, index: Path, single: list[Path]) -> list[Path]:
    """The folder, where its index is one of a transformer; a damaged index hides no single files."""
    try:
        return [folder] if looks_like_dit(read_index(index)) else []
    except MagiError:
        return [folder, *filter(holds_transformer, single)]


def holds_transformer(file: Path) -> bool:
    """Whether a weight file is (at least in part) a MAGI-1 transformer.

    Unreadable files count, whatever makes them so: better listed with the reason than passed over in silence.
    """
    try:
        if file.suffix == ".zst":
            return looks_like_dit(peek_header(file).tensors)
        with open_regular(file, "weight file") as stream:
            return looks_like_dit(read_header(stream, str(file)).tensors)
    except Exception:
        return True


def _describe(dit: Path, given: Path) -> ModelFiles:
    places = around(dit, given)
    files = ModelFiles(
        dit=dit,
        config=None,
        variant=variant_from_name(dit),
        parameters=0,
        vae=_first(places, VAE_PLACES, is_vae_folder),
        t5=_first(places, T5_PLACES, is_t5_folder),
        special_tokens=_first(places, TOKEN_PLACES, Path.is_file),
    )
    try:
        headers = read_tensors(dit).headers
        files = replace(files, variant=variant_of(dit))
        config = replace(recognise(headers, official_config(dit)), distill=files.variant == "distill")
    except MagiError as error:
        return replace(files, problem=str(error))
    except Exception as error:  # no file may end the list of all
        return replace(files, problem=f"{dit} cannot be read ({echo(error)})")
    return replace(files, config=config, parameters=sum(header.numel for header in headers.values()))


def _first(places: Iterable[Path], names: Iterable[str], fits: Callable[[Path], bool]) -> Path | None:
    names = list(names)
    return next((place / name for place in places for name in names if fits(place / name)), None)


def is_vae_folder(folder: Path) -> bool:
    """A VAE with the config.json that tells how it is built."""
    try:
        return (folder / "config.json").is_file() and any(map(holds_vae, weight_files(folder)))
    except OSError:
        return False


def holds_vae(file: Path) -> bool:
    """Whether a weight file is (at least in part) a MAGI-1 VAE."""
    try:
        return file.suffix != ".bin" and VAE_MARKER in read_tensors(file).headers
    except (MagiError, OSError):
        return False


def is_t5_folder(folder: Path) -> bool:
    """A T5 folder with its tokenizer: the weights themselves are looked at when they are loaded."""
    try:
        config = read_json(folder / "config.json", "configuration")
        return "d_kv" in config and has_tokenizer(tokenizer_folder(folder)) and bool(weight_files(folder))
    except (OSError, ValueError, TypeError):
        return False


def tokenizer_folder(t5: Path) -> Path:
    """Where the tokenizer of a T5 folder is: in it, or in `tokenizer` beside it, as diffusers stores models."""
    beside = t5.parent / "tokenizer"
    return beside if not has_tokenizer(t5) and has_tokenizer(beside) else t5


def has_tokenizer(folder: Path) -> bool:
    return any((folder / name).is_file() for name in TOKENIZER_FILES)
