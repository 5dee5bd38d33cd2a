"""All that can be wrong is said before the first job, with rows and closest matches; nothing is loaded for it."""

import json

import pytest
from imageine.runner import errors, run_batch
from imageine.runner.batch.edit_task import EditTask
from imageine.runner.batch.jobs import name_jobs, plan_jobs
from imageine.runner.batch.table import Row
from imageine.runner.batch.workflow_task import WorkflowTask
from imageine.runner.pictures import photos
from imageine.runner.workflow import Workflow
from support.edit_server import DATA

SMALL = str(DATA / "small_edit.json")


def plan(rows, *, task=None, sweeps=None, fixed=None, folder=None):
    rows = [Row(number, values, folder or DATA, number + 1) for number, values in enumerate(rows, 1)]
    return plan_jobs(task or WorkflowTask(Workflow.load(SMALL)), "jobs.csv", rows, sweeps or {}, fixed or {})


def problems(*arguments, **options) -> list[dict]:
    with pytest.raises(errors.InputError) as caught:
        plan(*arguments, **options)
    assert caught.value.code == "table_invalid"
    return caught.value.details["problems"]


def test_rows_columns_and_sweeps(make_photos):
    folder = make_photos("a.png", "b.png")
    rows = [{"image": "a.png", "prompt": "x"}, {"image": "b.png", "steps": "9", "name": "second", "#note": "mine"}]
    jobs = plan(
        rows, folder=folder, sweeps={"seed": [1, 2], "7.cfg": ["5", "7.5"]}, fixed={"prompt": "y", "steps": "4"}
    )
    assert len(jobs) == 8
    assert jobs[1].settings == {"prompt": "x", "steps": 4, "seed": 1, "guidance": 7.5}
    assert jobs[7].settings == {"prompt": "y", "steps": 9, "seed": 2, "guidance": 7.5}
    assert jobs[7].pictures == {"image": folder / "b.png"}
    assert (jobs[0].label, jobs[7].label) == ("a", "second")
    assert len({job.identity for job in jobs}) == 8


def test_all_problems_at_once(make_photos):
    folder = make_photos("street.png")
    rows = [
        {"image": "street.png", "promt": "x"},
        {"image": "stret.png", "steps": "many"},
        {"image": 7, "seed": "-2", "promt": "y"},
        {"mask": "street.png"},
    ]
    found = [(entry["row"], entry["column"], entry["message"]) for entry in problems(rows, folder=folder)]
    assert [entry[:2] for entry in found] == [
        (1, "promt"), (2, "image"), (2, "steps"), (3, "image"), (3, "seed"), (4, "mask")
    ]  # fmt: skip
    assert "Column 'promt' (row 1, 3)" in found[0][2] and "Did you mean 'prompt'?" in found[0][2]
    assert "Row 2 (line 3)" in found[1][2] and "Did you mean 'street.png'?" in found[1][2]
    assert "goes with a photo" in found[5][2]


def test_a_cell_beside_a_sweep_and_two_columns_for_one_input(make_photos):
    folder = make_photos("a.png")
    assert "swept" in problems([{"seed": "1"}], sweeps={"seed": [1]})[0]["message"]
    assert "twice" in problems([{"7.cfg": "1", "guidance": "2"}], folder=folder)[0]["message"]


def test_ranges_and_choices_where_the_server_is_known():
    task = WorkflowTask(Workflow.load(SMALL))
    task.resolve(json.loads((DATA / "object_info.json").read_text(encoding="utf-8")))
    found = problems([{"sampler": "eulr", "steps": "0"}], task=task)
    assert "'euler'" in found[0]["message"] and "the least is 1" in found[1]["message"].casefold()


def test_a_thousand_rows_are_planned_without_opening_a_picture(make_photos, monkeypatch):
    """And without looking a thousand times for what is alike where nothing is right."""
    monkeypatch.setattr(photos, "_decode", None)
    monkeypatch.setattr(Workflow, "load", load := CountedLoads(Workflow.load))
    folder = make_photos(*(f"{number}.png" for number in range(1000)))
    rows = [{"image": f"{number}.png", "prompt": f"car {number}", "seed": number} for number in range(1000)]
    jobs = plan(rows, folder=folder)
    name_jobs(WorkflowTask(Workflow.load(SMALL)), jobs, "", "batch")
    assert (len(jobs), jobs[999].stem) == (1000, "1000-999")
    wishes = [{"image": row["image"], "wish": f"make the car {row['prompt']}"} for row in rows]
    assert len(plan(wishes, task=EditTask(".png"), folder=folder)) == 1000
    assert load.calls < 10
    assert len(problems([{"image": f"x{number}.png"} for number in range(1000)], folder=folder)) == 1000


class CountedLoads:
    def __init__(self, load):
        self.load, self.calls = load, 0

    def __call__(self, source):
        self.calls += 1
        return self.load(source)


def test_the_same_cells_are_the_same_job_wherever_they_stand(make_photos):
    folder = make_photos("a.png")
    one, two = {"image": "a.png", "steps": "4"}, {"steps": 4, "image": "a.png", "prompt": "x"}
    before = [job.identity for job in plan([one, two, one], folder=folder)]
    after = [job.identity for job in plan([two, {"prompt": "new"}, one, one], folder=folder)]
    assert len(set(before)) == 3
    assert set(before) < set(after)


def test_random_seeds_stay_in_one_batch_and_differ_in_the_next(make_photos):
    job = plan([{"image": "a.png", "seed": "random"}], folder=make_photos("a.png"))[0]
    assert job.draw("one") == job.draw("one") != job.draw("two")
    assert 0 <= job.draw("one")["seed"] < 2**53


def test_names(make_photos):
    folder = make_photos("Street.png", "street.jpg")
    rows = [{"image": "Street.png", "prompt": "a/b"}, {"image": "street.jpg", "prompt": "a/b"}]
    jobs = plan(rows, folder=folder, sweeps={"seed": [5]})
    task = WorkflowTask(Workflow.load(SMALL))
    for template, stems in {
        "": ["0001-Street-seed5", "0002-street-seed5"],
        "{prompt}": ["a_b", "a_b-2"],
        "{prompt}/{image}-{seed}": ["a_b/Street-5", "a_b/street-5-2"],
    }.items():
        name_jobs(task, jobs, template, "")
        assert [job.stem for job in jobs] == stems


EDIT = {"image": "a.png", "wish": "make the car blue"}


def test_an_edit_is_routed_row_by_row(make_photos):
    task = EditTask(".png")
    rows = [EDIT, {"photo": "a.png", "wish": "put her in a red dress", "use_pose": "false"}]
    jobs = plan(rows, task=task, folder=make_photos("a.png"))
    assert [job.settings["seed"] for job in jobs] == ["random", "random"]
    assert [name for name, *_ in task._variants] == ["Simple Edit", "Complex Edit"]
    assert jobs[1].settings["use_pose"] is False


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        ({"wish": "x"}, "image", "no 'image'"),
        ({"image": "a.png"}, "wish", "no 'wish'"),
        (EDIT | {"wish": "..."}, "wish", "no word"),
        (EDIT | {"pipeline": "fast"}, "wish", "no pipeline 'fast'"),
        (EDIT | {"guidence": "7"}, "guidence", "Did you mean 'guidance'?"),
        (EDIT | {"steps": "x"}, "steps", "number"),
        (EDIT | {"use_depth": "yes"}, "use_depth", "no input 'use_depth'"),
        (EDIT | {"reference": "none.png"}, "reference", "does not exist"),
        (EDIT | {"wish": "make the car blue and remove the lamp", "mask": "a.png"}, "mask", "2 edits"),
    ],
)
def test_edits_that_cannot_be(make_photos, row, column, words):
    found = problems([row], task=EditTask(".png"), folder=make_photos("a.png"))
    assert [entry["column"] for entry in found] == [column]
    assert words in found[0]["message"]


def test_nothing_is_sent_or_written_for_a_bad_table(server, make_photos, tmp_path):
    table = tmp_path / "jobs.csv"
    table.write_text("image,prompt\nphotos/a.png,x\nphotos/b.png,x\n")
    make_photos("a.png")
    with pytest.raises(errors.InputError, match="Did you mean 'a.png'") as caught:
        run_batch(SMALL, tmp_path / "out", table=table, server=server.url)
    assert caught.value.details["problems"][0]["row"] == 2
    assert not server.requests and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"name": "{row}.png"}, "option_invalid"),
        ({"name": "{rwo}"}, "option_invalid"),
        ({"retries": -1}, "option_invalid"),
        ({"sweeps": ["sed=1..3"]}, "table_invalid"),
        ({"settings": {"sed": 1}}, "table_invalid"),
        ({"table": []}, "table_unreadable"),
    ],
)
def test_bad_options(tmp_path, options, code):
    with pytest.raises(errors.InputError) as caught:
        run_batch(SMALL, tmp_path / "out", **options)
    assert caught.value.code == code


def test_results_must_not_become_inputs(make_photos):
    folder = make_photos("a.png")
    with pytest.raises(errors.InputError, match="results must not become inputs"):
        run_batch(SMALL, folder, table=folder)
