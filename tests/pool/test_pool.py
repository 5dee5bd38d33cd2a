"""A pool of healthy servers, each a real process: who gets which job, in what order, and what is refused."""

import json
from collections import Counter

import pytest
from imageine.runner import Pool, edit, run
from imageine.runner.cli import app
from imageine.runner.client.events import Finished, Message
from PIL import Image
from support.client_cases import error_of
from support.edit_server import EditServer
from support.fleet import graph
from support.pool_cases import started, until
from typer.testing import CliRunner


def test_the_work_is_shared(make_fleet, make_pool, figures):
    fleet = make_fleet(3, "--seconds", "0.05")
    with make_pool(fleet.urls) as pool:
        handles = [pool.submit(graph(value)) for value in range(30)]
        for handle in handles:
            assert handle.wait(60).outputs[0].data
        assert [state.done for state in pool.servers()] == [len(server.runs("end")) for server in fleet]
    shares = sorted(len(server.runs()) for server in fleet)
    figures(f"pool, 30 equal jobs over 3 servers: {shares}")
    assert fleet.counts("start") == Counter(dict.fromkeys(range(30), 1))
    assert shares[0] >= 5


def test_events_end_with_the_files(make_fleet, make_pool):
    fleet = make_fleet(2)
    with make_pool(fleet.urls) as pool:
        handle = pool.submit(graph())
        events = list(handle.events(30))
        assert handle.state == "done"
        assert handle.result.outputs
    assert events[0] == Message(f"Using the ComfyUI at {handle.server}.")
    assert events[-1] == Finished()
    assert sum(isinstance(event, Finished) for event in events) == 1


def test_no_more_than_depth_on_a_server_and_priorities_decide(make_fleet, make_pool):
    fleet = make_fleet(1)
    with make_pool(fleet.urls) as pool:
        first = pool.submit(graph(0, "hold"))
        started(first)
        rest = [pool.submit(graph(1))]
        until(pool, lambda states: len(states[0].jobs) == 2)
        rest += [pool.submit(graph(value), priority=value % 3) for value in range(2, 10)]
        assert fleet[0].told()["taken"] <= 2
        urgent = pool.submit(graph(10), priority=9)
        fleet[0].release()
        for handle in [first, *rest, urgent]:
            handle.wait(30)
    assert fleet[0].runs() == [0, 1, 10, 2, 5, 8, 4, 7, 3, 6, 9]


def test_a_job_goes_only_where_its_models_are(make_fleet, make_pool):
    fleet = make_fleet(2, each=(("--models", "a.safetensors"), ("--models", "b.safetensors")))
    with make_pool(fleet.urls) as pool:
        models = ["a.safetensors", "b.safetensors"] * 5
        for handle in [pool.submit(graph(number, model=model)) for number, model in enumerate(models)]:
            handle.wait(30)
    assert set(fleet[0].runs()) == {0, 2, 4, 6, 8}
    assert set(fleet[1].runs()) == {1, 3, 5, 7, 9}


def test_what_no_server_has_is_told_for_each(make_fleet, make_pool):
    fleet = make_fleet(3, each=(("--models", "a.safetensors"), ("--lacks", "Work"), ("--models", "a.safetensors")))
    with make_pool(fleet.urls) as pool:
        error = error_of(pool.submit(graph(model="c.safetensors")).wait, 30)
        assert error.code == "workflow_unfit"
        first, second, third = fleet.urls
        assert (
            f"{first}, {third}:\n    - Node 1 (Work): no model 'c.safetensors' in models/checkpoints." in error.message
        )
        assert f"{second}:\n    - Node 1: the server has no node class 'Work'" in error.message
        assert set(error.details["problems"]) == set(fleet.urls)
        assert error_of(run, graph(model="c.safetensors"), client=pool).code == "workflow_unfit"
    assert not fleet.counts()


def test_warm_models_draw_jobs(make_fleet, make_pool, figures):
    """Two kinds of jobs in turn over two servers: nearly always each server keeps to the kind it has loaded."""
    fleet = make_fleet(2, "--seconds", "0.03")
    with make_pool(fleet.urls) as pool:
        jobs = [{"workflow": graph(n, model=("a", "b")[n % 2] + ".safetensors")} for n in range(40)]
        assert len([handle.wait(30) for handle in pool.map(jobs)]) == 40
    switches = 0
    for server in fleet:
        kinds = [value % 2 for value in server.runs()]
        switches += sum(a != b for a, b in zip(kinds, kinds[1:], strict=False))
    figures(f"pool, two models in turn over 2 servers: {switches} of 38 jobs changed the model of their server")
    assert fleet.counts("end") == Counter(dict.fromkeys(range(40), 1))
    assert switches <= 19


def with_photo(value: int, mode: str = "plain") -> dict:
    workflow = graph(value, mode)
    workflow["2"] = {"class_type": "LoadImage", "inputs": {"image": "x.png"}}
    workflow["9"]["inputs"]["images"] = ["2", 0]
    workflow["10"] = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "y"}}
    return workflow


def test_pictures_go_to_the_server_that_was_chosen_and_to_the_next(make_fleet, make_pool):
    fleet = make_fleet(2)
    photo = Image.new("RGB", (8, 8))
    with make_pool(fleet.urls) as pool:
        handle = pool.submit(with_photo(1, "hold"), images={"2.image": photo})
        first = fleet.at(started(handle))
        second = next(server for server in fleet if server is not first)
        assert any(name.startswith("input/imageine") for name in first.told()["files"])
        assert not any(name.startswith("input") for name in second.told()["files"])
        first.kill()
        second.release()
        handle.wait(30)
        assert any(name.startswith("input/imageine") for name in second.told()["files"])


def test_a_picture_too_large_for_one_server_goes_to_another(make_fleet, make_pool):
    fleet = make_fleet(2, each=(("--max-size", "4096"), ()))
    photo = Image.effect_noise((64, 64), 90).convert("RGB")
    with make_pool(fleet.urls) as pool:
        for value in range(4):
            pool.submit(with_photo(value), images={"2.image": photo}).wait(30)
        assert all(state.state == "closed" for state in pool.servers())
    assert fleet[1].runs() == [0, 1, 2, 3]


def test_map_yields_failures_too(make_fleet, make_pool):
    fleet = make_fleet(2)
    jobs = [{"workflow": graph(value), "tag": value} for value in range(30)]
    jobs[3]["workflow"] = {"1": "no node"}
    jobs[4]["settings"] = {"nothing": 1}
    jobs[5]["workflow"] = graph(5, model="missing.safetensors")
    with make_pool(fleet.urls) as pool:
        states = {handle.tag: (handle.state, getattr(handle.error, "code", "")) for handle in pool.map(jobs)}
    bad = {3: "workflow_format", 4: "workflow_input_unknown", 5: "workflow_unfit"}
    assert states == {n: ("failed", bad[n]) if n in bad else ("done", "") for n in range(30)}


def test_the_same_id_twice_is_one_job(make_fleet, make_pool):
    fleet = make_fleet(2)
    prompt_id = "0f8fad5b-d9cb-469f-a165-70867728950e"
    with make_pool(fleet.urls) as pool:
        first = pool.submit(graph(1, "hold"), prompt_id=prompt_id)
        assert pool.submit(graph(1, "hold"), prompt_id=prompt_id) is first
        for server in fleet:
            server.release()
        first.wait(30)
        again = pool.submit(graph(1, "hold"), prompt_id=prompt_id)  # it has ended: found in a server's history
        assert again.wait(30).outputs
    assert fleet.counts("start") == Counter([1])


def test_drain_lets_jobs_end_and_takes_no_more(make_fleet, make_pool):
    fleet = make_fleet(2)
    with make_pool(fleet.urls) as pool:
        held = [pool.submit(graph(value, "hold")) for value in (0, 1)]
        drained = fleet.at(started(held[0]))
        assert not pool.drain(drained.url, timeout=0)
        later = [pool.submit(graph(value)) for value in range(2, 8)]
        for server in fleet:
            server.release()
        assert pool.drain(drained.url)
        for handle in held + later:
            handle.wait(30)
        assert drained.runs() == [0]
        pool.add(drained.url)
        assert not any(state.draining for state in pool.servers())


def test_servers_come_and_go(make_fleet, make_pool):
    """The job of a removed server is stopped there and done elsewhere."""
    fleet = make_fleet(2)
    with make_pool(fleet.urls[0]) as pool:
        handle = pool.submit(graph(1, "hold"))
        started(handle)
        pool.add({"url": fleet[1].url, "weight": 2})
        pool.remove(fleet[0].url)
        assert started(handle) == fleet[1].url
        fleet[1].release()
        handle.wait(30)
        assert [state.url for state in pool.servers()] == [fleet[1].url]
        assert error_of(pool.drain, fleet[0].url).code == "option_invalid"
    assert fleet.counts("end") == Counter([1])


def test_a_pool_without_servers_refuses(make_fleet, make_pool):
    fleet = make_fleet(1)
    with make_pool(fleet.urls) as pool:
        pool.remove(fleet[0].url)
        assert error_of(pool.submit(graph()).wait, 30).code == "pool_down"


def test_a_breaker_opens_and_closes(make_fleet, make_pool):
    """By a clock of ours: the pause has to pass, then one job tries the server, then it is in use again."""
    now = [0.0]
    fleet = make_fleet(1)
    with make_pool(fleet.urls, pauses=(10, 40), patience=1000, clock=lambda: now[0]) as pool:

        def state_is(state):
            until(pool, lambda states: states[0].state == state)

        fleet[0].kill()
        handles = [pool.submit(graph(value, "hold")) for value in range(3)]
        state_is("open")
        fleet[0].start()
        assert all(handle.state in ("queued", "placed") for handle in handles)
        assert not fleet[0].runs()
        now[0] += 10
        started(handles[0])
        (server,) = pool.servers()
        assert (server.state, len(server.jobs)) == ("half-open", 1)
        fleet[0].release()
        for handle in handles:
            handle.wait(30)
        state_is("closed")
    assert fleet.counts("start") == Counter(range(3))


def test_run_gives_up_in_time(make_fleet, make_pool):
    fleet = make_fleet(1)
    with make_pool(fleet.urls) as pool:
        error = error_of(pool.run, graph(1, "hold"), timeout=0.5)
        assert error.code == "job_timeout"
        assert "was cancelled" in error.message
        assert error_of(pool.submit(graph(2, "hold"), timeout=0.5).wait, 30).code == "job_timeout"
    assert not fleet.counts("end")


def test_an_edit_runs_on_a_pool():
    """Two edits in one wish, the second on the result of the first, wherever each was done."""
    photo = Image.linear_gradient("L").resize((20, 10)).convert("RGB")
    with EditServer() as first, EditServer() as second:
        result = edit(photo, "make the car blue and remove the lamp", server=[first.url, second.url], seed=5)
        assert result.image.getpixel((3, 3)) == (255, 0, 0)
        assert result.metadata["imageine"]["edits"] == 2
        assert len(first.jobs) + len(second.jobs) == 2


def test_outside_its_context_it_says_so(make_pool):
    with pytest.raises(RuntimeError, match="inside its context"):
        Pool("http://127.0.0.1:1").submit(graph())


def test_the_command_line_takes_several_servers(make_fleet, tmp_path, monkeypatch):
    fleet = make_fleet(2)
    workflow, listed = tmp_path / "workflow.json", tmp_path / "servers.json"
    workflow.write_text(json.dumps(graph(1)), encoding="utf-8")
    listed.write_text(json.dumps({"servers": fleet.urls}), encoding="utf-8")
    monkeypatch.delenv("IMAGEINE_SERVER", raising=False)

    def imageine(*options):
        return CliRunner().invoke(app, ["run", str(workflow), "-o", str(tmp_path / "out"), *map(str, options)])

    several = [text for url in fleet.urls for text in ("--server", url)]
    for options in (several, ["--servers", listed], ["--server", ",".join(fleet.urls)]):
        result = imageine(*options)
        assert result.exit_code == 0, result.stderr
        assert "2 of 2 servers answer." in result.stderr
    fleet[0].kill()
    monkeypatch.setenv("IMAGEINE_SERVER", ", ".join(fleet.urls))
    result = imageine()
    assert result.exit_code == 0, result.stderr
    assert f"Not used: {fleet[0].url}." in result.stderr
    assert f"Using the ComfyUI at {fleet[1].url}." in result.stderr
    for options in ([*several, "--servers", listed], [*several, "--comfyui", tmp_path]):
        assert imageine(*options).exit_code == 2
