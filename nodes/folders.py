"""Imageine's model folders inside ComfyUI's own folder table."""

from pathlib import Path

import folder_paths
from comfy_api.latest import io

from .algorithms.checkpoint_folder import next_step

GROUNDING_DINO = "grounding-dino"
SEGMENT_ANYTHING = "sams"
DEPTH_ANYTHING = "depth-anything"
POSE = "pose"
IP_ADAPTER = "ipadapter"

_EXTENSIONS = {".safetensors"}
_FILE_EXTENSIONS = {".safetensors", ".bin"}  # the latter through ComfyUI's safe loading


def register() -> None:
    """Add ``models/<name>`` to the paths that extra_model_paths.yaml, or another extension, lists for that name.

    An extra path for a folder unknown to core arrives as ``([path], set())``, which lists files of any kind. The
    extensions are set only then: a folder that another extension shares with us keeps its own as well.
    """
    for name in (GROUNDING_DINO, SEGMENT_ANYTHING, DEPTH_ANYTHING, POSE):
        _add(name, _EXTENSIONS)
    _add(IP_ADAPTER, _FILE_EXTENSIONS)


def _add(name: str, accepted: set[str]) -> None:
    folder_paths.add_model_folder_path(name, str(Path(folder_paths.models_dir) / name))
    paths, extensions = folder_paths.folder_names_and_paths[name]
    folder_paths.folder_names_and_paths[name] = (paths, set(extensions) | accepted)


def list_models(name: str) -> list[str]:
    """Names of the model folders (those with a ``config.json``) under every path of folder ``name``, sorted.

    Read from disk at every call, so that a refresh of the editor shows a model that was just copied in. Paths
    that cannot be read are left out.
    """
    return sorted(_folders(name))


def model_input(name: str, pipeline: str) -> io.Input:
    """A loader's choice among the models of folder ``name``, which ``imageine models pull <pipeline>`` fills."""
    return io.Combo.Input(
        "model",
        display_name="Model",
        options=list_models(name),
        tooltip=f"A folder in models/{name}. Empty? Run: imageine models pull {pipeline}, then press R.",
    )


def find_model(name: str, choice: str) -> Path:
    """The directory of model ``choice``; where several paths of folder ``name`` hold it, the first.

    Raises ``ValueError`` when none does. ``choice`` comes from a prompt over HTTP, so it is matched against the
    listing and never joined to a path.
    """
    folders = _folders(name)
    if choice in folders:
        return folders[choice]
    searched = " or ".join(folder_paths.get_folder_paths(name))
    present = f"Found there: {', '.join(sorted(folders))}. " if folders else ""
    raise ValueError(
        f"No model folder '{choice}' with a config.json in {searched}. {present}"
        f"{next_step(name)}, or copy the model's folder there and press R to refresh."
    )


def list_files(name: str) -> list[str]:
    """Names of the model files under every path of folder ``name``, sorted; those in subfolders with their folder."""
    return folder_paths.get_filename_list(name)


def find_file(name: str, choice: str) -> str:
    """The path of model file ``choice``. Raises ``ValueError`` when it is not one of ``list_files(name)``."""
    files = list_files(name)
    if choice in files:
        return folder_paths.get_full_path_or_raise(name, choice)
    searched = " or ".join(folder_paths.get_folder_paths(name))
    present = f"Found there: {', '.join(files)}. " if files else ""
    raise ValueError(f"No model file '{choice}' in {searched}. {present}Copy the file there and press R to refresh.")


def _folders(name: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for root in folder_paths.get_folder_paths(name):
        try:
            models = [child for child in sorted(Path(root).iterdir()) if (child / "config.json").is_file()]
        except OSError:  # an extra path need not exist, or be readable
            continue
        for model in models:
            found.setdefault(model.name, model)
    return found
