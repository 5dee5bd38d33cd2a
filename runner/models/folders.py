"""Where a ComfyUI keeps its models: its models folder and what extra_model_paths.yaml adds to it."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from ..caching import cache_folder
from ..errors import ModelError

EXTRA_PATHS = "extra_model_paths.yaml"


@dataclass(frozen=True)
class ModelFolders:
    """The paths behind every model folder name (``checkpoints``, ``sams``), in ComfyUI's own order.

    ``preferred`` are the extra paths marked ``is_default``: they are looked at first and new files go there.
    ``extra`` are the other ones.
    """

    root: Path
    preferred: dict[str, list[Path]] = field(default_factory=dict)
    extra: dict[str, list[Path]] = field(default_factory=dict)

    def paths(self, folder: str) -> list[Path]:
        """Every path that is searched for ``folder``; the first is where a new file is put."""
        return [*self.preferred.get(folder, []), self.root / folder, *self.extra.get(folder, [])]


def models_dirs(models_dir: Path | str | None = None, comfyui: Path | str | None = None) -> ModelFolders:
    """The model folders to use: ``models_dir`` itself, or those of a ComfyUI.

    Without ``models_dir``, the ComfyUI is ``comfyui``, or else the one that ``find_comfyui`` finds (COMFYUI_DIR,
    ~/comfy/ComfyUI, ...), and its extra_model_paths.yaml counts. Where there is none, ``own_models_dir``. Raises
    ``ModelError`` (``comfyui_missing``) when ``comfyui`` is none, and (``option_invalid``) when the yaml file cannot
    be read.
    """
    if models_dir is not None:
        return ModelFolders(Path(models_dir).expanduser().absolute())
    home = _given_comfyui(Path(comfyui).expanduser().absolute()) if comfyui is not None else _found_comfyui()
    if home is None:
        return ModelFolders(own_models_dir())
    preferred, extra = _extra_paths(home / EXTRA_PATHS)
    return ModelFolders(home / "models", preferred, extra)


def _given_comfyui(path: Path) -> Path:
    """``path``, or the ComfyUI folder inside it (the portable build); it must hold a main.py."""
    for candidate in (path, path / "ComfyUI"):
        if (candidate / "main.py").is_file():
            return candidate
    raise ModelError(
        "comfyui_missing",
        f"{path} is not a ComfyUI: it has no main.py.",
        "Give the folder that holds ComfyUI's main.py, or name the models folder with --models-dir.",
        {"path": str(path)},
    )


def _found_comfyui() -> Path | None:
    from ..engines.comfyui import find_comfyui

    return find_comfyui()


def own_models_dir() -> Path:
    """The models folder for work without ComfyUI: ``$IMAGEINE_MODELS``, or ``models`` in the cache folder."""
    chosen = os.environ.get("IMAGEINE_MODELS")
    return Path(chosen).expanduser().absolute() if chosen else cache_folder() / "models"


def _extra_paths(config: Path) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """What ``config`` adds, split by ``is_default``; both empty when there is no such file."""
    preferred: dict[str, list[Path]] = {}
    extra: dict[str, list[Path]] = {}
    for section in _sections(config):
        base = os.path.expandvars(str(section.get("base_path") or ""))
        into = preferred if section.get("is_default") else extra
        for folder, value in section.items():
            if folder in ("base_path", "is_default") or not isinstance(value, str):
                continue
            for line in filter(None, value.split("\n")):
                path = Path(os.path.normpath(config.parent / Path(base).expanduser() / line))
                paths = into.setdefault(folder, [])
                # ComfyUI puts each is_default path in front of the one before it.
                paths.insert(0 if into is preferred else len(paths), path)
    return preferred, extra


def _sections(config: Path) -> list[dict]:
    if not config.is_file():
        return []
    import yaml

    try:
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelError(
            "option_invalid",
            f"{config} cannot be read: {error}",
            "Correct the file (ComfyUI does not start with it either), or use --models-dir.",
            {"path": str(config)},
        ) from error
    return [section for section in (content or {}).values() if isinstance(section, dict)]
