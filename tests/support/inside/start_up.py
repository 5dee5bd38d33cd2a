"""Load this extension with ComfyUI's own loader and report what that brought in."""

import asyncio
import sys
import time

import comfy_config.config_parser  # noqa: F401  (read for every extension: not ours either)
import torch  # noqa: F401

import nodes  # ComfyUI's core first: what it imports is not ours


def main(extension: str) -> dict:
    """New top-level modules, milliseconds, and what the schemas say of every node."""
    before = set(sys.modules)
    known = set(nodes.NODE_CLASS_MAPPINGS)
    started = time.perf_counter()
    loaded = asyncio.run(nodes.load_custom_node(extension))
    seconds = time.perf_counter() - started
    added = sorted({name.partition(".")[0] for name in set(sys.modules) - before})
    registered = sorted(set(nodes.NODE_CLASS_MAPPINGS) - known)
    return {
        "loaded": loaded,
        "milliseconds": 1000 * seconds,
        "modules": added,
        "nodes": {name: describe(nodes.NODE_CLASS_MAPPINGS[name]) for name in registered},
        "web": [str(path) for path in nodes.EXTENSION_WEB_DIRS.values()],
    }


def describe(node) -> dict:
    schema = node.GET_SCHEMA()
    return {
        "title": schema.display_name,
        "category": schema.category,
        "description": schema.description,
        "aliases": schema.search_aliases,
        "inputs": {item.id: {"tooltip": item.tooltip, "title": item.display_name} for item in schema.inputs},
        "outputs": [{"id": item.id, "title": item.display_name, "tooltip": item.tooltip} for item in schema.outputs],
    }
