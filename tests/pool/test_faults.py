"""Servers that die, hang and come back, each a real process: no job is lost, none falsely finished, and none runs twice
unless the server that had it truly lost it."""

import itertools
import time
from collections import Counter

import pytest
from imageine.runner import Client
from PIL import Image
from support.client_cases import error_of
from support.cutting_proxy import CuttingProxy
from support.fleet import graph
from support.pool_cases import once_each, queued, started, until, wait_all


def test_killed_before_execution(make_fleet, make_pool):
    """The job waits on the server behind another one: both go elsewhere, and only the one that ran runs again."""
    fleet = make_fleet(2)
    with make_pool(fleet.urls) as pool:
        held = [pool.submit(graph(value, "hold")) for value in (1, 2)]
        urls = [started(handle) for handle in held]
        waiting = [pool.submit(graph(value)) for value in (3, 4)]
        for handle in waiting:
            queued(handle)
        fleet.at(urls[0]).kill()
        fleet.at(urls[1]).release()
        wait_all(held + waiting)
    assert fleet.counts("start") == once_each([1, 2, 3, 4]) + Counter([1])
    assert fleet.counts("end") == once_each([1, 2, 3, 4])


def test_killed_during_execution(make_fleet, make_pool, figures):
    fleet = make_fleet(3, "--seconds", "0.02")
    with make_pool(fleet.urls) as pool:
        held = pool.submit(graph(0, "hold"), priority=1)
        victim = fleet.at(started(held))
        others = [pool.submit(graph(value)) for value in range(1, 31)]
        victim.kill()
        until(pool, lambda states: any(held.id in state.jobs and state.url != victim.url for state in states))
        for server in fleet:
            if server is not victim:
                server.release()
        wait_all([held, *others])
        assert held.attempts == 2
    ends, starts = fleet.counts("end"), fleet.counts("start")
    twice = sum(starts.values()) - len(starts)
    figures(f"pool, kill -9 of one of 3 servers in mid-job: lost {31 - len(ends)}, run twice {twice} of 31")
    assert ends == once_each(range(31))
    assert starts == once_each(range(31)) + Counter([0])


def test_killed_after_execution_and_before_the_files_are_fetched(make_fleet, make_pool, monkeypatch):
    """The result is known, its file gone with the server: run once more, elsewhere, and not called finished before."""
    fleet = make_fleet(2)
    with make_pool(fleet.urls) as pool:
        killed = []
        fetch = Client.fetch

        def fetch_from_the_dead(client, output):
            if not killed:
                killed.append(client.url)
                fleet.at(client.url).kill()
            return fetch(client, output)

        monkeypatch.setattr(Client, "fetch", fetch_from_the_dead)
        handle = pool.submit(graph(1))
        assert handle.wait(30).outputs[0].data
    assert handle.server != killed[0]
    assert fleet.counts("end") == Counter({1: 2})


def test_restarted_with_an_empty_queue(make_fleet, make_pool):
    fleet = make_fleet(1)
    with make_pool(fleet.urls, grace=30) as pool:
        held, waiting = pool.submit(graph(1, "hold")), pool.submit(graph(2))
        started(held)
        queued(waiting)
        fleet[0].kill()
        fleet[0].start()
        started(held)
        fleet[0].release()
        wait_all([held, waiting])
    assert fleet.counts("start") == Counter({1: 2, 2: 1})
    assert fleet.counts("end") == once_each([1, 2])


def test_restarted_with_its_history(make_fleet, make_pool, tmp_path):
    """The job ended while nobody could see it: its result is found again, and nothing runs twice."""
    fleet = make_fleet(2, each=(("--keep", str(tmp_path / "kept.json")), ()))
    with CuttingProxy(int(fleet[0].url.rpartition(":")[2])) as proxy, make_pool([proxy.url], grace=60) as pool:
        handle = pool.submit(graph(1, "hold"))
        started(handle)
        proxy.refuse()
        fleet[0].release()
        while not fleet[0].runs("end"):
            pass
        fleet[0].kill()
        fleet[0].start()
        proxy.accept()
        handle.wait(30)
    assert fleet.counts("start") == once_each([1])


def test_found_again_after_the_pool_gave_the_server_up(make_fleet, make_pool):
    """The network is away for longer than ``grace``: with nowhere else to go, the job is found where it was."""
    fleet = make_fleet(1)
    with CuttingProxy(int(fleet[0].url.rpartition(":")[2])) as proxy, make_pool([proxy.url], grace=0.1) as pool:
        handle = pool.submit(graph(1, "hold"))
        started(handle)
        proxy.refuse()
        until(pool, lambda states: not states[0].jobs)
        proxy.accept()
        until(pool, lambda states: bool(states[0].jobs))
        fleet[0].release()
        handle.wait(30)
        assert handle.attempts == 2
    assert fleet.counts("start") == once_each([1])


def test_a_job_sent_elsewhere_is_stopped_where_it_was(make_fleet, make_pool):
    """The server was only out of reach: its copy of the job is cancelled when it is back."""
    fleet = make_fleet(2)
    with CuttingProxy(int(fleet[0].url.rpartition(":")[2])) as proxy, make_pool([proxy.url], grace=0.1) as pool:
        handle = pool.submit(graph(1, "hold"))
        started(handle)
        proxy.refuse()
        pool.add(fleet[1].url)
        started(handle)
        assert handle.server == fleet[1].url
        proxy.accept()
        until(pool, lambda states: states[0].state == "half-open")
        fleet[1].release()
        handle.wait(30)
        pool.submit(graph(2)).wait(30)
        pool.submit(graph(3)).wait(30)
    assert 1 not in fleet[0].runs("end")
    assert fleet.counts("end") == once_each([1, 2, 3])


def test_a_zombie_is_noticed(make_fleet, make_pool):
    """Its HTTP side answers, its worker is dead: what it has goes elsewhere; nothing comes until it is restarted."""
    fleet = make_fleet(2)
    with make_pool(fleet.urls, stalled_after=0.5) as pool:
        stuck = pool.submit(graph(0, "stick"))
        zombie = fleet.at(started(stuck))
        others = [pool.submit(graph(value)) for value in range(1, 11)]
        error = error_of(stuck.wait, 60)
        assert error.code == "job_poison"  # the other server's worker died of it too
        until(pool, lambda states: all(state.state == "open" for state in states))
        assert "restart" in pool.servers()[0].reason
        for server in fleet:
            server.kill()
            server.start()
        wait_all(others)
        assert zombie.runs("start")[0] == 0
    assert fleet.counts("start")[0] == 2
    assert fleet.counts("end") == once_each(range(1, 11))


def test_poison_is_set_aside(make_fleet, make_pool, figures):
    """It kills two servers, and not a third; all other jobs are done."""
    fleet = make_fleet(3)
    with make_pool(fleet.urls) as pool:
        poison = pool.submit(graph(99, "die"), priority=1)
        others = [pool.submit(graph(value)) for value in range(20)]
        error = error_of(poison.wait, 60)
        assert error.code == "job_poison"
        assert error.details["losses"] == 2
        wait_all(others)
        assert sum(state.state == "open" for state in pool.servers()) == 2
    lost = 20 - len(fleet.counts("end"))
    figures(f"pool, poison: killed {fleet.counts('start')[99]} of 3 servers, other jobs lost {lost} of 20")
    assert fleet.counts("start")[99] == 2
    assert set(fleet.counts("end")) == set(range(20))
    assert sum(fleet.counts("end").values()) <= 20 + 2  # again only what had ended unseen on a server as it died


@pytest.mark.parametrize("path", ["/prompt", "/upload"])
@pytest.mark.parametrize("fault", [403, 500, "reset", "lost"])
def test_a_request_that_fails_costs_no_job_and_no_second_run(make_fleet, make_pool, path, fault):
    fleet = make_fleet(2)
    workflow = graph(1)
    workflow["2"] = {"class_type": "LoadImage", "inputs": {"image": "x.png"}}
    workflow["9"]["inputs"]["images"] = ["2", 0]
    workflow["10"] = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "y"}}
    fleet[0].fail("POST", path, fault)
    with make_pool(fleet.urls) as pool:
        handle = pool.submit(workflow, images={"2.image": Image.new("RGB", (8, 8))})
        assert handle.wait(30).outputs
        assert handle.server == fleet[fault in (403, 500)].url
    assert fleet.counts("start") == once_each([1])


def test_the_wall_clock_may_jump(make_fleet, make_pool, monkeypatch):
    """By years, both ways, while jobs run and a server is away."""
    fleet = make_fleet(2)
    jumps = itertools.cycle([0.0, 4e9, 1e9])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    with make_pool(fleet.urls) as pool:
        held = pool.submit(graph(0, "hold"))
        victim = fleet.at(started(held))
        others = [pool.submit(graph(value)) for value in range(1, 11)]
        victim.kill()
        until(pool, lambda states: any(held.id in state.jobs and state.url != victim.url for state in states))
        next(server for server in fleet if server is not victim).release()
        wait_all([held, *others])
    assert set(fleet.counts("end")) == set(range(11))


def test_a_server_with_a_full_disk_does_not_swallow_the_queue(make_fleet, make_pool):
    fleet = make_fleet(2)
    with make_pool(fleet.urls) as pool:
        error = error_of(pool.submit(graph(1, "full_disk")).wait, 30)
        assert error.code == "job_failed"
        assert "disk is full" in error.hint
    assert fleet.counts("start") == Counter({1: 2})
    assert all(server.runs() == [1] for server in fleet)


def test_all_servers_down_and_never_back(make_fleet, make_pool):
    fleet = make_fleet(1)
    with make_pool(fleet.urls, patience=0.3) as pool:
        held = pool.submit(graph(1, "hold"))
        started(held)
        fleet[0].kill()
        error = error_of(held.wait, 30)
        assert error.code == "pool_down"
        assert fleet[0].url in error.message


def test_no_server_at_all(make_pool):
    error = error_of(make_pool(["http://127.0.0.1:1", "http://127.0.0.1:2"]).__enter__)
    assert error.code == "pool_down"
    assert set(error.details["servers"]) == {"http://127.0.0.1:1", "http://127.0.0.1:2"}
