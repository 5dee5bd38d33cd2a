"""The value of a workflow input: what kind it is, and how text from a command line is read as that kind."""

import json
import math
import secrets
from typing import Any

from ..errors import WorkflowError

# JavaScript, and so ComfyUI's editor, holds integers exactly only up to here: a larger random seed would come
# back changed when the finished picture is opened there.
_SEED_BITS = 53
_MAX_SEED = 2**64 - 1
_SWITCH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


_KINDS = {"BOOLEAN": "switch", "INT": "number", "FLOAT": "number", "STRING": "text"}


def kind_of(value: Any, declared: str = "") -> str:
    """``switch``, ``number``, ``text``, or ``data`` for what JSON calls an object, a list or null.

    Where there is no ``value`` yet, the ``declared`` ComfyUI type decides.
    """
    if value is None and declared in _KINDS:
        return _KINDS[declared]
    if isinstance(value, bool):
        return "switch"
    if isinstance(value, (int, float)):
        return "number"
    return "text" if isinstance(value, str) else "data"


def parse(name: str, present: Any, value: Any, declared: str = "") -> Any:
    """``value`` as the kind that ``present``, the input's present value, has, or its ``declared`` ComfyUI type.

    Whether a number may have a fraction or a text is among the choices, only the server's node definitions tell:
    ``precheck`` does.

    Raises ``WorkflowError`` ``workflow_input_value`` when ``value`` cannot be read so.
    """
    kind = kind_of(present, declared)
    if value is None:
        raise bad_value(name, value, "It needs a value.")
    if kind == "switch":
        answer = _SWITCH.get(str(value).strip().casefold())
        if answer is None:
            raise bad_value(name, value, "It is a switch.", "Use true or false.")
        return answer
    if kind == "number":
        return _number(name, present, value)
    if kind == "data" and isinstance(value, str):
        return _json(name, value)
    return value if kind == "data" else str(value)


def parse_seed(name: str, value: Any) -> int:
    """A seed: a whole number from 0 to 2^64 - 1; ``-1`` or ``"random"`` draws one below 2^53.

    Raises ``WorkflowError`` ``workflow_input_value``.
    """
    text = str(value).strip().casefold()
    if text in ("-1", "random"):
        return secrets.randbits(_SEED_BITS)
    if not text.isdecimal() or int(text) > _MAX_SEED:
        raise bad_value(name, value, "A seed is a whole number from 0 to 2^64 - 1.", "Use -1 for a random one.")
    return int(text)


def _number(name: str, present: float, value: Any) -> int | float:
    if not isinstance(value, bool):
        for read in (int, float):
            try:
                number = value if isinstance(value, (int, float)) else read(str(value).strip())
            except ValueError:
                continue
            if math.isfinite(number):
                return number
    raise bad_value(name, value, "It is a number.", f"At present it is {present}.")


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise bad_value(name, text, f"It is read as JSON: {error}.") from error


def bad_value(name: str, value: Any, why: str, hint: str = "") -> WorkflowError:
    """The error that ``value`` does not fit the input ``name``."""
    message = f"'{name}' cannot be {value!r}. {why}"
    return WorkflowError("workflow_input_value", message, hint, {"name": name, "value": repr(value)})
