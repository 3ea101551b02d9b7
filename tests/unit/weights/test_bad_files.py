"""One bad file among models is listed with its reason, and the others are found as if it were not there."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import save_file

from magi_core.cli.main import main
from magi_core.errors import MagiError
from magi_core.weights import find, find_model, find_models, load_dit, recognise
from tests.unit.weights.checkpoints import golden_weights, same, write_sharded


def raw(file: Path, header: str) -> None:
    file.write_bytes(struct.pack("<Q", len(header)) + header.encode())


def dangling(folder: Path) -> None:
    (folder / "bad.safetensors").symlink_to(folder / "nothing")


def link_to_itself(folder: Path) -> None:
    (folder / "bad.safetensors").symlink_to(folder / "bad.safetensors")


def folder_with_a_files_name(folder: Path) -> None:
    (folder / "bad.safetensors").mkdir()


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "bad.safetensors")


def device(folder: Path) -> None:
    (folder / "bad.safetensors").symlink_to("/dev/zero")


def deep_header(folder: Path) -> None:
    raw(folder / "bad.safetensors", '{"a":' + "[" * 100_000 + "]" * 100_000 + "}")


def infinite_shape(folder: Path) -> None:
    raw(folder / "bad.safetensors", '{"rope.bands":{"dtype":"F32","shape":[1e400],"data_offsets":[0,0]}}')


def huge_shape(folder: Path) -> None:
    raw(folder / "bad.safetensors", f'{{"rope.bands":{{"dtype":"F32","shape":[{10**300}],"data_offsets":[0,0]}}}}')


def header_that_is_a_list(folder: Path) -> None:
    raw(folder / "bad.safetensors", "[1, 2]")


def name_that_is_no_text(folder: Path) -> None:
    (folder / os.fsdecode(b"bad\xff.safetensors")).write_bytes(b"x")


def gguf(folder: Path) -> None:
    (folder / "bad.gguf").write_bytes(b"GGUF\x03\0\0\0")


KINDS: dict[Callable[[Path], None], str] = {
    dangling: "leads nowhere",
    link_to_itself: "leads nowhere",
    folder_with_a_files_name: "is a folder, not a weight file",
    pipe: "is a pipe, not a weight file",
    device: "is a device, not a weight file",
    deep_header: "nested more than 48 levels deep",
    infinite_shape: "not finite",
    huge_shape: "301 digits",
    header_that_is_a_list: "unreadable header",
    name_that_is_no_text: "not a safetensors file",
    gguf: "is a GGUF file, which is not read",
}
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")


@posix
@pytest.mark.parametrize("bad", KINDS, ids=lambda bad: bad.__name__)
def test_each_file_fails_alone(tmp_path: Path, bad: Callable[[Path], None]) -> None:
    save_file(golden_weights("A"), tmp_path / "good_base.safetensors")
    shards = write_sharded(golden_weights("A"), tmp_path / "4.5B_base" / "inference_weight")
    bad(tmp_path)
    bad(shards)
    found = {files.dit.relative_to(tmp_path).as_posix(): files.problem for files in find_models([tmp_path])}
    good = {"good_base.safetensors", "4.5B_base/inference_weight"}
    assert {name for name, problem in found.items() if not problem} == good
    problems = [problem for name, problem in found.items() if name not in good]
    assert problems and all(KINDS[bad] in problem and "bad" in problem for problem in problems)
    assert same(load_dit(shards, device="cpu").state_dict(), {n: t.float() for n, t in golden_weights("A").items()})


@posix
@pytest.mark.parametrize("bad", KINDS, ids=lambda bad: bad.__name__)
def test_a_bad_file_alone_says_what_it_is(tmp_path: Path, bad: Callable[[Path], None]) -> None:
    bad(tmp_path)
    for path in (tmp_path, next(iter(tmp_path.iterdir()))):
        with pytest.raises(MagiError, match=f"{KINDS[bad]}|is not a model folder"):
            find_model(path)


@posix
def test_models_says_which_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    save_file(golden_weights("A"), tmp_path / "good_base.safetensors")
    for bad in (dangling, gguf):
        bad(tmp_path)
    assert main(["models", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, why in (("bad.safetensors", KINDS[dangling]), ("bad.gguf", KINDS[gguf])):
        place = lines.index(f"{tmp_path / name}: unreadable")
        assert why in lines[place + 1]
    assert any(line.startswith(f"{tmp_path / 'good_base.safetensors'}: ") for line in lines)


@posix
def test_links_that_lead_in_circles_are_followed_once(tmp_path: Path) -> None:
    save_file(golden_weights("A"), tmp_path / "good_base.safetensors")
    inside = tmp_path / "inside"
    inside.mkdir()
    for name in "abc":
        (inside / name).symlink_to(tmp_path)
    assert [files.dit for files in find_models([tmp_path])] == [tmp_path / "good_base.safetensors"]


def test_an_error_that_nobody_thought_of_ends_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("first_base", "second_base"):
        save_file(golden_weights("A"), tmp_path / f"{name}.safetensors")
    stumbles = iter([True, False])

    def stumble(headers, official=None):
        if next(stumbles):
            raise ZeroDivisionError("unthinkable")
        return recognise(headers, official)

    monkeypatch.setattr(find, "recognise", stumble)
    first, second = find_models([tmp_path])
    assert "unthinkable" in first.problem and not second.problem


@posix
def test_a_damaged_index_hides_no_model_beside_it(tmp_path: Path) -> None:
    save_file(golden_weights("A"), tmp_path / "good_base.safetensors")
    (tmp_path / "model.safetensors.index.json").mkdir()
    assert [files.problem for files in find_models([tmp_path])] == [""]
    (tmp_path / "model.safetensors.index.json").rmdir()
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": ["x"]}}')
    found = {files.dit: files.problem for files in find_models([tmp_path])}
    assert found[tmp_path / "good_base.safetensors"] == "" and "cannot be read" in found[tmp_path]
