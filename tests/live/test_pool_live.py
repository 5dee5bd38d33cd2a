"""A pool of two real ComfyUIs, one of which is killed while it works."""

import contextlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from imageine.runner import Pool
from imageine.runner.client.events import NodeProgress
from imageine.runner.engines.managed import ManagedComfyUI

JOBS = 12


def graph(colour: int, steps: int = 2) -> dict:
    """A picture of one colour after ``steps`` of 0.05 s."""
    size = {"width": 16, "height": 16, "batch_size": 1}
    return {
        "1": {"class_type": "EmptyImage", "inputs": {**size, "color": colour}},
        "3": {"class_type": "TestWait", "inputs": {"images": ["1", 0], "steps": steps}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
    }


@pytest.fixture(scope="module")
def pair(slow_comfyui):
    servers = [slow_comfyui(), slow_comfyui()]
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.callback(server.stop)
        with ThreadPoolExecutor() as threads:
            list(threads.map(ManagedComfyUI.__enter__, servers))
        yield servers


def test_one_of_two_is_killed_in_mid_job(pair, figures):
    with Pool([server.url for server in pair], grace=0.5) as pool:
        held = pool.submit(graph(0, steps=60))
        next(event for event in held.events(60) if isinstance(event, NodeProgress))
        victim = next(server for server in pair if server.url == held.server)
        survivor = next(server for server in pair if server is not victim)
        others = [pool.submit(graph(colour)) for colour in range(1, JOBS)]
        victim.process.kill()
        results = [handle.wait(120) for handle in (held, *others)]
        assert held.server == survivor.url
        assert held.attempts == 2
        (state,) = (state for state in pool.servers() if state.url == victim.url)
        assert state.state == "open"
        with survivor.client() as client:
            history = client._transport.get_json("/history")
    assert all(result.outputs[0].data.startswith(b"\x89PNG") for result in results)
    runs = Counter(entry["prompt"][2]["1"]["inputs"]["color"] for entry in history.values())
    done_by_victim = JOBS - len(runs)
    figures(f"pool, kill -9 of one of two ComfyUIs: {JOBS} of {JOBS} done, {done_by_victim} of them before the kill")
    assert max(runs.values()) == 1
    assert runs[0] == 1
