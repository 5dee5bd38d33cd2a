"""Run one script inside ComfyUI: ``python bootstrap.py JOB`` (JSON; see ``support.comfyui.run_inside``).

Starts where main.py would be after parsing its arguments: ComfyUI's folder is importable, nothing of it imported
but its arguments, the models folders are registered and this extension is importable as ``imageine``.
"""

import importlib.util
import json
import runpy
import sys
from pathlib import Path


def prepare(job: dict) -> None:
    # The script's own folder must not shadow ComfyUI's modules.
    sys.path[0] = job["comfyui"]
    sys.argv = ["main.py", "--disable-api-nodes", "--base-directory", job["base"]]
    if job["cpu"]:
        sys.argv.append("--cpu")
    import comfy.options

    comfy.options.enable_args_parsing()
    import comfy.cli_args  # noqa: F401

    root = Path(job["extension"])
    spec = importlib.util.spec_from_file_location(
        "imageine", root / "__init__.py", submodule_search_locations=[str(root)]
    )
    sys.modules["imageine"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["imageine"])


def add_models(models: Path) -> None:
    import folder_paths

    for folder in sorted(path for path in models.iterdir() if path.is_dir()):
        folder_paths.add_model_folder_path(folder.name, str(folder), is_default=True)


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    prepare(job)
    if job["models"]:
        add_models(Path(job["models"]))
    script = runpy.run_path(job["script"])
    result = script["main"](*job["arguments"])
    Path(job["answer"]).write_text(json.dumps(result), encoding="utf-8")
