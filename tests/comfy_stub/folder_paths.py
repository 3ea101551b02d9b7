"""Stand-in for ComfyUI's `folder_paths`; tests point it at folders of their own."""

models_dir = "models"
input_directory = "input"
folder_names_and_paths: dict[str, tuple[list[str], set[str]]] = {}


def add_model_folder_path(name: str, path: str) -> None:
    paths, _ = folder_names_and_paths.setdefault(name, ([], set()))
    if path not in paths:
        paths.append(path)


def get_folder_paths(name: str) -> list[str]:
    return list(folder_names_and_paths[name][0])


def get_input_directory() -> str:
    return input_directory
