"""The client against a healthy server: uploads, submission, events, results, cancellation."""

import hashlib
import math
import uuid

import pytest
from imageine.runner.client import Client, OutputFile
from imageine.runner.client.events import Finished, NodeStarted, Reconnected, Started
from imageine.runner.client.submission import normalise
from imageine.runner.errors import InputError, JobCancelled, JobError, WorkflowError
from support.client_cases import GRAPH, error_of, hold, wait_in_queue
from support.scripted_server import OUTPUT, PICTURE, ScriptedServer


def test_check(client, server):
    info = client.check()
    assert (info.url, info.version, info.devices) == (server.url, "0.33.0", ("cpu",))


def test_information(client, server):
    assert client.object_info() is client.object_info() == {"KSampler": {}}
    assert server.count("GET", "/object_info") == 1
    assert client.features()["supports_preview_metadata"]
    server.script = wait_in_queue
    client.submit(GRAPH)
    assert client.queue_length() == 1


@pytest.mark.parametrize("prefix", ["/comfy", "/api", "/a/b"])
def test_a_path_prefix_reaches_every_route(prefix):
    with ScriptedServer(prefix=prefix) as server, Client(f"{server.url}/") as client:
        client.check()
        assert client.submit(GRAPH).wait(10).outputs
        assert client.upload_image(b"x")
        assert server.client_ids


def test_check_finds_a_server_that_serves_api_routes_only():
    with ScriptedServer(prefix="/api") as server, Client(server.url.removesuffix("/api")) as client:
        client.check()
        assert client.url == server.url
        assert client.submit(GRAPH).wait(10).outputs


def test_credentials_and_headers_go_with_requests_and_the_socket(server):
    url = server.url.replace("http://", "http://me:secret@")
    with Client(url, headers={"X-Team": "art"}) as client:
        client.submit(GRAPH).wait(10)
    assert "secret" not in client.url
    assert {headers["Authorization"] for headers in server.headers} == {"Basic bWU6c2VjcmV0"}
    assert {headers["X-Team"] for headers in server.headers} == {"art"}
    assert not any("Origin" in headers for headers in server.headers)  # one that differs from Host means 403


def test_proxies_of_the_environment_are_not_for_loopback(server, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with Client(server.url) as client:
        assert client.submit(GRAPH).wait(10).outputs


def test_upload_is_named_by_content_and_sent_once(client, server):
    name = hashlib.sha256(b"photo").hexdigest()[:32] + ".png"
    assert client.upload_image(b"photo") == client.upload_image(b"photo") == f"imageine/{name}"
    assert server.files["input", "imageine", name] == b"photo"
    with Client(server.url) as other:
        assert other.upload_image(b"photo") == f"imageine/{name}"
    assert server.count("POST", "/upload/image") == 1
    assert client.upload_image(b"photo", ".jpg", "") == name.replace(".png", ".jpg")


def test_upload_beside_a_truncated_file_of_its_name(client, server):
    name = hashlib.sha256(b"photo").hexdigest()[:32]
    server.files["input", "imageine", f"{name}.png"] = b"pho"
    assert client.upload_image(b"photo") == client.upload_image(b"photo") == f"imageine/{name} (1).png"
    assert server.count("POST", "/upload/image") == 1


def test_upload_again_after_the_server_lost_the_file(client, server):
    value = client.upload_image(b"photo")
    server.files.clear()
    assert client.upload_image(b"photo") == value
    assert server.count("POST", "/upload/image") == 2


def test_submit_and_follow(client, server):
    events = []
    job = client.submit(GRAPH)
    result = job.wait(10, events.append)
    assert events[0] == Started(2)
    assert NodeStarted("3") in events
    assert events[-1] == Finished()
    assert result.outputs == [OutputFile("9", "images", OUTPUT["filename"])]
    assert client.fetch(result.outputs[0]) == PICTURE
    assert job.result is result


def test_the_socket_is_open_before_the_prompt_is_sent(client, server):
    client.submit(GRAPH).wait(10)
    order = [path for _, path in server.requests if path in ("/ws", "/prompt")]
    assert order == ["/ws", "/prompt"]
    assert server.bodies[0]["client_id"] == server.client_ids[0]


def test_every_job_has_its_own_id(client, server):
    for _ in range(2):
        client.submit(GRAPH).wait(10)
    ids = {body["prompt_id"] for body in server.bodies}
    assert len(ids) == 2
    assert all(str(uuid.UUID(item)) == item for item in ids)


def test_jobs_share_a_socket_one_after_the_other_alone(client, server):
    for _ in range(3):
        events = []
        client.submit(GRAPH).wait(10, events.append)
        assert NodeStarted("3") in events
    assert len(server.client_ids) == 1
    server.script = hold
    held = [client.submit(GRAPH) for _ in range(2)]
    assert len(server.client_ids) == 2
    assert len({body["client_id"] for body in server.bodies[-2:]}) == 2
    assert all(job.cancel() for job in held)


def test_a_socket_that_was_lost_between_two_jobs_is_replaced(client, server):
    client.submit(GRAPH).wait(10)
    server.stop()
    server.start()
    events = []
    client.submit(GRAPH).wait(10, events.append)
    assert NodeStarted("3") in events
    assert Reconnected() not in events
    assert len(set(server.client_ids)) == 2


def test_only_kept_results_are_asked_for_again(client, server):
    client.submit(GRAPH).wait(10)
    assert server.count("HEAD", "/view") == 0
    client.attach(server.bodies[0]["prompt_id"]).wait(10)
    assert server.count("HEAD", "/view") == 1


def test_what_is_sent(client, server):
    client.submit(GRAPH, front=True, previews=True, ui_workflow={"id": "w"}).wait(10)
    client.submit(GRAPH, ui_workflow=["not a workflow"]).wait(10)
    first, second = server.bodies
    assert first["front"] is True
    assert first["extra_data"] == {"preview_method": "auto", "extra_pnginfo": {"workflow": {"id": "w"}}}
    assert "front" not in second
    assert second["extra_data"] == {"preview_method": "none"}


def test_normalise_prevents_the_poison_prompt():
    graph = {1: {"class_type": "A"}, "2": {"class_type": "B", "inputs": None, "_meta": "x"}}
    result = normalise(graph)
    assert result["1"] == {"class_type": "A", "inputs": {}, "_meta": {"title": "A"}}
    assert result["2"] == {"class_type": "B", "inputs": {}, "_meta": {"title": "B"}}
    assert graph[1] == {"class_type": "A"}


@pytest.mark.parametrize("graph", [{}, [], None, {"version": 1}, {"1": {"inputs": {}}}, {"1": {"class_type": 3}}])
def test_a_graph_that_is_none(client, server, graph):
    error = error_of(client.submit, graph)
    assert (type(error), error.code) == (WorkflowError, "workflow_format")
    assert not server.requests


def test_values_that_json_lacks_are_refused_before_sending(client, server):
    for value in (math.nan, math.inf, object()):
        error = error_of(client.submit, {"1": {"class_type": "A", "inputs": {"x": value}}})
        assert error.code == "workflow_input_value"
    assert not server.requests


UPPERCASE, BARE = "6F9619FF-8B86-D011-B42D-00CF4FC964FF", "6f9619ff8b86d011b42d00cf4fc964ff"


@pytest.mark.parametrize("prompt_id", ["x", UPPERCASE, BARE, 3])
def test_ids_must_be_canonical(client, prompt_id):
    assert isinstance(error_of(client.submit, GRAPH, prompt_id=prompt_id), InputError)
    assert isinstance(error_of(client.attach, prompt_id), InputError)


def test_an_id_that_the_server_has_is_not_run_twice(client, server):
    prompt_id = str(uuid.uuid4())
    first = client.submit(GRAPH, prompt_id=prompt_id).wait(10)
    second = client.submit(GRAPH, prompt_id=prompt_id).wait(10)
    assert first.outputs == second.outputs
    assert len(server.bodies) == 1


def test_attach_follows_by_polling(client, server):
    job = client.submit(GRAPH)
    job.wait(10)
    sockets = len(server.client_ids)
    assert client.attach(job.id).wait(10).outputs == job.result.outputs
    assert len(server.client_ids) == sockets
    assert error_of(client.attach(str(uuid.uuid4())).wait, 10).code == "job_lost"


def test_texts_previews_and_several_outputs(client, server):
    async def script(server, job):
        files = [{"filename": "a.png", "subfolder": "s", "type": "output"}, {"filename": "p.png", "type": "temp"}]
        server.files["output", "s", "a.png"] = b"a"
        server.finish(job, {"9": {"images": files, "animated": [False]}, "5": {"text": ["nothing found"]}, "6": None})

    server.script = script
    result = client.submit(GRAPH).wait(10)
    assert result.outputs == [OutputFile("9", "images", "a.png", "s"), OutputFile("9", "images", "p.png", "", "temp")]
    assert result.texts == {"5": ["nothing found"]}


@pytest.mark.parametrize("jobs_api", [True, False])
@pytest.mark.parametrize("script", [wait_in_queue, hold])
def test_cancel_is_for_this_job_alone(jobs_api, script):
    with ScriptedServer(jobs_api=jobs_api) as server, Client(server.url) as client:
        server.script = hold
        other = client.submit(GRAPH)
        server.script = script
        job = client.submit(GRAPH)
        assert job.cancel()
        error = error_of(job.wait, 10)
        assert (type(error), error.code, error.exit_code) == (JobCancelled, "job_cancelled", 130)
        assert [item.phase for item in server.jobs if item.id == other.id] == ["running"]
        assert other.cancel()


def test_cancel_after_the_end_changes_nothing(client, server):
    job = client.submit(GRAPH)
    result = job.wait(10)
    assert job.cancel()
    assert client.attach(job.id).wait(10).outputs == result.outputs


def test_free(client, server):
    client.free()
    assert server.count("POST", "/free") == 1


def test_upload_larger_than_the_server_takes(server, client):
    server.flags = {"max_upload_size": 10}
    error = error_of(client.upload_image, b"x" * 11)
    assert error.code == "server_refused"
    assert "--max-upload-size" in error.hint
    assert server.count("POST", "/upload/image") == 0


def test_upload_larger_than_the_server_takes_and_says():
    with ScriptedServer(max_size=1000) as server, Client(server.url) as client:
        error = error_of(client.upload_image, b"x" * 5000)
        assert "--max-upload-size" in error.hint
        assert error.details["status"] == 413
        error = error_of(client.submit, GRAPH, ui_workflow={"big": "x" * 5000})
        assert "--max-upload-size" in error.hint


def test_fetch_of_a_file_that_is_gone(client):
    error = error_of(client.fetch, OutputFile("9", "images", "gone.png"))
    assert (type(error), error.code) == (JobError, "output_missing")
