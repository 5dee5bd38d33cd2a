"""Reading the socket's frames, and progress as one number."""

import json
import struct

import pytest
from imageine.runner.client.events import (
    Decoder,
    Ended,
    Finished,
    NodeCached,
    NodeDone,
    NodeProgress,
    NodeStarted,
    Preview,
    Progress,
    ProgressText,
    Started,
)

JOB = "job"
GRAPH = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
    "2": {"class_type": "KSampler", "inputs": {"steps": 8, "image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}},
}


def decode(decoder: Decoder, kind: str, **data) -> list:
    return decoder.decode(json.dumps({"type": kind, "data": {"prompt_id": JOB, **data}}))


@pytest.fixture
def decoder():
    return Decoder(JOB, 3)


def test_a_run(decoder):
    assert decode(decoder, "execution_start") == [Started(3)]
    assert decode(decoder, "execution_start") == []
    assert decode(decoder, "execution_cached", nodes=["1"]) == [NodeCached(("1",))]
    assert decode(decoder, "executing", node="2") == [NodeStarted("2")]
    assert decode(decoder, "progress", node="2", value=1, max=8) == [NodeProgress("2", 1, 8)]
    assert decode(decoder, "executed", node="2", output=None) == [NodeDone("2")]
    assert decode(decoder, "execution_success") == [Ended()]
    assert decode(decoder, "executing", node=None) == [Ended(recorded=True)]
    assert decoder.verdict[0] == "execution_success"


def test_progress_state_is_cumulative(decoder):
    nodes = {"1": {"state": "finished"}, "2": {"state": "running"}, "3": {"state": "pending"}}
    assert decode(decoder, "progress_state", nodes=nodes) == [NodeStarted("1"), NodeDone("1"), NodeStarted("2")]
    assert decode(decoder, "progress_state", nodes=nodes) == []
    assert decode(decoder, "executing", node="2") == []


def test_nodes_inside_an_expanded_node_count_as_it(decoder):
    inner = {"state": "running", "display_node_id": "2"}
    assert decode(decoder, "progress_state", nodes={"2.0.0.1": inner}) == [NodeStarted("2")]
    inner["state"] = "finished"
    assert decode(decoder, "progress_state", nodes={"2.0.0.1": inner}) == []
    assert decode(decoder, "executed", node="2.0.0.1", display_node="2", output={}) == [NodeDone("2")]


def test_executing_after_a_reconnect_names_no_job(decoder):
    frame = json.dumps({"type": "executing", "data": {"node": "2"}})
    assert decoder.decode(frame) == [NodeStarted("2")]
    assert decoder.decode(json.dumps({"type": "executing", "data": {"node": None}})) == []


def test_texts(decoder):
    assert decode(decoder, "executed", node="2", output={"text": ["a", "b"]})[:2] == [
        ProgressText("2", "a"),
        ProgressText("2", "b"),
    ]
    assert decode(decoder, "progress_text", nodeId="2", text="c") == [ProgressText("2", "c")]
    frame = struct.pack(">II", 3, 1) + b"2" + "grün".encode()
    assert decoder.decode(frame) == [ProgressText("2", "grün")]


def test_previews(decoder):
    decode(decoder, "executing", node="2")
    assert decoder.decode(struct.pack(">II", 1, 1) + b"jpg") == [Preview("2", b"jpg", "image/jpeg")]
    assert decoder.decode(struct.pack(">II", 1, 2) + b"png") == [Preview("2", b"png", "image/png")]
    data = json.dumps({"prompt_id": JOB, "node_id": "7.1", "display_node_id": "7", "image_type": "image/png"}).encode()
    assert decoder.decode(struct.pack(">II", 4, len(data)) + data + b"png") == [Preview("7", b"png", "image/png")]
    other = json.dumps({"prompt_id": "other"}).encode()
    assert decoder.decode(struct.pack(">II", 4, len(other)) + other + b"png") == []


NONSENSE = [
    *(
        "",
        "null",
        "[]",
        "{}",
        '{"type": 1, "data": {}}',
        '{"type": "progress", "data": {}}',
        '{"type": "end", "data": {}}',
    ),
    '{"type": "executed", "data": {"node": "1", "output": 3}}',
    '{"type": "execution_cached", "data": {"nodes": 3}}',
    *(b"", b"\0\0\0\1", b"\0\0\0\3\0\0\1\0", b"\0\0\0\4\0\0\0\2{]", b"\0\0\0\3\0\0\0\1\xff\xff", b"\0\0\1\0abc"),
]


@pytest.mark.parametrize("frame", NONSENSE)
def test_frames_that_make_no_sense_are_no_events(decoder, frame):
    assert decoder.decode(frame) == []


def test_progress_weighs_a_sampler_by_its_steps():
    progress = Progress(GRAPH)
    assert progress.fraction == 0
    progress.update(NodeCached(("1",)))
    assert progress.fraction == pytest.approx(0.1)
    progress.update(NodeStarted("2"))
    progress.update(NodeProgress("2", 4, 8))
    assert progress.fraction == pytest.approx(0.5)
    assert (progress.node_id, progress.value, progress.maximum) == ("2", 4, 8)
    progress.update(NodeDone("2"))
    assert progress.fraction == pytest.approx(0.9)
    progress.update(Finished())
    assert progress.fraction == 1
    assert progress.seconds_left is None


def test_progress_never_goes_back_or_over():
    progress = Progress({**GRAPH, "4": "not a node"})
    seen = []
    for event in (NodeStarted("2"), NodeProgress("2", 9, 8), NodeDone("2"), NodeDone("2"), NodeDone("unknown")):
        progress.update(event)
        seen.append(progress.fraction)
    assert seen == sorted(seen)
    assert seen[-1] <= 1


def test_time_left_follows_the_rate_of_the_steps():
    now = [0.0]
    progress = Progress(GRAPH, clock=lambda: now[0])
    for value, at in ((1, 30.0), (2, 32.0), (3, 34.0)):  # the first step includes the loading of the model
        now[0] = at
        progress.update(NodeProgress("2", value, 8))
        assert progress.seconds_left == (None if value == 1 else 2.0 * (8 - value))
    progress.update(NodeProgress("2", 3, 8))  # told twice
    assert progress.seconds_left == 10.0


def test_time_left_counts_samplers_to_come():
    now = [0.0]
    progress = Progress({**GRAPH, "5": {"class_type": "KSampler", "inputs": {"steps": 10}}}, clock=lambda: now[0])
    for value in (1, 2):
        now[0] += 1
        progress.update(NodeProgress("2", value, 8))
    assert progress.seconds_left == 16.0


def test_an_empty_graph_has_progress():
    assert Progress({}).fraction == 0
