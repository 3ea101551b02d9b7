"""`models` lists what is there and where to get more; `doctor` says what is missing."""

from __future__ import annotations

from magi_core.cli.doctor import find_comfyui
from magi_core.cli.main import main


def test_models_says_where_to_get_some(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    assert "nano" in printed and "sand-ai/MAGI-1" in printed
    assert main(["models", "nowhere"]) == 2
    assert "there is no folder nowhere" in capsys.readouterr().err


def test_models_lists_what_cannot_be_read_with_the_reason(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "models" / "4.5B_base"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{broken")
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    assert str(folder) in printed and "cannot be read" in printed


def test_doctor_names_what_matters(capsys):
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    for word in (
        "Python",
        "torch",
        "device",
        "sdpa",
        "flash-attn 3",
        "H.264 encoder",
        "zstandard",
        "ComfyUI",
        "memory",
    ):
        assert word in printed
    assert "everything needed is here" in printed


def test_doctor_finds_comfyui_by_its_variable(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    assert find_comfyui() is None
    assert main(["doctor"]) == 0
    assert "which is not ComfyUI" in capsys.readouterr().out
    (tmp_path / "comfy_api").mkdir()
    (tmp_path / "main.py").touch()
    (tmp_path / "comfyui_version.py").write_text('__version__ = "9.8.7"\n')
    assert find_comfyui() == tmp_path
    assert main(["doctor"]) == 0
    assert f"9.8.7 in {tmp_path}" in capsys.readouterr().out
