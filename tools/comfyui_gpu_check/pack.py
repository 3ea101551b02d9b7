"""ComfyUI and the packages that a machine with PyTorch lacks, small enough to travel: two archives."""

from __future__ import annotations

import lzma
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path

COMFYUI, SITE = "comfyui.tar.xz", "site.tar.xz"
LEFT_OUT = {".git", ".github", ".ci", ".venv", "venv", "models", "input", "output", "user", "temp", "tests"}
LEFT_OUT |= {"tests-unit", "blueprints", "script_examples", "openapi.yaml", "comfy_api_nodes"}
NOWHERE = {"__pycache__", "testing", "tests"}
TOKENIZER = "t5_tokenizer"  # the one of the text encoders' that the checks load
PURE = ("comfy-kitchen", "sqlalchemy", "wcwidth")  # compiled parts are optional, and up to tens of megabytes
PACKAGES = ("comfy-kitchen", "comfy-aimdo", "torchsde", "trampoline", "av", "simpleeval", "blake3")
PACKAGES += ("alembic", "mako", "sqlalchemy", "ftfy", "wcwidth", "beautifulsoup4", "soupsieve")
PLATFORMS = [f"manylinux_2_{n}_x86_64" for n in (34, 28, 24, 17, 12, 5)] + ["manylinux2014_x86_64"]
FILTERS = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4}]

CODECS = ("libavcodec", "libavformat", "libavutil", "libsw", "libx264")
"""Libraries in PyAV's wheel that make and read an mp4 with H.264. The others (H.265, AV1, devices, TLS) are replaced by
empty ones with the same symbols: they are four fifths of it."""


def pack(comfyui: Path, folder: Path, python: str) -> None:
    """Write both archives into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        site = Path(place) / "site"
        _collect(comfyui, Path(place) / "wheels", site, python)
        _only_h264(site)
        shutil.copy(Path(__file__).with_name("no_pydantic.py"), site / "pydantic.py")
        subprocess.run(["strip", "--strip-debug", *(str(path) for path in _extensions(site))], check=True)
        _write(folder / SITE, site)
    _write(folder / COMFYUI, comfyui)


def _collect(comfyui: Path, wheels: Path, site: Path, python: str) -> None:
    """Wheels for the other machine's Python, unpacked, in the versions that ComfyUI's own environment has."""
    installed = metadata.distributions(path=[str(path) for path in comfyui.glob(".venv/lib/*/site-packages")])
    versions = {found.name.lower().replace("_", "-"): found.version for found in installed}
    wanted = [f"{name}=={versions[name]}" if name in versions else name for name in PACKAGES]
    get = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(wheels)]
    get += ["--python-version", python]
    pure = [name for name in wanted if name.startswith(PURE)]
    subprocess.run([*get, "--implementation", "py", "--abi", "none", "--platform", "any", *pure], check=True)
    get += [part for platform in PLATFORMS for part in ("--platform", platform)]
    subprocess.run([*get, "--implementation", "cp", *(name for name in wanted if name not in pure)], check=True)
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)


def _extensions(site: Path) -> list[Path]:
    return [path for path in sorted(site.rglob("*.so")) if "comfy_aimdo" not in path.parts]


def _only_h264(site: Path) -> None:
    """PyAV without the libraries that H.264 does not need."""
    modules, libraries = sorted((site / "av").rglob("*.so")), sorted((site / "av.libs").iterdir())
    users = [*modules, *(library for library in libraries if library.name.startswith(CODECS))]
    needed = {name for user in users for name, _, given in _symbols(user) if not given}
    for library in libraries:
        if library in users:
            _forget_unwinding(library)
        else:
            _replace(library, {name: version for name, version, given in _symbols(library) if given and name in needed})


def _replace(library: Path, symbols: dict[str, str]) -> None:
    """An empty library under the same name, whose functions give 0, or "" where words are expected."""
    kinds = {name: 'const char *%s(void) { return ""; }' for name in symbols if name.endswith(("ation", "license"))}
    code = "\n".join(kinds.get(name, "long %s(void) { return 0; }") % name for name in symbols)
    by_version: dict[str, list[str]] = {}
    for name, version in symbols.items():
        if version:
            by_version.setdefault(version, []).append(name)
    versions = "\n".join(f"{version} {{ global: {'; '.join(names)}; }};" for version, names in by_version.items())
    soname = re.search(r"SONAME.*\[(.*)\]", _output("readelf", "-d", str(library)))[1]
    with tempfile.TemporaryDirectory() as place:
        source, script = Path(place) / "empty.c", Path(place) / "versions"
        source.write_text(code, encoding="utf-8")
        script.write_text(versions, encoding="utf-8")
        command = ["gcc", "-shared", "-fPIC", "-fno-builtin", "-w", "-s", "-nostdlib", f"-Wl,-soname,{soname}"]
        command += [f"-Wl,--version-script={script}"] if versions else []
        subprocess.run([*command, "-o", str(library), str(source)], check=True)


def _forget_unwinding(library: Path) -> None:
    """Clear the tables for exceptions, which C code does not throw."""
    sections = _output("readelf", "-S", "-W", str(library))
    offset, size = re.search(r"\.eh_frame\s+\S+\s+\S+\s+(\w+)\s+(\w+)", sections).groups()
    with library.open("r+b") as file:
        file.seek(int(offset, 16))
        file.write(bytes(int(size, 16)))


def _symbols(file: Path) -> list[tuple[str, str, bool]]:
    """Name, version and whether it is given rather than needed, of every dynamic symbol."""
    found = []
    for line in _output("readelf", "--dyn-syms", "-W", str(file)).splitlines():
        parts = line.split()
        if len(parts) >= 8 and parts[0].rstrip(":").isdigit():
            name, _, version = parts[7].partition("@")
            found.append((name, version.lstrip("@"), parts[6] != "UND"))
    return found


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _write(file: Path, folder: Path) -> None:
    with lzma.open(file, "wb", filters=FILTERS) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        for path in sorted(folder.iterdir()):
            if path.name not in LEFT_OUT:
                archive.add(path, path.name, filter=_light)
    print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


def _light(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = Path(entry.name).parts
    if entry.name.endswith((".pxd", ".pyi", "aimdo_rocm.so", "RECORD")):
        return None
    unread = "text_encoders" in parts and any(part.endswith("_tokenizer") and part != TOKENIZER for part in parts)
    return None if unread or NOWHERE & set(parts) else entry


def unpack(folder: Path, place: Path) -> tuple[Path, Path]:
    """The ComfyUI and the packages in `folder`, unpacked into `place`."""
    targets = place / "ComfyUI", place / "site"
    for name, target in zip((COMFYUI, SITE), targets, strict=True):
        with tarfile.open(folder / name) as archive:
            archive.extractall(target, filter="data")
    for name in ("models", "input", "output", "custom_nodes"):
        (targets[0] / name).mkdir(exist_ok=True)
    return targets
