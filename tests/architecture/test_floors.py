"""Every import goes down; the engine knows no ComfyUI; nothing but tests imports tests; tests mirror the packages."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from tests.architecture.floors import COMFYUI, FLOORS, circles, outside, room, upward
from tests.architecture.imports import Import, imports_under

REPOSITORY = Path(__file__).parents[2]
ENGINE = REPOSITORY / "magi_core"
ROOT_FILES = 10
IMPORTED_AS = {"pillow": "PIL", "beautifulsoup4": "bs4"}  # other packages are imported by the name they install under
OPTIONAL = {"flash_attn", "flash_attn_interface", "sageattention", "triton", "zstandard"}


@pytest.fixture(scope="module")
def engine() -> list[Import]:
    return imports_under(REPOSITORY, "magi_core")


@pytest.fixture(scope="module")
def nodes() -> list[Import]:
    return imports_under(REPOSITORY, "nodes")


def packages(*folders: str) -> list[Path]:
    """Every package in these folders, themselves included."""
    return sorted(file.parent for folder in folders for file in (REPOSITORY / folder).rglob("__init__.py"))


def test_every_module_of_the_engine_has_a_floor(engine: list[Import]) -> None:
    rooms = {path.stem for path in ENGINE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms <= set(FLOORS), "name its floor in FLOORS"
    assert {room(found.module) for found in engine} <= rooms


def test_every_import_of_the_engine_goes_down(engine: list[Import]) -> None:
    assert not upward(engine), "\n".join(upward(engine))


def test_no_packages_of_the_engine_import_each_other(engine: list[Import]) -> None:
    assert not circles(engine), "\n".join(circles(engine))


def test_the_engine_imports_no_comfyui_and_nothing_above_it(engine: list[Import]) -> None:
    found = outside(engine, COMFYUI | {"benchmarks", "nodes", "scripts", "tests", "tools"})
    assert not found, "\n".join(found)


def test_the_engine_imports_what_its_requirements_name_and_nothing_else(engine: list[Import]) -> None:
    lines = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines()
    required = {re.match(r"[\w-]+", line)[0] for line in lines if line and not line.startswith("#")}
    allowed = {IMPORTED_AS.get(name, name) for name in required} | OPTIONAL | {"magi_core"} | sys.stdlib_module_names
    assert not [str(found) for found in engine if found.target.partition(".")[0] not in allowed]


def test_nodes_import_the_engine_and_comfyui_alone(nodes: list[Import]) -> None:
    found = outside(nodes, {"benchmarks", "js", "scripts", "tests", "tools"})
    assert not found, "\n".join(found)


def test_what_comfyui_holds_knows_neither_widgets_nor_nodes(nodes: list[Import]) -> None:
    """nodes/host < nodes/ui and nodes/wires < the nodes."""
    seen = [found for found in nodes if found.module.startswith("nodes.host") and found.target.startswith("nodes.")]
    assert seen and not [str(found) for found in seen if not found.target.startswith("nodes.host")]


def test_nothing_outside_the_tests_imports_them() -> None:
    folders = ("benchmarks", "magi_core", "nodes", "scripts", "tools")
    found = [line for folder in folders for line in outside(imports_under(REPOSITORY, folder), ["tests"])]
    assert not found, "\n".join(found)


def test_no_test_imports_another() -> None:
    """What two of them need is a module of its own, or a fixture."""
    found = [each for each in imports_under(REPOSITORY, "tests") if re.search(r"^tests\..*\btest_\w+", each.target)]
    assert not found, "\n".join(map(str, found))


def test_few_files_lie_in_the_hall() -> None:
    assert len(list(ENGINE.glob("*.py"))) <= ROOT_FILES


@pytest.mark.parametrize("package", packages("magi_core", "nodes", "tools"), ids=lambda path: path.name)
def test_a_package_says_in_one_line_what_it_is(package: Path) -> None:
    said = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    first, *more = said.splitlines()[:2] or [""]
    assert first and first[-1] in ".:" and not any(more), said


def test_unit_tests_mirror_the_packages() -> None:
    unit = REPOSITORY / "tests" / "unit"
    folders = {path.name for path in unit.iterdir() if path.is_dir() and list(path.glob("test_*.py"))}
    assert folders <= {path.name for path in packages("magi_core")} | {"scripts", "tools"}
    modules = {path.stem for path in ENGINE.glob("*.py")}
    files = [path.stem.removeprefix("test_") for path in unit.glob("test_*.py")]
    assert files and not [name for name in files if not any(re.match(rf"{module}(_|$)", name) for module in modules)]


def test_no_test_file_has_headings() -> None:
    """A heading asks for a file of its own."""
    headed = re.compile(r"^# ?[-=#*]{3}", re.MULTILINE)
    found = [path for path in (REPOSITORY / "tests").rglob("*.py") if headed.search(path.read_text(encoding="utf-8"))]
    assert not [path.relative_to(REPOSITORY).as_posix() for path in found]
