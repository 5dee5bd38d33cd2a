"""Whole batches against a server: what is run, skipped, tried again, written, and never written over."""

import asyncio
import csv
import json
import os
import threading

import pytest
from imageine.runner import Client, Pool, errors, run_batch
from imageine.runner.batch import JobEnded, Planned
from imageine.runner.batch.manifest import NAME, Manifest
from imageine.runner.pictures import metadata
from PIL import Image
from support import ui_files
from support.edit_server import DATA, EditServer, hang, paint

SMALL = str(DATA / "small_edit.json")


@pytest.fixture
def photos(make_photos):
    return make_photos("a.png", "b.png", "c.png")


@pytest.fixture
def batch(server, photos, tmp_path):
    """Call it with the options of ``run_batch``: Small Edit of the photos, into ``out``."""

    def run(workflow=SMALL, **options):
        return run_batch(workflow, tmp_path / "out", **({"table": photos, "server": server.url} | options))

    return run


def counts(result) -> dict:
    found = {state: result.count(state) for state in ("done", "skipped", "failed", "left")}
    return {state: count for state, count in found.items() if count}


def names(folder) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


async def fail(server, job):
    problem = {"node_id": "7", "exception_type": "ValueError", "exception_message": "no", "traceback": []}
    server.finish(job, {}, "error", [["execution_error", problem]])


def failing(*numbers):
    """A script by which the jobs of these numbers, counted from 1, fail."""

    async def script(server, job):
        await (fail if job.number + 1 in numbers else paint)(server, job)

    return script


def test_a_folder_of_pictures(batch, server, tmp_path):
    events = []
    result = batch(settings={"prompt": "red hat", "steps": 2}, on_event=events.append)
    assert counts(result) == {"done": 3} and result.is_complete
    assert names(tmp_path / "out") == ["0001-a.png", "0002-b.png", "0003-c.png"]
    assert [job.graph["2"]["inputs"]["value"] for job in server.jobs] == ["red hat"] * 3
    assert {server.uploaded(index).size for index in range(3)} == {(20, 10), (21, 10), (22, 10)}
    assert [event for event in events if isinstance(event, Planned)] == [Planned(3, 0)]
    assert sum(isinstance(event, JobEnded) for event in events) == 3


def test_done_jobs_are_skipped_and_nothing_is_asked_of_a_server(batch, server):
    batch()
    before = len(server.requests)
    assert counts(batch()) == {"skipped": 3}
    assert len(server.requests) == before
    assert counts(batch(again=True)) == {"done": 3}
    assert len(server.jobs) == 6


def test_what_changed_runs_again_and_replaces_its_result(batch, server, photos, tmp_path):
    table = tmp_path / "jobs.csv"
    table.write_text("image,prompt\nphotos/a.png,x\nphotos/b.png,x\nphotos/c.png,x\n")
    batch(table=table)
    table.write_text("image,prompt\nphotos/a.png,x\nphotos/b.png,other\nphotos/c.png,x\n")
    Image.new("RGB", (20, 10), "blue").save(photos / "c.png")
    assert counts(batch(table=table)) == {"skipped": 1, "done": 2}
    assert names(tmp_path / "out") == ["0001-a.png", "0002-b.png", "0003-c.png"]
    assert Image.open(tmp_path / "out" / "0003-c.png").getpixel((15, 8)) == (0, 0, 255)
    assert len(server.jobs) == 5


def test_a_row_put_first_runs_alone_and_writes_over_nothing(batch, server, tmp_path):
    table = tmp_path / "jobs.csv"
    table.write_text("image\nphotos/a.png\nphotos/b.png\n")
    batch(table=table)
    table.write_text("image\nphotos/c.png\nphotos/a.png\nphotos/b.png\n")
    assert counts(batch(table=table)) == {"skipped": 2, "done": 1}
    assert names(tmp_path / "out") == ["0001-a.png", "0001-c.png", "0002-b.png"]


def test_a_photo_copied_anew_is_the_same_photo(batch, server, photos):
    batch()
    os.utime(photos / "a.png", (1, 1))
    assert counts(batch()) == {"skipped": 3}


@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_a_damaged_result_is_made_again(batch, server, tmp_path, damage):
    batch()
    path = tmp_path / "out" / "0002-b.png"
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-1] if damage == "cut" else data[:-1] + b"?")
    assert counts(batch()) == {"skipped": 2, "done": 1}
    assert (path if damage == "gone" else path.with_name("0002-b-2.png")).stat().st_size > 100


def test_files_of_others_are_kept(batch, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "0001-a.png").write_bytes(b"somebody's")
    batch()
    assert (out / "0001-a.png").read_bytes() == b"somebody's"
    assert names(out) == ["0001-a-2.png", "0001-a.png", "0002-b.png", "0003-c.png"]
    other = tmp_path / "other.csv"
    other.write_text("image\nphotos/b.png\n")
    batch(table=other, settings={"prompt": "another"}, name="0002-b")
    assert names(out)[2:4] == ["0002-b-2.png", "0002-b.png"]
    assert counts(batch()) == {"skipped": 3}


def test_failures_are_listed_and_tried_by_the_next_run(batch, server, tmp_path):
    table = tmp_path / "jobs.csv"
    table.write_text("image,name\nphotos/a.png,first\nphotos/b.png,=cmd()\n")
    server.script = failing(1, 2)
    result = batch(table=table)
    assert counts(result) == {"failed": 2} and not result.is_complete
    with result.failures.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["row"], row["line"], row["code"]) for row in rows] == [
        ("1", "2", "job_failed"),
        ("2", "3", "job_failed"),
    ]
    assert rows[1]["name"] == "'=cmd()" and "ValueError: no" in rows[0]["message"]
    server.script = paint
    result = batch(table=table)
    assert counts(result) == {"done": 2} and result.failures is None
    assert not (tmp_path / "out" / "failures.csv").exists()


def test_retries(batch, server):
    server.script = failing(1, 2)
    assert counts(batch(retries=2)) == {"done": 3}
    assert len(server.jobs) == 5


def test_a_refused_job_is_not_tried_again(batch, server):
    server.prompt_answer = (400, {"error": {"type": "x", "message": "bad"}, "node_errors": {}})
    assert counts(batch(retries=3)) == {"failed": 3}
    assert server.count("POST", "/prompt") == 3


def test_stop_on_error(batch, server):
    server.script = fail
    result = batch(stop_on_error=True, sweeps={"seed": [1, 2, 3]})
    assert 1 <= result.count("failed") <= 2  # two are under way at a time
    assert result.count("failed") + result.count("left") == 9
    server.script = paint
    assert batch().is_complete


def test_an_unreadable_picture_fails_alone(batch, server, photos):
    (photos / "b.png").write_bytes(b"\x89PNG broken")
    result = batch()
    assert counts(result) == {"done": 2, "failed": 1}
    assert [outcome.error.code for outcome in result.outcomes if outcome.error] == ["image_unreadable"]


def test_a_server_that_is_gone_ends_the_batch_and_the_next_run_goes_on(batch, server):
    with pytest.raises(errors.ServerError) as caught:
        batch(server="127.0.0.1:1")
    assert caught.value.code == "server_unreachable"
    assert counts(batch()) == {"done": 3}


def test_a_job_that_times_out_is_cancelled(batch, server):
    server.script = hang
    result = batch(timeout=0.2)
    assert [outcome.error.code for outcome in result.outcomes] == ["job_timeout"] * 3
    assert {job.phase for job in server.jobs} == {"done"}


def test_wishes(batch, server, tmp_path):
    table = tmp_path / "wishes.jsonl"
    rows = [
        {"image": "photos/a.png", "wish": "make the car blue", "seed": 7},
        {"photo": "photos/b.png", "wish": "make the car blue and remove the lamp"},
    ]
    table.write_text("\n".join(map(json.dumps, rows)))
    result = batch("edit", table=table, name="{wish}.webp")
    assert counts(result) == {"done": 2}
    assert len(server.jobs) == 3
    own = metadata.read(tmp_path / "out" / "make the car blue.webp")["imageine"]
    assert (own["wish"], own["seed"], own["prompt"]) == ("make the car blue", 7, "blue car")
    assert isinstance(result.outcomes[1].entry.record["seed"], int)
    assert counts(batch("edit", table=table, name="{wish}.webp")) == {"skipped": 2}


def test_a_drawn_seed_is_in_the_name_and_in_the_picture(batch, tmp_path):
    result = batch("edit", settings={"wish": "blue car"}, name="{row}-{seed}")
    for outcome in result.outcomes:
        seed = outcome.entry.record["seed"]
        path = tmp_path / "out" / f"{outcome.job.row.number:04}-{seed}.png"
        assert metadata.read(path)["imageine"]["seed"] == seed
    assert len({outcome.entry.record["seed"] for outcome in result.outcomes}) == 3


def test_results_named_like_what_the_batch_itself_writes(batch, tmp_path):
    result = batch("edit", settings={"wish": "contact-sheet-1"}, name="{wish}.jpg")
    assert [outcome.entry.outputs[0]["path"] for outcome in result.outcomes].count("contact-sheet-1.jpg") == 0
    assert counts(batch("edit", settings={"wish": "contact-sheet-1"}, name="{wish}.jpg")) == {"skipped": 3}
    result = batch(settings={"prompt": "report.html"}, name="{prompt}/{prompt}")
    assert result.report.is_file() and (tmp_path / "out" / "report_html" / "report.html.png").is_file()


def test_masks_and_the_painted_alpha(batch, server, photos, tmp_path):
    Image.new("L", (20, 10), 255).save(photos / "m.png")
    table = tmp_path / "jobs.csv"
    table.write_text("image,mask\nphotos/a.png,photos/m.png\n")
    assert batch(table=table).is_complete
    assert server.uploaded().mode == "RGBA"


def test_a_workflow_in_the_editors_own_format(batch, server, tmp_path):
    """Its inputs are known only once a server has told its nodes; then it is as any other."""

    async def draw(server, job):
        server.finish(job, server.save(job, Image.new("RGB", (8, 8))))

    server.script, server.object_info = draw, ui_files.recorded()["object_info"]
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(ui_files.workflows()["plain"]))
    settings = {"steps": "3", "checkpoint": "sd-v1-5-inpainting.safetensors"}  # the file has one that is not there
    options = {"table": None, "settings": settings, "sweeps": {"seed": [1, 2]}}
    with pytest.raises(errors.InputError, match="Did you mean 'steps'"):
        batch(path, table=None, settings={"stesp": 3})
    with pytest.raises(errors.InputError, match="The most is"):
        batch(path, table=None, settings={"steps": 10**9})
    assert not (tmp_path / "out").exists()
    with pytest.raises(errors.WorkflowError, match="no model 'a.safetensors'"):
        batch(path, table=None)
    assert not server.jobs
    assert counts(batch(path, **options)) == {"done": 2}
    inputs = [node["inputs"] for job in server.jobs for node in job.graph.values() if "seed" in node["inputs"]]
    assert sorted((values["seed"], values["steps"]) for values in inputs) == [(1, 3), (2, 3)]
    assert counts(batch(path, **options)) == {"skipped": 2}


def test_a_missing_node_is_said_before_the_first_job(batch, server):
    server.object_info = {name: info for name, info in server.object_info.items() if name != "InpaintModelConditioning"}
    with pytest.raises(errors.WorkflowError) as caught:
        batch()
    assert caught.value.code == "workflow_unfit"
    assert not server.jobs and not server.count("POST", "/upload")


def test_a_pool_of_servers(batch, server):
    with EditServer() as second:
        both = threading.Barrier(2)

        async def meet(this, job):
            """Neither server ends its first job before the other has one."""
            if job.number == 0:
                await asyncio.to_thread(both.wait, 30)
            await paint(this, job)

        server.script = second.script = meet
        with Pool([server.url, second.url]) as pool:
            assert counts(batch(server=None, client=pool, sweeps={"seed": [1, 2]})) == {"done": 6}
        assert len(server.jobs) + len(second.jobs) == 6
        assert not both.broken


def test_a_client_of_ones_own(batch, server):
    with Client(server.url) as client:
        assert counts(batch(server=None, client=client)) == {"done": 3}


def test_two_batches_in_one_folder(batch, tmp_path):
    (tmp_path / "out").mkdir()
    with Manifest(tmp_path / "out"), pytest.raises(errors.InputError) as caught:
        batch()
    assert caught.value.code == "batch_busy"
    assert batch().is_complete


@pytest.mark.parametrize("tail", [b'{"event": "done", "jo', b"\xff\xfe\0", b"[]\n", b'{"event": "done"}\n', b"\n\n"])
def test_a_damaged_manifest_loses_no_other_line(batch, server, tmp_path, tail):
    batch()
    path = tmp_path / "out" / NAME
    path.write_bytes(path.read_bytes() + tail)
    assert counts(batch(sweeps={"seed": [0]})) == {"done": 3}
    assert counts(batch()) == {"skipped": 3}
    assert counts(batch(sweeps={"seed": [0]})) == {"skipped": 3}
