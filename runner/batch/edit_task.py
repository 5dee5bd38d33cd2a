"""Rows with a wish each: what ``imageine edit`` would do, the router deciding row by row."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import editing, planning
from ..errors import ImageineError, WorkflowError
from ..workflow import Input, Workflow
from ..workflow.values import parse_seed
from .tasks import COMMENT, MASK, NAME, RANDOM, Cell, Made, Reading, Task, guess, is_random, require_text

if TYPE_CHECKING:
    from ...nodes.algorithms.routing import Decision
    from ..jobs import OnEvent, Place

EDIT = "edit"
_PHOTO, _WISH, _REFERENCE, _PIPELINE, _SEED = "image", "wish", "reference", "pipeline", "seed"
_ALIASES = {"photo": _PHOTO}
_PICTURES = (_PHOTO, MASK, _REFERENCE)
_OPTIONS = ("target", "negative", "steps", "guidance")
_OWN = (*_PICTURES, _WISH, _PIPELINE, _SEED, *_OPTIONS)
_SHIPPED = (
    "Simple Edit",
    "Simple Edit with Reference",
    "Complex Edit",
    "Virtual Try-On",
    "Replace Object",
    "Restyle Room",
)


class EditTask(Task):
    """Edits photos; every column that is none of its own sets the input of that name in the workflow that is chosen."""

    name = EDIT

    def __init__(self, suffix: str):
        super().__init__()
        self.fingerprint = f"{EDIT}{suffix}"
        self._suffix = suffix
        self._definitions: dict | None = None
        self._workflow = cache(self._load)
        self._decide = cache(_decide)
        self._find = cache(self._look_up)
        self._images = cache(self._image_inputs)

    def _load(self, name: str) -> Workflow:
        workflow = Workflow.load(name)
        if self._definitions is not None:
            workflow.resolve(self._definitions)
        return workflow

    def resolve(self, object_info: dict) -> None:
        self._definitions = object_info
        self._workflow.cache_clear()
        self._find.cache_clear()
        self._images.cache_clear()
        self._variants.clear()

    def unknown(self, column: str) -> str:
        if column in (*_OWN, *_ALIASES, NAME) or column.startswith(COMMENT):
            return ""
        if any(not isinstance(self._find(name, column), WorkflowError) for name in _SHIPPED):
            return ""
        known = {*_OWN, *(name for shipped in _SHIPPED for name in self._workflow(shipped).inputs)}
        close = guess(column, sorted(known)) or f" It has {', '.join(_OWN)}."
        return f"An edit has no input '{column}'.{close}"

    def _image_inputs(self, workflow: str) -> list[str]:
        return [name for name, entry in self._workflow(workflow).inputs.items() if entry.kind == "image"]

    def _look_up(self, workflow: str, column: str) -> Any:
        try:
            return self._workflow(workflow).find(column)
        except WorkflowError as error:
            return error

    def read(self, cells: Mapping[str, Cell]) -> Reading:
        reading = Reading()
        for column, cell in cells.items():
            name = _ALIASES.get(column, column)
            if name in _PICTURES:
                self._read_picture(reading, name, column, cell)
            elif name == _SEED:
                self._read_value(reading, _SEED, column, lambda value=cell.value: _seed(value))
            elif name != NAME and not name.startswith(COMMENT):
                own = name in (_WISH, _PIPELINE)
                self._read_value(
                    reading,
                    name,
                    column,
                    lambda own=own, name=name, value=cell.value: require_text(name, value) if own else value,
                )
        reading.settings.setdefault(_SEED, RANDOM)
        missing = [what for what in (_PHOTO, _WISH) if what not in {*reading.pictures, *reading.settings}]
        told = {column for column, _ in reading.problems}
        reading.problems += [(what, f"It has no '{what}'.") for what in missing if not told & {what, *_ALIASES}]
        if not reading.problems:
            self._check(reading)
        return reading

    def _check(self, reading: Reading) -> None:
        """What the router's choice makes wrong."""
        settings = reading.settings
        try:
            decision = self._decide(
                settings[_WISH], settings.get(_PIPELINE, planning.AUTO), _REFERENCE in reading.pictures
            )
        except ImageineError as error:
            reading.problems.append((_WISH, f"{error.message} {error.hint}".strip()))
            return
        named = next((name for name in (MASK, "target") if name in {*reading.pictures, *settings}), "")
        if len(decision.edits) > 1 and named:
            message = f"The wish asks for {len(decision.edits)} edits, and a {named} is for one."
            reading.problems.append((named, message))
        others = {name: value for name, value in settings.items() if name not in (_WISH, _PIPELINE, _SEED)}
        for edit in decision.edits:
            workflow = planning.workflow_for(edit)
            values = [self._check_value(reading, workflow, name, value) for name, value in others.items()]
            self._remember(self._workflow(workflow), [pair for pair in values if pair], self._images(workflow))

    def _check_value(self, reading: Reading, workflow: str, name: str, value: Any) -> "tuple[Input, Any] | None":
        """The input and what it is set to; None where that is a problem of ``reading``."""
        entry = self._find(workflow, name)
        try:
            if isinstance(entry, WorkflowError):
                raise entry
            parsed = self._workflow(workflow).read(entry, value)
            if not entry.is_seed:
                reading.settings[name] = parsed
            return entry, parsed
        except WorkflowError as error:
            reading.problems.append((name, f"{error.message} {error.hint}".strip()))
            return None

    def default_seed(self) -> Any:
        return RANDOM

    def perform(
        self,
        settings: Mapping[str, Any],
        pictures: Mapping[str, Path],
        place: "Place",
        tell: "OnEvent",
        timeout: float | None,
    ) -> Made:
        own = {name: settings[name] for name in (*_OPTIONS, _SEED, _PIPELINE) if name in settings}
        result = editing.edit(
            pictures[_PHOTO],
            settings[_WISH],
            client=place,
            reference=pictures.get(_REFERENCE),
            mask=pictures.get(MASK),
            settings={name: value for name, value in settings.items() if name not in _OWN},
            on_event=tell,
            timeout=timeout,
            **own,
        )
        data, notes = result.encode(self._suffix)
        return Made([("", self._suffix, data)], result.metadata["imageine"], [*result.notes, *notes], result.seconds)


def _decide(wish: str, pipeline: str, reference: bool) -> "Decision":
    # The encoder takes milliseconds for each wish, and what is checked here hardly depends on it.
    return planning.decide(wish, pipeline=pipeline, reference=reference, by_rules=True)


def _seed(value: Any) -> Any:
    return RANDOM if is_random(value) else parse_seed(_SEED, value)
