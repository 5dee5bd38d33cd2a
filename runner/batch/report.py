"""The report of a batch: one HTML file that needs nothing else to be read, no script, no address."""

import base64
import html
import os
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..pictures import output_files
from . import thumbnails
from .summary import DONE, FAILED, LEFT, SKIPPED, BatchResult, Outcome, paths

NAME = "report.html"
_MOST_EMBEDDED = 1000  # jobs whose thumbnails are in the page itself; of more it would be too large to open
_WORDS = {DONE: "done", SKIPPED: "done", FAILED: "failed", LEFT: "not run"}
_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1e; --faint: #6e6e73; --line: #d2d2d7; --paper: #fff; --card: #f5f5f7;
  --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #f2f2f7; --faint: #a1a1a6; --line: #3a3a3c; --paper: #111113;
  --card: #1c1c1e; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 32px 24px 64px; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { margin: 0 0 4px; font-size: 26px; overflow-wrap: anywhere; }
h2 { margin: 36px 0 12px; font-size: 19px; }
p.facts { margin: 0; color: var(--faint); }
.jobs { display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 20px; }
article { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px; min-width: 0; }
article h3 { margin: 0 0 10px; font-size: 15px; overflow-wrap: anywhere; }
article h3 small { float: right; margin-left: 8px; color: var(--faint); font-weight: normal; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 8px; }
.pair.one { grid-template-columns: 1fr; }
figure { margin: 0; min-width: 0; }
figure img, figure .none { display: block; width: 100%; height: 180px; object-fit: contain; }
figure .none { color: var(--faint); text-align: center; line-height: 180px; background: var(--paper); }
figcaption { color: var(--faint); font-size: 12px; padding-top: 2px; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 2px 12px; margin: 12px 0 0;
  font-size: 13px; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; white-space: pre-line; }
.files { margin: 10px 0 0; font-size: 13px; overflow-wrap: anywhere; }
.failed { border-color: var(--bad); }
.error, .hint { margin: 0 0 8px; overflow-wrap: anywhere; white-space: pre-line; }
.error { color: var(--bad); }
a { color: inherit; }
"""


def write_report(result: BatchResult) -> Path:
    """Write the report into the batch's folder. Raises ``InputError`` ``output_unwritable``."""
    path = result.folder / NAME
    output_files.write(path, _page(result).encode("utf-8", "replace"))
    return path


def _page(result: BatchResult) -> str:
    embed = len(result.outcomes) <= _MOST_EMBEDDED
    failed = [outcome for outcome in result.outcomes if outcome.state == FAILED]
    others = [outcome for outcome in result.outcomes if outcome.state != FAILED]
    title = f"{result.name}: {len(result.outcomes)} jobs"
    sections = [
        f"<h2>{heading}</h2><div class=jobs>{''.join(_job(result.folder, outcome, embed) for outcome in group)}</div>"
        for heading, group in ((f"Failed ({len(failed)})", failed), ("Results", others))
        if group
    ]
    policy = "default-src 'none'; img-src data: file: 'self'; style-src 'unsafe-inline'"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}</style></head><body>\n<h1>{_text(result.name)}</h1>\n<p class=facts>{_facts(result)}</p>\n"
        + "\n".join(sections)
        + "\n</body></html>\n"
    )


def _facts(result: BatchResult) -> str:
    words = Counter(_WORDS[outcome.state] for outcome in result.outcomes)
    counts = [f"{words[word]} {word}" for word in dict.fromkeys(_WORDS.values()) if words[word]]
    links = [_link(result.folder, path, path.name) for path in (*result.sheets, result.failures) if path]
    return " · ".join([_text(f"{len(result.outcomes)} jobs: {', '.join(counts)}"), *links])


def _job(folder: Path, outcome: Outcome, embed: bool) -> str:
    job = outcome.job
    seconds = f", {outcome.seconds:.1f} s" if outcome.seconds is not None else ""
    head = f"<h3><small>row {job.row.number}, {_WORDS[outcome.state]}{seconds}</small>{_text(job.label)}</h3>"
    error = _error(outcome) if outcome.error else ""
    files = " · ".join(_link(folder, folder / path, path) for path in paths(outcome))
    parts = [
        head,
        error,
        _pair(folder, outcome, embed),
        _settings(outcome),
        f"<p class=files>{files}</p>" if files else "",
    ]
    kind = " class=failed" if outcome.state == FAILED else ""
    return f"<article{kind}>{''.join(parts)}</article>\n"


def _error(outcome: Outcome) -> str:
    error = outcome.error
    hint = f"<p class=hint>{_text(error.hint)}</p>" if error.hint else ""
    return f"<p class=error>{_text(error.message.strip())} ({_text(error.code)})</p>{hint}"


def _pair(folder: Path, outcome: Outcome, embed: bool) -> str:
    """The photo and the result side by side, each leading to its file."""
    entry = outcome.entry
    if entry is None or not entry.outputs:
        return ""
    figures = []
    if small := thumbnails.before(folder, outcome.job, entry):
        photo = outcome.job.pictures[thumbnails.photo_of(outcome.job)]
        figures.append(_figure(folder, small, photo, "before", embed))
    output = thumbnails.picture(entry)
    if output and (small := thumbnails.after(folder, entry)):
        figures.append(_figure(folder, small, folder / output["path"], "after" if figures else "result", embed))
    return f'<div class="pair{" one" if len(figures) == 1 else ""}">{"".join(figures)}</div>'


def _figure(folder: Path, small: Path, file: Path, caption: str, embed: bool) -> str:
    try:
        data = small.read_bytes()
        source = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}" if embed else _address(folder, small)
        picture = f'<img alt="{_text(caption)}" loading="lazy" src="{source}">'
    except OSError:
        picture = "<span class=none>no thumbnail</span>"
    target = _address(folder, file)
    picture = f'<a href="{target}">{picture}</a>' if target else picture
    return f"<figure>{picture}<figcaption>{_text(caption)}</figcaption></figure>"


def _settings(outcome: Outcome) -> str:
    settings: dict[str, Any] = {**outcome.job.written, **outcome.settings}
    notes = outcome.entry.record.get("notes", []) if outcome.entry else []
    rows = [*settings.items(), *(("note", note) for note in notes)]
    return f"<dl>{''.join(f'<dt>{_text(name)}</dt><dd>{_text(value)}</dd>' for name, value in rows)}</dl>"


def _link(folder: Path, path: Path, text: str) -> str:
    address = _address(folder, path)
    return f'<a href="{address}">{_text(text)}</a>' if address else _text(text)


def _address(folder: Path, path: Path) -> str:
    """``path`` as a link relative to the report; empty where there is none, such as to another drive."""
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:
        return ""
    # "./" and the quoted colon keep a file's name from being read as a scheme or a host.
    return _text(f"./{quote(Path(relative).as_posix().encode('utf-8', 'surrogateescape'))}")


def _text(value: Any) -> str:
    return html.escape(str(value), quote=True)
