"""Check that Imageine can run here, and fetch what it lacks when asked to. Needs the standard library alone.

    python install.py                         check: Python, ComfyUI, packages, models
    python install.py --models simple         download the models of the simple pipeline
    python install.py --comfyui-requirements  install ComfyUI's requirements into this Python

ComfyUI-Manager runs it without arguments, under ComfyUI's Python and in this folder; nothing is downloaded then. Run
it as often as you like. The exit status is 0 unless the nodes cannot work or what was asked for failed; missing
models alone are no failure.
"""

import argparse
import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
import types
from pathlib import Path

# The path as written, not resolved: custom_nodes often holds a link to a checkout elsewhere.
ROOT = Path(__file__).absolute().parent

# `python install.py` puts this folder first on the path, where `import nodes` must stay ComfyUI's own.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT.resolve()]

OK, WARNING, ERROR = "ok", "warning", "error"


def main(argv: list[str] | None = None) -> int:
    """Do what the command line asks for, print the findings, and return the exit status."""
    options = parse_arguments(argv)
    if options.comfyui_requirements is not None:
        return install_comfyui_requirements(options.comfyui_requirements)
    if options.models:
        status = download_models(options)
        if status:
            return status
    findings = check(options)
    failed = any(finding["state"] == ERROR for finding in findings)
    if options.json:
        print(json.dumps({"ok": not failed, "checks": findings}, indent=2))
    else:
        print_findings(findings, failed)
    return int(failed)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--models", nargs="+", metavar="NAME", help="download models: ids, pipelines (simple), or all")
    parser.add_argument("--models-dir", metavar="DIR", help="the models folder itself, instead of ComfyUI's")
    parser.add_argument(
        "--comfyui", metavar="DIR", help="the ComfyUI folder, where it is not the one this folder is in"
    )
    parser.add_argument(
        "--comfyui-requirements",
        nargs="?",
        const="",
        metavar="DIR",
        help="install the requirements of ComfyUI (DIR, COMFYUI_DIR, the one around this folder, ~/comfy/ComfyUI)",
    )
    parser.add_argument("--yes", action="store_true", help="accept the terms of gated models")
    parser.add_argument("--json", action="store_true", help="print the findings as one JSON object")
    return parser.parse_args(argv)


# --- the checks ---


def check(options: argparse.Namespace) -> list[dict]:
    """What was found, as ``{"name", "state": ok | warning | error, "found", "next"}``; ``next`` is the next step."""
    comfyui = find_comfyui(options.comfyui)
    # Outside a ComfyUI this Python need not be able to run the nodes: the runner can do without.
    around = enclosing_comfyui() is not None or options.comfyui is not None
    supported = load_module("supported")
    findings = [check_python(), check_comfyui(comfyui), check_folder_name()]
    findings += [check_package(*package, ERROR if around else WARNING) for package in supported.NODE_PACKAGES.items()]
    findings += [check_package(*package, WARNING) for package in supported.required_packages().items()]
    return findings + check_models(options, comfyui)


def finding(name: str, state: str, found: str, next_step: str = "") -> dict:
    return {"name": name, "state": state, "found": found, "next": next_step}


def check_python() -> dict:
    supported, found = load_module("supported"), ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] >= supported.OLDEST_PYTHON:
        return finding("Python", OK, found)
    oldest = supported.as_text(supported.OLDEST_PYTHON)
    return finding("Python", ERROR, found, f"Imageine needs Python {oldest} or newer.")


def check_comfyui(comfyui: Path | None) -> dict:
    if comfyui is None:
        return finding(
            "ComfyUI",
            WARNING,
            "not found",
            "Put this folder in ComfyUI's custom_nodes, or set COMFYUI_DIR. The runner also works with a server.",
        )
    supported = load_module("supported")
    version, oldest = supported.comfyui_version(comfyui), supported.as_text(supported.OLDEST_COMFYUI)
    if version is None:
        return finding("ComfyUI", WARNING, f"{comfyui} (version unknown)", f"Imageine needs ComfyUI {oldest} or newer.")
    if supported.is_older(version, supported.OLDEST_COMFYUI):
        return finding(
            "ComfyUI", ERROR, f"{version} in {comfyui}", f"Update ComfyUI: the nodes need {oldest} or newer."
        )
    return finding("ComfyUI", OK, f"{version} in {comfyui}")


def check_folder_name() -> dict:
    if " " not in ROOT.name:
        return finding("folder name", OK, ROOT.name)
    better = load_module("supported").without_space(ROOT.name)
    next_step = f"Rename the folder without a space ({better}): ComfyUI cannot serve its scripts."
    return finding("folder name", WARNING, ROOT.name, next_step)


def check_package(name: str, oldest: str, when_missing: str) -> dict:
    supported = load_module("supported")
    next_step = f'"{sys.executable}" -m pip install "{supported.requirement(name, oldest)}"'
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return finding(name, when_missing, "not installed", next_step)
    if supported.is_older(version, oldest):
        return finding(name, when_missing, version, next_step)
    return finding(name, OK, version)


def check_models(options: argparse.Namespace, comfyui: Path | None) -> list[dict]:
    """One finding for each model of the default pipelines; a missing model is never an error."""
    folder = options.models_dir
    if comfyui is None and folder is None:
        return []
    try:
        models = load_module("models")
        folders = models.models_dirs(folder, comfyui)
        statuses = [models.status(model, folders) for model in models.load_manifest() if model.default]
    except Exception as error:
        return [finding("models", WARNING, f"not checked: {error}")]
    findings = []
    for status in statuses:
        good = status.state in (models.PRESENT, models.UNVERIFIED)
        next_step = "" if good else f'"{sys.executable}" "{ROOT / "install.py"}" --models {status.model.id}'
        found = f"{status.state}, {status.model.size / 1e9:.2f} GB, {status.path}"
        findings.append(finding(f"model {status.model.id}", OK if good else WARNING, found, next_step))
    return findings


# --- what is done on request ---


def download_models(options: argparse.Namespace) -> int:
    """Download ``options.models`` into ComfyUI's folders; the exit status."""
    comfyui = find_comfyui(options.comfyui)
    if comfyui is None and options.models_dir is None:
        print(
            "No ComfyUI was found: name it with --comfyui DIR, or a models folder with --models-dir.", file=sys.stderr
        )
        return 1
    try:
        models = load_module("models")
        chosen = models.select(options.models)
        folders = models.models_dirs(options.models_dir, comfyui)
        for model in chosen:
            licence = f"{model.licence.name}, {model.licence.url}"
            print(f"{model.id}: {model.size / 1e9:.2f} GB, licence {licence}", file=sys.stderr)
        models.pull(chosen, folders, accept=lambda model: options.yes, on_progress=Percentage())
    except ImportError as error:
        requirements = f'"{sys.executable}" -m pip install huggingface_hub requests'
        print(f"Downloads need the package {error.name}: {requirements}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on where this one stopped.", file=sys.stderr)
        return 130
    except Exception as error:
        if not hasattr(error, "exit_code"):
            raise
        print(f"Error: {error.message}\n{error.hint}".strip(), file=sys.stderr)
        if options.json:
            print(json.dumps({"ok": False, "error": error.as_dict()}, indent=2))
        return error.exit_code
    return 0


class Percentage:
    """Print a line for every tenth of the whole download."""

    def __init__(self):
        self.tenth = -1

    def __call__(self, progress) -> None:
        tenth = 10 * progress.overall // (progress.overall_total or 1)
        if progress.phase == "download" and tenth > self.tenth:
            self.tenth = tenth
            print(f"{tenth * 10:3d} % of {progress.overall_total / 1e9:.2f} GB", file=sys.stderr, flush=True)


def install_comfyui_requirements(folder: str) -> int:
    """``pip install`` what ComfyUI requires into this Python; the exit status."""
    comfyui = Path(folder).expanduser() if folder else configured_comfyui() or find_comfyui(None)
    if comfyui is None:
        print("=" * 72, file=sys.stderr)
        print("No ComfyUI was found, so nothing was installed. Whatever needs one (the nodes, a", file=sys.stderr)
        print("ComfyUI started by the runner, the live tests) will not run. Set COMFYUI_DIR.", file=sys.stderr)
        print("=" * 72, file=sys.stderr)
        return 0
    requirements = comfyui / "requirements.txt"
    if not requirements.is_file():
        print(f"{comfyui} is not a ComfyUI: it has no requirements.txt.", file=sys.stderr)
        return 1
    print(f"Installing {requirements} into {sys.executable}", file=sys.stderr, flush=True)
    return subprocess.run([sys.executable, "-m", "pip", "install", "-r", str(requirements)]).returncode


# --- where things are ---


def find_comfyui(named: str | None) -> Path | None:
    """The ComfyUI to look at: ``named``, the one around this folder, COMFYUI_DIR, or ~/comfy/ComfyUI."""
    if named:
        return Path(named).expanduser().absolute()
    home = Path("~/comfy/ComfyUI").expanduser()
    return enclosing_comfyui() or configured_comfyui() or (home if (home / "main.py").is_file() else None)


def configured_comfyui() -> Path | None:
    value = os.environ.get("COMFYUI_DIR")
    return Path(value).expanduser().absolute() if value else None


def enclosing_comfyui() -> Path | None:
    """The ComfyUI whose custom_nodes holds this folder (a linked one too, where the shell says how it came here)."""
    for folder in (ROOT, Path(os.environ.get("PWD", ROOT))):
        if folder.parent.name == "custom_nodes" and (folder.parent.parent / "main.py").is_file():
            return folder.parent.parent
    return None


def load_module(name: str):
    """``imageine.runner.<name>`` from this folder, whatever it is called, without the packages' own start-up code."""
    for full_name, folder in (("imageine", ROOT), ("imageine.runner", ROOT / "runner")):
        package = types.ModuleType(full_name)
        package.__path__ = [str(folder)]
        sys.modules.setdefault(full_name, package)
    return importlib.import_module(f"imageine.runner.{name}")


def print_findings(findings: list[dict], failed: bool) -> None:
    for entry in findings:
        mark = entry["state"].upper() if entry["state"] == ERROR else entry["state"]
        print(f"{mark:8} {entry['name']}: {entry['found']}")
        if entry["next"]:
            print(f"         -> {entry['next']}")
    if failed:
        print("Imageine's nodes cannot work here yet: see the lines marked ERROR.")
    elif any(entry["state"] == WARNING for entry in findings):
        print("The nodes can be loaded; each line marked 'warning' says what is still missing, and for what.")
    else:
        print("Imageine is ready.")


if __name__ == "__main__":
    sys.exit(main())
