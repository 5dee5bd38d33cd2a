"""The headless runner: Imageine's workflows over ComfyUI's API.

>>> from imageine.runner import edit
>>> edit("street.jpg", "make the car blue").save("out.png")
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .batch import BatchResult as BatchResult
    from .batch import run_batch as run_batch
    from .client import Client as Client
    from .client import Job as Job
    from .client import JobResult as JobResult
    from .client import OutputFile as OutputFile
    from .client import ServerInfo as ServerInfo
    from .doctor import Check as Check
    from .doctor import Diagnosis as Diagnosis
    from .doctor import diagnose as diagnose
    from .editing import EditResult as EditResult
    from .editing import edit as edit
    from .errors import ImageineError as ImageineError
    from .errors import InputError as InputError
    from .errors import JobCancelled as JobCancelled
    from .errors import JobError as JobError
    from .errors import ModelError as ModelError
    from .errors import ServerError as ServerError
    from .errors import WorkflowError as WorkflowError
    from .jobs import RunResult as RunResult
    from .pool import Handle as Handle
    from .pool import Pool as Pool
    from .running import run as run
    from .workflow import Workflow as Workflow

_EXPORTS = {
    "BatchResult": ".batch",
    "Check": ".doctor",
    "Client": ".client",
    "Diagnosis": ".doctor",
    "EditResult": ".editing",
    "Handle": ".pool",
    "ImageineError": ".errors",
    "InputError": ".errors",
    "Job": ".client",
    "JobCancelled": ".errors",
    "JobError": ".errors",
    "JobResult": ".client",
    "ModelError": ".errors",
    "OutputFile": ".client",
    "Pool": ".pool",
    "RunResult": ".jobs",
    "ServerError": ".errors",
    "ServerInfo": ".client",
    "Workflow": ".workflow",
    "WorkflowError": ".errors",
    "diagnose": ".doctor",
    "edit": ".editing",
    "run": ".running",
    "run_batch": ".batch",
}

__all__ = list(_EXPORTS)


def __getattr__(name: str) -> Any:
    """Import an exported name's module when the name is first used: ``imageine --help`` needs none of them."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name], __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
