"""What a pool's own side does to its jobs: it is killed and comes back, shares servers, cancels, leaves."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from imageine.runner.errors import ImageineError, JobCancelled
from support.client_cases import error_of
from support.fleet import graph
from support.pool_cases import once_each, queued, started, wait_all

TESTS = Path(__file__).parents[1]

CLIENT = """
import sys
from imageine.runner import Pool
from support.fleet import graph
with Pool(sys.argv[2:]) as pool:
    handle = pool.submit(graph(1, "hold"), prompt_id=sys.argv[1])
    for event in handle.events():
        print(type(event).__name__, flush=True)
"""


@pytest.mark.parametrize("again", ["attach", "submit"])
def test_a_killed_client_goes_on_where_it_was(make_fleet, make_pool, again):
    fleet = make_fleet(2)
    prompt_id = "0f8fad5b-d9cb-469f-a165-70867728950e"
    command = [sys.executable, "-c", CLIENT, prompt_id, *fleet.urls]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=TESTS) as client:
        assert any("Started" in line for line in client.stdout)
        os.kill(client.pid, signal.SIGKILL)
    with make_pool(fleet.urls) as pool:
        handle = pool.attach(prompt_id) if again == "attach" else pool.submit(graph(1, "hold"), prompt_id=prompt_id)
        for server in fleet:
            server.release()
        result = handle.wait(30)
        assert result.outputs[0].data
        assert result.metadata["prompt"]["1"]["inputs"]["value"] == 1
    assert fleet.counts("start") == once_each([1])


def test_attaching_to_a_job_that_nobody_knows(make_fleet, make_pool):
    fleet = make_fleet(1)
    with make_pool(fleet.urls) as pool:
        error = error_of(pool.attach, "0f8fad5b-d9cb-469f-a165-70867728950e")
    assert error.code == "job_lost"


def test_two_pools_on_one_server(make_fleet, make_pool):
    fleet = make_fleet(1)
    with make_pool(fleet.urls) as first, make_pool(fleet.urls) as second:
        handles = [pool.submit(graph(value)) for value in range(20) for pool in [(first, second)[value % 2]]]
        wait_all(handles)
    assert fleet.counts("start") == once_each(range(20))


def test_cancelled_jobs(make_fleet, make_pool):
    """In the pool's queue, in the server's, and running: each is stopped, and no other."""
    fleet = make_fleet(1)
    with make_pool(fleet.urls) as pool:
        running, placed, unsent, last = (pool.submit(graph(value, "hold")) for value in range(4))
        started(running)
        queued(placed)
        assert unsent.cancel()
        assert placed.cancel()
        assert running.cancel()
        for handle in (running, placed, unsent):
            assert handle.state == "cancelled"
            with pytest.raises(JobCancelled):
                handle.wait()
        started(last)
        fleet[0].release()
        last.wait(30)
        assert not last.cancel()
    assert fleet.counts("start") == once_each([0, 3])
    assert fleet.counts("end") == once_each([3])


def test_cancelled_on_a_server_that_is_gone(make_fleet, make_pool):
    fleet = make_fleet(1)
    with make_pool(fleet.urls, grace=60) as pool:
        handle = pool.submit(graph(1, "hold"))
        started(handle)
        fleet[0].kill()
        assert handle.cancel()
        fleet[0].start()
    assert fleet.counts("start") == once_each([1])


def test_leaving_by_an_exception_cancels(make_fleet, make_pool):
    fleet = make_fleet(1)
    with pytest.raises(ImageineError), make_pool(fleet.urls) as pool:
        held, queued = pool.submit(graph(1, "hold")), pool.submit(graph(2, "hold"))
        started(held)
        raise ImageineError("job_failed", "something else")
    assert (held.state, queued.state) == ("cancelled", "cancelled")
    assert not fleet.counts("end")
