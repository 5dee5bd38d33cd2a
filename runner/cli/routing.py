"""The command ``imageine route``: how a wish would be done, and why; and how often that is right."""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError
from .console import print_json, reporting

if TYPE_CHECKING:
    from ...nodes.algorithms.routing import Decision, TextEncoder
    from ..routing import Evaluation

_COLUMNS = {  # measure -> heading
    "pipeline": "pipeline",
    "controls": "controls",
    "category": "category",
    "target": "target",
    "use_reference": "reference",
    "whole_image": "whole",
    "edits": "edits",
}
_MOST_MISSES = 40


def route(
    prompt: Annotated[str | None, typer.Argument(help='What to change: "swap the sofa for two rattan chairs".')] = None,
    reference: Annotated[bool, typer.Option("--reference", help="A reference image is given.")] = False,
    batch: Annotated[
        str | None, typer.Option(metavar="FILE", help="Route each line of a JSON Lines file; - is standard input.")
    ] = None,
    evaluate: Annotated[bool, typer.Option("--evaluate", help="Measure the router on its labelled wishes.")] = False,
    part: Annotated[str, typer.Option(help="Which wishes to measure on: develop, held-out or all.")] = "develop",
    encoder: Annotated[
        str,
        typer.Option(
            help="Weighed against the rules: auto (minilm where it is installed), none, minilm or a folder with a CLIP."
        ),
    ] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON on stdout; for --batch one object a line.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks of errors.")] = False,
) -> None:
    """Decide how a wish is done: which pipeline, what to mask, what to paint, and why."""
    with reporting(as_json=as_json, debug=debug):
        if sum((prompt is not None, batch is not None, evaluate)) != 1:
            raise InputError(
                "option_invalid", "Give one of PROMPT, --batch and --evaluate.", "See `imageine route --help`."
            )
        if evaluate:
            _evaluate(part, encoder, as_json)
        elif batch is not None:
            _batch(batch, encoder, as_json)
        else:
            _print_decision(_route(prompt, reference, _encoder(encoder)), as_json)


def _encoder(name: str) -> "TextEncoder | None":
    if name == "none":
        return None
    try:
        from ...nodes.algorithms.routing.encoder import load_encoder

        return load_encoder(name)
    except ImportError as error:  # numpy, which the rules do without
        if name == "auto":
            return None
        message = f"The text encoder '{name}' needs a package that is not installed: {error}."
        raise InputError("option_invalid", message, "pip install 'imageine[router]', or use --encoder none.") from error
    except ValueError as error:
        raise InputError("option_invalid", str(error), "Or use --encoder none.") from error


def _route(prompt: str, reference: bool, encoder: "TextEncoder | None") -> "Decision":
    from ...nodes.algorithms.routing import has_word, route

    if not has_word(prompt):
        hint = 'Say what to change, such as "make the car blue".'
        raise InputError("prompt_empty", f"The wish {prompt!r} has no word in it.", hint)
    return route(prompt, reference=reference, encoder=encoder)


def _batch(source: str, encoder_name: str, as_json: bool) -> None:
    from ...nodes.algorithms.routing import has_word, no_edit
    from ..routing import read_batch

    encoder = _encoder(encoder_name)
    for prompt, reference in read_batch(source):
        decision = _route(prompt, reference, encoder) if has_word(prompt) else no_edit(prompt)
        if as_json:
            sys.stdout.write(json.dumps(decision.to_dict(), ensure_ascii=False) + "\n")
        else:
            print(
                "\t".join(
                    (decision.pipeline, ",".join(decision.controls) or "-", decision.target or "whole photo", prompt)
                )
            )
    sys.stdout.flush()


def _print_decision(decision: "Decision", as_json: bool) -> None:
    if as_json:
        print_json(decision.to_dict())
        return
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for number, edit in enumerate(decision.edits, 1):
        if len(decision.edits) > 1:
            table.add_row(f"Edit {number}", "")
        controls = f" with {' and '.join(edit.controls)}" if edit.controls else ""
        table.add_row("Pipeline", f"{edit.pipeline}{controls} ({edit.category})")
        table.add_row("Change", "the whole photo" if edit.whole_image else edit.target)
        table.add_row("Paint", edit.prompt)
        if edit.use_reference:
            table.add_row("Reference", "used")
        table.add_row("Confidence", f"{edit.confidence:.0%}")
        table.add_row("Why", " ".join(edit.reasons))
        if number < len(decision.edits):
            table.add_row("", "")
    _console().print(table, markup=False, highlight=False)


def _evaluate(part: str, encoder_name: str, as_json: bool) -> None:
    from ..routing import evaluate, load_wishes

    wishes = load_wishes(part)
    found = {"rules": evaluate(wishes)}
    encoder = _encoder(encoder_name)
    if encoder is not None:
        found["rules and encoder"] = evaluate(wishes, encoder=encoder)
    if as_json:
        print_json({"part": part, **{name.replace(" ", "_"): result.to_dict() for name, result in found.items()}})
        return
    for name, result in found.items():
        _print_evaluation(f"{name.capitalize()}, {part} wishes", result)


def _print_evaluation(title: str, result: "Evaluation") -> None:
    from rich.table import Table

    console, facts = _console(), result.to_dict()
    table = Table("", "wishes", *_COLUMNS.values(), title=title, title_justify="left", box=None, pad_edge=False)
    table.add_row("all", str(result.total), *(f"{result.accuracy(measure):.1%}" for measure in _COLUMNS))
    for kind, groups in facts["by"].items():
        table.add_row(f"by {kind}", style="dim")
        for name, shares in groups.items():
            table.add_row(f"  {name}", str(shares["wishes"]), *(f"{shares[measure]:.0%}" for measure in _COLUMNS))
    console.print(table, highlight=False)
    nonsense = facts["nonsense"]
    print(f"\nNothing to do, and said so: {nonsense['right']} of {nonsense['wishes']}.")
    print(f"{facts['microseconds_a_wish']} microseconds a wish.\n")
    for name, pairs in facts["confusion"].items():
        wrong = [pair for pair in pairs if pair["wanted"] != pair["got"]]
        for pair in wrong:
            print(f"{name} {pair['wanted']} taken for {pair['got']}: {pair['wishes']}")
    for miss in facts["misses"][:_MOST_MISSES]:
        print(_miss(miss))
    print()


def _miss(miss: dict[str, Any]) -> str:
    got = miss["got"] or {}
    wanted = miss.get("wanted", {})
    pairs = [
        f"{name} {got.get(name)!r}, not {wanted.get(name)!r}"
        for name in miss["wrong"]
        if name in wanted and name != "edits"
    ]
    if "edits" in miss["wrong"]:
        pairs.append(f"{len(got.get('edits', []))} edits, not {wanted['edits']}")
    return f"  {miss['prompt'][:100]!r}: {'; '.join(pairs) or 'confident about nothing'}"


def _console() -> Any:
    from rich.console import Console

    console = Console()
    # Piped into a file or another program, a line must not be wrapped.
    return console if console.is_terminal else Console(width=1000)
