"""Stand-in for ComfyUI's `folder_paths`; tests point it at folders of their own."""

import os
from pathlib import Path

models_dir = "models"
input_directory, output_directory, temp_directory, user_directory = "input", "output", "temp", "user"
folder_names_and_paths: dict[str, tuple[list[str], set[str]]] = {}


def add_model_folder_path(name: str, path: str) -> None:
    paths, _ = folder_names_and_paths.setdefault(name, ([], set()))
    if path not in paths:
        paths.append(path)


def get_folder_paths(name: str) -> list[str]:
    return list(folder_names_and_paths[name][0])


def get_filename_list(name: str) -> list[str]:
    return [
        path.relative_to(folder).as_posix()
        for folder in map(Path, folder_names_and_paths.get(name, ([], set()))[0])
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]


def get_full_path(name: str, file: str) -> str | None:
    places = (Path(folder) / file for folder in folder_names_and_paths.get(name, ([], set()))[0])
    return next((str(place) for place in places if place.is_file()), None)


def get_input_directory() -> str:
    return input_directory


def get_output_directory() -> str:
    return output_directory


def get_temp_directory() -> str:
    return temp_directory


def get_user_directory() -> str:
    return user_directory


def get_system_user_directory(name: str = "system") -> str:
    return str(Path(user_directory) / f"__{name}")


def get_save_image_path(prefix: str, folder: str, width: int = 0, height: int = 0) -> tuple[str, str, int, str, str]:
    place = Path(prefix)
    target = Path(folder) / place.parent
    target.mkdir(parents=True, exist_ok=True)
    taken = [path.name.removeprefix(f"{place.name}_").split("_")[0] for path in target.glob(f"{place.name}_*_.*")]
    return str(target), place.name, max(map(int, taken), default=0) + 1, str(place.parent), prefix


def get_annotated_filepath(name: str) -> str:
    return os.path.abspath(os.path.join(get_input_directory(), name))
