"""Getting ComfyUI's files: from a repository, whole or with gaps, from a folder, or as they are."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.comfyui.tree import NoTree, provide_tree

CODE = "comfy/model_base.py"
TOKENIZER = "comfy/text_encoders/llama_tokenizer/tokenizer.json"
FILES = ("main.py", "comfy_api/__init__.py", "comfy/text_encoders/llama_tokenizer/merges.txt", CODE, TOKENIZER)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository that looks like ComfyUI's, with a file nobody committed."""
    folder = tmp_path / "repository"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"# {name}\n", encoding="utf-8")
    git(folder, "init", "--quiet", "--initial-branch", "master")
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet", "-m", "all")
    git(folder, "tag", "v0")
    (folder / "untracked").touch()
    return folder


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def lose(repository: Path, name: str) -> None:
    """The content of a committed file, as a mirror without large files lacks it."""
    found = git(repository, "rev-parse", f"HEAD:{name}").strip()
    (repository / ".git" / "objects" / found[:2] / found[2:]).unlink()


def files(folder: Path) -> set[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if path.parts[0] != ".git"}


def test_a_repository_is_cloned(repository: Path, tmp_path: Path) -> None:
    assert "cloned" in provide_tree(str(repository), None, tmp_path / "to" / "ComfyUI")
    assert files(tmp_path / "to" / "ComfyUI") == set(FILES)


def test_a_revision_can_be_named(repository: Path, tmp_path: Path) -> None:
    provide_tree(str(repository), "v0", tmp_path / "ComfyUI")
    with pytest.raises(NoTree, match="v9"):
        provide_tree(str(repository), "v9", tmp_path / "other")


def test_tokenizer_files_that_the_source_lacks_are_left_out(repository: Path, tmp_path: Path, capsys) -> None:
    lose(repository, TOKENIZER)
    provide_tree(str(repository), None, tmp_path / "ComfyUI")
    assert files(tmp_path / "ComfyUI") == {*FILES} - {TOKENIZER}
    assert TOKENIZER in capsys.readouterr().out
    assert git(tmp_path / "ComfyUI", "status", "--porcelain") == ""


def test_a_source_that_lacks_code_is_refused_and_leaves_nothing(repository: Path, tmp_path: Path) -> None:
    lose(repository, CODE)
    with pytest.raises(NoTree, match=f"incomplete, it lacks {CODE}"):
        provide_tree(str(repository), None, tmp_path / "ComfyUI")
    assert not (tmp_path / "ComfyUI").exists()


def test_a_folder_is_copied_without_its_environment(repository: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    repository.rename(plain)
    (plain / ".git").rename(tmp_path / "history")
    (plain / ".venv").mkdir()
    (plain / ".venv" / "python").touch()
    assert "copied" in provide_tree(str(plain), None, tmp_path / "ComfyUI")
    assert files(tmp_path / "ComfyUI") == {*FILES, "untracked"}


def test_a_tree_that_is_there_stays_as_it_is(repository: Path) -> None:
    (repository / CODE).write_text("changed by hand\n", encoding="utf-8")
    for source in (None, str(repository), "no such place"):
        assert "stay as they are" in provide_tree(source, None, repository)
    assert (repository / CODE).read_text(encoding="utf-8") == "changed by hand\n"


def test_what_is_not_comfyui_is_refused_in_words(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    with pytest.raises(NoTree, match="holds other files: choose an empty folder"):
        provide_tree(str(repository), None, tmp_path / "photos")
    with pytest.raises(NoTree, match="neither a ComfyUI .* nor a git repository"):
        provide_tree(str(tmp_path / "photos"), None, tmp_path / "ComfyUI")
    git(repository, "rm", "--quiet", "main.py")
    git(repository, "-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet", "-m", "less")
    with pytest.raises(NoTree, match="is not ComfyUI"):
        provide_tree(str(repository), None, tmp_path / "ComfyUI")
    with pytest.raises(NoTree, match="git clone failed"):
        provide_tree(str(tmp_path / "nowhere"), None, tmp_path / "ComfyUI")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "repository"]
