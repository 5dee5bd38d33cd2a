"""Rows for any workflow: each is what ``imageine run`` would do."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import running
from ..errors import WorkflowError
from ..workflow import Input, Workflow
from ..workflow.naming import slug
from ..workflow.values import parse_seed
from .tasks import COMMENT, MASK, NAME, RANDOM, Cell, Made, Reading, Task, is_random

if TYPE_CHECKING:
    from ..jobs import OnEvent, Output, Place

_SEED = "seed"
_RESULT = "result"
_LONGEST_PART = 24


class WorkflowTask(Task):
    """Runs ``workflow``. A column ``seed`` goes to every seed of a workflow that has no input of just that name."""

    def __init__(self, workflow: Workflow):
        super().__init__()
        self.workflow = workflow
        self.name = workflow.name
        content = workflow.ui if workflow.needs_definitions else workflow.graph()
        self.fingerprint = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
        self._forget()

    def _forget(self) -> None:
        self._variants.clear()
        self._columns: dict[str, Input | str] = {}
        self._inputs: dict[str, Input] = {} if self.workflow.needs_definitions else self.workflow.inputs

    def resolve(self, object_info: dict) -> None:
        self.workflow.resolve(object_info)
        self._forget()

    def unknown(self, column: str) -> str:
        found = self._find(column)
        return found.message if isinstance(found, WorkflowError) else ""

    def _find(self, column: str) -> "Input | str | WorkflowError":
        """The input that ``column`` sets, a text where it sets none, or the error that there is no such one."""
        if column not in self._columns:
            self._columns[column] = self._look_up(column)
        return self._columns[column]

    def _look_up(self, column: str) -> "Input | str | WorkflowError":
        try:
            return self.workflow.find(self._main_image() if column == "image" else column)
        except WorkflowError as error:
            if column == _SEED and any(entry.is_seed for entry in self._inputs.values()):
                return _SEED
            if column == NAME or column.startswith(COMMENT):
                return COMMENT
            hint = f" {error.hint}" if error.details.get("close") else f" {self._known()}"
            return WorkflowError(error.code, f"{error.message}{hint}", error.hint, error.details)

    def _main_image(self) -> str:
        """The input that a column ``image`` means: the one of that name, or the only one."""
        images = [entry.name for entry in self._inputs.values() if entry.kind == "image"]
        return images[0] if len(images) == 1 else "image"

    def _known(self) -> str:
        names = list(self._inputs)
        more = f" and {len(names) - 12} more" if len(names) > 12 else ""
        return f"It has {', '.join(names[:12])}{more}."

    def read(self, cells: Mapping[str, Cell]) -> Reading:
        reading = Reading()
        for column, cell in cells.items():
            entry = self._find(column)
            if entry == _SEED:
                self._read_value(reading, _SEED, column, lambda value=cell.value: _seed(_SEED, value))
            elif not isinstance(entry, Input):
                continue
            elif entry.kind in ("image", MASK):
                self._read_picture(reading, MASK if entry.kind == MASK else entry.name, column, cell)
            elif entry.is_seed:
                self._read_value(
                    reading, entry.name, column, lambda entry=entry, cell=cell: self._seed(entry, cell.value)
                )
            else:
                self._read_value(
                    reading, entry.name, column, lambda entry=entry, cell=cell: self.workflow.read(entry, cell.value)
                )
        self._check_mask(reading)
        values = [(self._inputs[name], value) for name, value in reading.settings.items() if name in self._inputs]
        self._remember(self.workflow, values, reading.pictures.keys() - {MASK})
        return reading

    def _seed(self, entry: Input, value: Any) -> Any:
        return RANDOM if is_random(value) else self.workflow.read(entry, value)

    def _check_mask(self, reading: Reading) -> None:
        """A mask goes with the photo of one image input: find out which here, as loading it would."""
        if MASK not in reading.pictures:
            return
        masked = [self.workflow.image_of(entry) for entry in self._inputs.values() if entry.kind == MASK]
        given = [name for name in masked if name in reading.pictures]
        if not given:
            reading.problems.append((MASK, f"A mask goes with a photo, and '{masked[0]}' was given none."))
        elif len(given) > 1:
            reading.problems.append((MASK, f"The mask may belong to {' or '.join(given)}."))

    def default_seed(self) -> Any:
        return next((entry.value for entry in self._inputs.values() if entry.is_seed), "")

    def perform(
        self,
        settings: Mapping[str, Any],
        pictures: Mapping[str, Path],
        place: "Place",
        tell: "OnEvent",
        timeout: float | None,
    ) -> Made:
        images = {name: path for name, path in pictures.items() if name != MASK}
        settings = dict(settings)
        seed = None if _SEED in self._inputs else settings.pop(_SEED, None)
        result = running.run(
            self.workflow,
            client=place,
            settings=settings,
            images=images,
            mask=pictures.get(MASK),
            seed=seed,
            on_event=tell,
            timeout=timeout,
        )
        return Made(_files(result.outputs), result.metadata["imageine"], result.notes, result.seconds)


def _seed(name: str, value: Any) -> Any:
    return RANDOM if is_random(value) else parse_seed(name, value)


def _files(outputs: "list[Output]") -> list[tuple[str, str, bytes]]:
    """The node titled Result goes first and has the job's own name; the others add their titles to it."""
    ordered = sorted(outputs, key=lambda output: output.title.casefold() != _RESULT)
    files = []
    for place, output in enumerate(ordered):
        part = f"-{slug(output.title)[:_LONGEST_PART] or place}" if place and output.title != ordered[0].title else ""
        files.append((part, Path(output.filename).suffix, output.data))
    return files
