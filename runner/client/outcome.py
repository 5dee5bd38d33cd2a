"""What became of a job: its outputs from the server's history, or the error that says why there are none."""

from dataclasses import dataclass, field

from ..errors import JobError

_MEMORY_MARKS = ("outofmemory", "out of memory", "memoryerror", "not enough memory", "can't allocate memory")
_DISK_MARKS = ("no space left on device", "errno 28", "disk quota exceeded", "winerror 112", "not enough space")

MEMORY_HINT = (
    "The server ran out of memory: use a smaller picture or working size, close other programs, "
    "or start ComfyUI with --lowvram."
)
DISK_HINT = "The server's disk is full: free space in its output and temp folders, then run it again."
ACCESS_HINT = "The server may not write there: check the owner and permissions of its output folder."
CACHE_HINT = (
    "The server reused a kept result whose file was deleted since: run it with another filename_prefix or seed, "
    "or make the server forget its results first (Client.free)."
)


@dataclass(frozen=True)
class OutputFile:
    """A file that a node made. ``kind`` is the node's word for it (images, audio, ...); ``type`` the folder it is
    in: output for a result, temp for a preview that is gone when the server restarts."""

    node_id: str
    kind: str
    filename: str
    subfolder: str = ""
    type: str = "output"


@dataclass(frozen=True)
class JobResult:
    """A job that succeeded: its files in the order of the server's answer, the texts its nodes showed, the nodes
    that were not run because the server kept their results, and the history entry as the server gave it."""

    prompt_id: str
    outputs: list[OutputFile]
    texts: dict[str, list[str]] = field(default_factory=dict)
    cached_nodes: tuple[str, ...] = ()
    history: dict = field(default_factory=dict)


def read_result(prompt_id: str, entry: dict) -> JobResult:
    """The result in a history entry of a job that succeeded."""
    outputs, texts = [], {}
    for node_id, kinds in (entry.get("outputs") or {}).items():
        for kind, items in kinds.items() if isinstance(kinds, dict) else ():
            items = items if isinstance(items, list) else []
            outputs += [_output(str(node_id), kind, item) for item in items if _is_file(item)]
            lines = [item for item in items if isinstance(item, str)] if kind == "text" else []
            if lines:
                texts[str(node_id)] = lines
    cached = next((data.get("nodes", ()) for name, data in messages(entry) if name == "execution_cached"), ())
    return JobResult(prompt_id, outputs, texts, tuple(str(node) for node in cached), entry)


def messages(entry: dict) -> list[tuple[str, dict]]:
    """The ``(event, data)`` pairs that the server recorded with a job."""
    recorded = (entry.get("status") or {}).get("messages") or []
    return [(item[0], item[1]) for item in recorded if len(item) >= 2 and isinstance(item[1], dict)]


def graph_of(entry: dict) -> dict:
    """The workflow that a history entry says was run; empty if it does not."""
    prompt = entry.get("prompt") or ()
    return prompt[2] if len(prompt) > 2 and isinstance(prompt[2], dict) else {}


def is_interrupted(entry: dict) -> bool:
    return any(name == "execution_interrupted" for name, _ in messages(entry))


def failure(graph: dict, entry: dict) -> JobError | None:
    """The error of a history entry whose job failed, None if it succeeded."""
    # The messages decide: the server's status_str stays "success" when planning the run fails after earlier runs.
    error = next((data for name, data in messages(entry) if name == "execution_error"), None)
    if error is not None:
        return _node_failure(graph, error)
    if (entry.get("status") or {}).get("status_str") == "error":
        return JobError("job_failed", "The server says the job failed, not why.", "Look at the server's log.")
    return None


def rejection(graph: dict, body, node_errors: dict, partial: bool = False) -> JobError:
    """The error of a workflow that the server's validation refused, in part when ``partial``."""
    error = body.get("error") if isinstance(body, dict) else None
    error = error if isinstance(error, dict) else {"message": str(error or body)}
    lines = [line for node_id, report in node_errors.items() for line in _node_lines(graph, str(node_id), report)]
    if not lines:
        lines = [f"{error.get('message', '')} {error.get('details', '')}".strip()]
    head = "The server would skip part of the workflow" if partial else "The server refused the workflow"
    hint = "Correct these inputs, then run it again."
    if error.get("type") == "missing_node_type":
        hint = "Install the extension that has this node on the server and restart it."
    elif any("value_not_in_list" in line for line in lines):
        hint = "A file may be missing on the server, such as a model: add it there, or choose one of those listed."
    details = {"type": error.get("type", ""), "error": error, "node_errors": node_errors}
    return JobError("job_rejected", "\n  ".join([f"{head}:", *lines]) + "\n", hint, details)


def node_name(graph: dict, node_id: str) -> str:
    """How messages call a node: ``KSampler (node 7, "Sampler")``."""
    node = graph.get(node_id) or graph.get(node_id.split(":")[0].split(".")[0]) or {}
    class_type = node.get("class_type", "A node")
    title = (node.get("_meta") or {}).get("title") or ""
    return (
        f"{class_type} (node {node_id})" if title in ("", class_type) else f'{class_type} (node {node_id}, "{title}")'
    )


def _node_failure(graph: dict, error: dict) -> JobError:
    node_id = str(error.get("node_id", ""))
    kind, message = str(error.get("exception_type", "")), str(error.get("exception_message", "")).strip()
    trace = error.get("traceback") or []
    details = {
        "node_id": node_id,
        "node_type": error.get("node_type", ""),
        "title": ((graph.get(node_id) or {}).get("_meta") or {}).get("title", ""),
        "exception_type": kind,
        "exception_message": message,
        "traceback": trace if isinstance(trace, str) else "".join(map(str, trace)),
    }
    text = f"{node_name(graph, node_id)} failed: {kind}: {message}"
    return JobError("job_failed", text, _failure_hint(f"{kind} {message}".lower()), details)


def _failure_hint(text: str) -> str:
    if any(mark in text for mark in _DISK_MARKS):
        return DISK_HINT
    if any(mark in text for mark in _MEMORY_MARKS):
        return MEMORY_HINT
    if "permissionerror" in text or "read-only file system" in text:
        return ACCESS_HINT
    return "The traceback is in the error's details and in the server's log."


def _node_lines(graph: dict, node_id: str, report) -> list[str]:
    errors = report.get("errors") if isinstance(report, dict) else None
    if not isinstance(errors, list) or not errors:
        return [f"{node_name(graph, node_id)}: {report}"]
    return [_error_line(node_name(graph, node_id), error) for error in errors if isinstance(error, dict)]


def _error_line(name: str, error: dict) -> str:
    info = error.get("extra_info") if isinstance(error.get("extra_info"), dict) else {}
    where = f" {info['input_name']}:" if info.get("input_name") else ""
    details = str(error.get("details") or "")
    if len(details) > 400:  # value_not_in_list names every model of the server
        details = f"{details[:400]}..."
    text = f"{error.get('message', 'invalid')} {details}".strip()
    return f"{name}:{where} {text} [{error.get('type', 'unknown')}]"


def _is_file(item) -> bool:
    return isinstance(item, dict) and isinstance(item.get("filename"), str)


def _output(node_id: str, kind: str, item: dict) -> OutputFile:
    return OutputFile(node_id, kind, item["filename"], item.get("subfolder") or "", item.get("type") or "output")
