"""Every error the runner raises, as one tree.

    ImageineError
    ├── InputError          the photo, the wish, an option or the output path      exit 2
    ├── WorkflowError       the workflow file, or what it asks of the server       exit 3
    ├── ServerError         the ComfyUI server cannot be used                      exit 4
    ├── JobError            the server took the job and did not finish it          exit 5
    ├── ModelError          model files                                            exit 6
    └── JobCancelled        the user stopped it                                    exit 130

``code`` is stable: programs may match on it. Every code is listed in ``CODES`` with its meaning, and a test
holds that every code raised is listed and every code listed is raised.
"""

CODES = {
    "image_missing": "The input image does not exist or is not a file.",
    "image_unreadable": "The input file is not an image, or is truncated.",
    "prompt_empty": "The prompt has no word in it.",
    "batch_unreadable": "The file of wishes cannot be read.",
    "batch_line": "A line of the file of wishes is not what it should be.",
    "table_unreadable": "The table of a batch cannot be read, or is empty.",
    "table_invalid": "Rows or columns of a batch's table are wrong.",
    "batch_busy": "Another batch works in the same output folder.",
    "output_unwritable": "The output path cannot be written.",
    "option_invalid": "A command-line option or argument has an unusable value.",
    "workflow_missing": "No workflow file of that name.",
    "workflow_not_json": "The workflow file is not JSON.",
    "workflow_format": "The JSON is no workflow, or one that takes a server's node definitions to read.",
    "workflow_broken": "The UI-format workflow cannot be converted: links, ids or subgraphs are wrong.",
    "workflow_input_unknown": "The workflow has no input of that name.",
    "workflow_input_value": "A value does not fit the workflow's input.",
    "workflow_unfit": "The server cannot run the workflow: nodes, models or values are missing or wrong.",
    "server_unreachable": "Nothing answers at the server's address.",
    "server_not_comfyui": "Something answers there, but it is not ComfyUI.",
    "server_lost": "The server went away while a job was running.",
    "server_refused": "The server answered a request with an error.",
    "pool_down": "No server of the pool can be used.",
    "server_start": "A ComfyUI could not be started.",
    "comfyui_missing": "No ComfyUI was found on this machine.",
    "setup_failed": "A ComfyUI could not be installed, or this extension not put into it.",
    "job_rejected": "The server refused the workflow, whole or in part.",
    "job_failed": "A node raised an error.",
    "job_lost": "The server no longer knows the job.",
    "job_stalled": "The server is up, but its worker no longer makes progress.",
    "job_poison": "The job was running each time a server died, and is set aside.",
    "job_timeout": "The job did not finish in the time allowed.",
    "job_interrupted": "Somebody else cancelled the job on the server.",
    "job_cancelled": "The user cancelled the job.",
    "output_missing": "The job finished, but an output cannot be fetched, or there is none.",
    "model_unknown": "The manifest has no such model.",
    "model_offline": "A model file could not be downloaded.",
    "model_corrupt": "A model file is incomplete or its checksum is wrong.",
    "model_gated": "The hub gives a model only to accounts that accepted its terms.",
    "model_unwritable": "A models folder cannot be written.",
    "model_disk_full": "Not enough free disk space for the models.",
    "engine_missing": "Without ComfyUI, packages are missing that an edit needs.",
}


class ImageineError(Exception):
    """Base of all errors of the runner.

    ``code`` is one of ``CODES``; ``message`` says what failed and the value seen; ``hint`` is the next step, or
    empty. ``details`` is JSON-serialisable and depends on the code.
    """

    exit_code = 1

    def __init__(self, code: str, message: str, hint: str = "", details: dict | None = None):
        super().__init__(f"{message} {hint}".strip())
        self.code = code
        self.message = message
        self.hint = hint
        self.details = details or {}

    def __reduce__(self):
        # An exception is pickled by its args, which here are the sentence and not what made it.
        return type(self), (self.code, self.message, self.hint, self.details)

    def as_dict(self) -> dict:
        """The error as ``--json`` prints it."""
        return {"code": self.code, "message": self.message, "hint": self.hint, "details": self.details}


class InputError(ImageineError):
    exit_code = 2


class WorkflowError(ImageineError):
    exit_code = 3


class ServerError(ImageineError):
    exit_code = 4


class JobError(ImageineError):
    exit_code = 5


class ModelError(ImageineError):
    exit_code = 6


class JobCancelled(ImageineError):
    exit_code = 130
