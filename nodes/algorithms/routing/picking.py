"""One edit of a decision, picked and put into words: what Route Edit gives, wherever it runs."""

from .decision import SURE, WHOLE_IMAGE_DENOISE, Decision, Edit

AUTO = "auto"


def is_sure(decision: Decision) -> bool:
    """Whether no text encoder has to be asked."""
    return all(edit.confidence >= SURE for edit in decision.edits)


def pick(decision: Decision, number: int, override: str = AUTO) -> Edit:
    """Edit ``number``, counted from 1, by the pipeline ``override`` unless that is "auto".

    Raises ``ValueError`` when there are fewer edits.
    """
    if number > len(decision.edits):
        prompts = "; ".join(one.prompt for one in decision.edits)
        raise ValueError(f"Edit is {number}, but this wish has {len(decision.edits)}: {prompts}. Lower Edit.")
    chosen = decision.edits[number - 1]
    return chosen if override == AUTO else chosen.forced(override)


def denoise(edit: Edit) -> float:
    """Without a mask and a control, nothing else would keep the photo."""
    return WHOLE_IMAGE_DENOISE if edit.whole_image and not edit.controls else 1.0


def headline(edit: Edit, number: int, decision: Decision) -> str:
    """The decision in one line: Complex with pose and reference: mask "T-shirt", paint "blouse" (clothes, 93% sure)."""
    count = f"Edit {number} of {len(decision.edits)}: " if len(decision.edits) > 1 else ""
    means = [*edit.controls, *(["reference"] if edit.use_reference else [])]
    how = f"{edit.pipeline} with {' and '.join(means)}" if means else edit.pipeline
    where = "the whole photo" if edit.whole_image else f'mask "{edit.target}"'
    what = f'{where}, paint "{edit.prompt}" ({edit.category}, {edit.confidence:.0%} sure).'
    return f"{count}{how[0].upper()}{how[1:]}: {what}"


def wordless(prompt: str) -> str:
    """What to say of a prompt without a word."""
    return f"The prompt has no word in it ({prompt[:40]!r}). Say what to change, for instance: make the car blue."
