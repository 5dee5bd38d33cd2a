"""Queue a workflow on the server exactly once."""

import contextlib
import copy
import json
import time
import uuid

from ..errors import ImageineError, InputError, ServerError, WorkflowError
from .job_api import UNKNOWN, JobApi
from .outcome import rejection
from .transport import Refused, Transport, Unreachable

SETTLE_SECONDS = 2.0  # how long a job whose POST got no answer may take to show in the queue
CANCEL_SECONDS = 5.0


def normalise(graph: dict) -> dict:
    """A copy of an API-format graph in which every node has ``inputs`` and ``_meta``.

    A node without ``inputs`` that no output needs passes the server's validation and then kills its only worker
    thread: that job "runs" for ever and all later ones wait. Raises ``WorkflowError`` (workflow_format).
    """
    if not isinstance(graph, dict) or not graph:
        raise WorkflowError(
            "workflow_format", "There is no node in the workflow.", "Export it with File > Export (API)."
        )
    result = {}
    for node_id, node in graph.items():
        if not isinstance(node, dict) or not isinstance(node.get("class_type"), str):
            message = f"'{node_id}' of the workflow is not a node: it has no class_type."
            raise WorkflowError("workflow_format", message, "Remove it, or export the workflow again (API).")
        node = copy.deepcopy(node)
        for key in ("inputs", "_meta"):
            if not isinstance(node.get(key), dict):
                node[key] = {}
        node["_meta"].setdefault("title", node["class_type"])
        result[str(node_id)] = node
    return result


def canonical(prompt_id: str) -> str:
    """``prompt_id`` if the server accepts it as a job's id. Raises ``InputError`` (option_invalid)."""
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        if str(uuid.UUID(prompt_id)) == prompt_id:
            return prompt_id
    message = f"{prompt_id!r} is not a job id."
    raise InputError("option_invalid", message, "It must be a UUID in lowercase with hyphens, like str(uuid.uuid4()).")


def body(graph: dict, prompt_id: str, client_id: str, ui_workflow: dict | None, previews: bool, front: bool) -> bytes:
    """The JSON of POST /prompt. Raises ``WorkflowError`` for a value that is not JSON, NaN included."""
    # The method is per job: without it the server's own setting applies, which may send previews nobody wants.
    extra: dict = {"preview_method": "auto" if previews else "none"}
    if isinstance(ui_workflow, dict):  # anything else makes the server's list of jobs fail from then on
        extra["extra_pnginfo"] = {"workflow": ui_workflow}
    content = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id, "extra_data": extra}
    if front:
        content["front"] = True
    try:
        return json.dumps(content, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        message = f"The workflow holds a value that JSON cannot: {error}."
        raise WorkflowError("workflow_input_value", message, "Use numbers, text, true or false.") from error


def post(transport: Transport, jobs: JobApi, graph: dict, content: bytes, prompt_id: str) -> dict:
    """POST /prompt and return the server's answer; empty when the answer was lost but the job has arrived.

    Raises ``JobError`` (job_rejected) when validation fails, ``ServerError`` otherwise.
    """
    try:
        for last in (False, True):
            try:
                return _post_once(transport, graph, content)
            except Unreachable as error:
                # An id that arrives twice runs twice: look before sending again.
                if not error.sent:
                    raise
                if _has_arrived(jobs, prompt_id):
                    return {}
                if last or error.timed_out:
                    raise
    except KeyboardInterrupt:
        with contextlib.suppress(ImageineError):  # it may be queued, and nobody else knows its id
            jobs.cancel(prompt_id, timeout=CANCEL_SECONDS)
        raise
    raise AssertionError("the loop returns or raises")


def _post_once(transport: Transport, graph: dict, content: bytes) -> dict:
    headers = {"Content-Type": "application/json"}
    try:
        with transport.sure_session() as session:
            answer = transport.send("POST", "/prompt", data=content, headers=headers, session=session).json()
    except Refused as error:
        if error.status != 400:
            raise
        node_errors = error.body.get("node_errors") if isinstance(error.body, dict) else None
        raise rejection(graph, error.body, node_errors or {}) from error
    except ValueError as error:
        message = f"{transport.address.base} answered POST /prompt with something that is not JSON."
        raise ServerError("server_refused", message, "Is a proxy or a login page in front of ComfyUI?") from error
    return answer if isinstance(answer, dict) else {}


def _has_arrived(jobs: JobApi, prompt_id: str) -> bool:
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        with contextlib.suppress(Unreachable):
            if jobs.state(prompt_id).phase != UNKNOWN:
                return True
        if time.monotonic() >= until:
            return False
        time.sleep(0.1)
