"""Conversion from UI to API format against ComfyUI's own editor, and against other converters.

    python benchmarks/conversion.py [--comfyui DIR] [--every 1] [--api-nodes]

Starts the ComfyUI that is found, opens its editor in Chromium, and has it convert every template of the package
comfyui-workflow-templates that the server's nodes cover: the reference. Ours, and those of comfy-cli and comfy-test
where they are installed, convert the same files with the same server's node definitions. Three counts each: prompts
that are equal but for titles, which only the editor translates; those equal in the nodes that feed an output; and
those that are so when inputs that are left out count as equal, though a server refuses them where they are required.
Times are of one run in one process. To compare with the others:

    python -m venv peers && peers/bin/pip install comfy-cli comfy-test
    python benchmarks/conversion.py --peers peers/bin/python
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import requests
from imageine.runner.engines.comfyui import find_comfyui
from imageine.runner.errors import ImageineError
from imageine.runner.workflow.conversion import convert

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support import comfyui, templates
from support.editor import Editor, browser_page, set_renderer

# Run by the peers' own Python, for they may need other versions of what is installed here: reads
# [object_info, [workflow, ...]] and writes [seconds, [prompt or error, ...]].
_PEERS = {
    "comfy-cli": "from comfy_cli.workflow_to_api import convert_ui_to_api as convert",
    "comfy-test": """
from comfy_test.comfyui.workflow_converter import WorkflowConverter, set_object_info
def convert(ui, info):
    set_object_info(info)
    return WorkflowConverter.convert_to_api(ui)
""",
}
_DRIVER = """
import contextlib, json, sys, time
{load}
info, workflows = json.load(open(sys.argv[1]))
made, started = [], time.perf_counter()
with contextlib.redirect_stdout(sys.stderr):
    for ui in workflows:
        try:
            made.append(convert(ui, info))
        except Exception as error:
            made.append({{"error": repr(error)}})
seconds = time.perf_counter() - started
json.dump([seconds, made], open(sys.argv[2], "w"))
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--comfyui", type=Path, help="the ComfyUI folder; else the one that is found")
    parser.add_argument("--every", type=int, default=1, help="every n-th template only")
    parser.add_argument("--api-nodes", action="store_true", help="with ComfyUI's partner nodes: more templates")
    parser.add_argument("--peers", help="the Python that comfy-cli and comfy-test are installed for")
    return parser.parse_args()


def ours(info: dict, workflows: list[dict]) -> tuple[float, list]:
    made, started = [], time.perf_counter()
    for ui in workflows:
        try:
            made.append(convert(ui, info).graph)
        except ImageineError as error:
            made.append({"error": str(error)})
    return time.perf_counter() - started, made


def peer(python: str, load: str, folder: Path) -> Callable[[dict, list[dict]], tuple[float, list]]:
    def run(info: dict, workflows: list[dict]) -> tuple[float, list]:
        question, answer = folder / "question.json", folder / "answer.json"
        question.write_text(json.dumps([info, workflows]), encoding="utf-8")
        script = _DRIVER.format(load=load)
        done = subprocess.run(
            [python, "-c", script, str(question), str(answer)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        return tuple(json.loads(answer.read_text(encoding="utf-8")))

    return run


def untitled(prompt: dict) -> dict:
    """What the server reads of a prompt: class and inputs."""
    return {key: (node["class_type"], node.get("inputs")) for key, node in prompt.items() if isinstance(node, dict)}


def needed(prompt: dict, info: dict) -> dict:
    """The part of a prompt that a server runs: its output nodes and what feeds them."""
    found: dict = {}
    open_ends = [key for key, (kind, _) in untitled(prompt).items() if info.get(kind, {}).get("output_node")]
    plain = untitled(prompt)
    while open_ends:
        key = open_ends.pop()
        if key in found or key not in plain:
            continue
        found[key] = plain[key]
        links = [value for value in (plain[key][1] or {}).values() if isinstance(value, list) and len(value) == 2]
        open_ends += [str(link[0]) for link in links]
    return found


def agrees(prompt: dict, wanted: dict) -> bool:
    """Whether ``prompt``, as ``needed`` gives it, has the nodes of ``wanted`` and no other value for any input."""
    return set(prompt) == set(wanted) and all(
        kind == wanted[key][0] and all(wanted[key][1].get(name) == value for name, value in (inputs or {}).items())
        for key, (kind, inputs) in prompt.items()
    )


def report(name: str, seconds: float, made: list, expected: list, info: dict) -> None:
    valid = [prompt if isinstance(prompt, dict) and "error" not in prompt else {} for prompt in made]
    pairs = list(zip(valid, expected, strict=True))
    whole = sum(untitled(prompt) == untitled(wanted) for prompt, wanted in pairs)
    run = sum(needed(prompt, info) == needed(wanted, info) for prompt, wanted in pairs)
    partly = sum(agrees(needed(prompt, info), needed(wanted, info)) for prompt, wanted in pairs)
    refused = sum(not prompt for prompt in valid)
    each = seconds / len(made) * 1000
    print(
        f"{name:12}{whole:5} of {len(made)} equal,{run:5} in what runs,{partly:5} but for inputs left out,"
        f"{refused:4} refused,{each:7.1f} ms each"
    )


def main() -> None:
    options = arguments()
    folder = options.comfyui or find_comfyui()
    with comfyui.server(folder, api_nodes=options.api_nodes) as server, browser_page() as page:
        set_renderer(server.url, "classic")
        editor = Editor(page, server.url)
        editor.open()
        reference = templates.Reference(editor, requests.get(f"{server.url}/object_info", timeout=60).json())
        info = reference.object_info
        paths = templates.covered(info)
        workflows = [json.loads(path.read_text(encoding="utf-8")) for path in paths[:: options.every]]
        print(f"ComfyUI {comfyui.version(folder)}, editor {reference.frontend}: {len(paths)} templates are covered")
        started = time.perf_counter()
        expected = [reference.prompt(ui) for ui in workflows]
        print(f"the editor itself: {(time.perf_counter() - started) / len(expected) * 1000:.0f} ms each")
        report("imageine", *ours(info, workflows), expected, info)
        for name, load in _PEERS.items() if options.peers else ():
            try:
                report(name, *peer(options.peers, load, server.base_directory)(info, workflows), expected, info)
            except RuntimeError as error:
                print(f"{name:12}not run: {error}")


if __name__ == "__main__":
    main()
