"""The rules of a pool that need no server: its list of servers, the breaker, and which job goes where."""

import sys

import pytest
from imageine.runner.client.outcome import DISK_HINT, MEMORY_HINT
from imageine.runner.errors import JobError, ServerError
from imageine.runner.jobs import prepare
from imageine.runner.pool.breaker import CLOSED, HALF_OPEN, OPEN, Breaker
from imageine.runner.pool.choice import PASSED, choose
from imageine.runner.pool.config import ServerSpec, read_servers
from imageine.runner.pool.handle import Handle
from imageine.runner.pool.member import Member, Options
from imageine.runner.pool.verdict import judge
from support.client_cases import error_of
from support.fleet import graph

OPTIONS = Options(2, 10.0, 1.0, None, 10.0, (1.0, 60.0))


@pytest.mark.parametrize(
    "source",
    [
        "http://a:1, http://b:2",
        ["a:1", {"url": "b:2"}],
        [ServerSpec("a:1"), "http://b:2/"],
        ("http://a:1", "", "http://b:2"),
    ],
)
def test_lists_of_servers(source):
    assert [spec.key for spec in read_servers(source)] == ["http://a:1", "http://b:2"]


def test_files_of_servers(tmp_path):
    path = tmp_path / "servers.json"
    path.write_text('{"servers": ["http://a:1", {"url": "http://b:2", "weight": 2, "headers": {"X": "y"}}]}')
    first, second = read_servers(path)
    assert (first.url, first.weight, first.headers) == ("http://a:1", 1.0, {})
    assert (second.url, second.weight, second.headers) == ("http://b:2", 2, {"X": "y"})
    assert read_servers(str(path)) == [first, second]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 reads no TOML")
def test_toml_files(tmp_path):
    path = tmp_path / "servers.toml"
    path.write_text('[[servers]]\nurl = "http://a:1"\nweight = 0.5\n[servers.headers]\nAuthorization = "Bearer x"\n')
    assert read_servers(path) == [ServerSpec("http://a:1", 0.5, {"Authorization": "Bearer x"})]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ([], "no server"),
        ("", "no server"),
        (["http://a:1", "a:1"], "twice"),
        ([{"url": "a:1", "wieght": 2}], "wieght"),
        ([{"weight": 2}], "no url"),
        ([{"url": "a:1", "weight": 0}], "above 0"),
        ([{"url": "a:1", "weight": "2"}], "above 0"),
        ([{"url": "a:1", "headers": {"X": 1}}], "table of texts"),
        ([7], "no server"),
        (["ftp://a"], "not the address"),
        ("none.toml", "cannot be read"),
    ],
)
def test_bad_lists_of_servers(source, why):
    error = error_of(read_servers, source)
    assert error.code == "option_invalid"
    assert why in error.message


@pytest.mark.parametrize("text", ["{", '{"server": []}', '{"servers": {}}'])
def test_bad_files_of_servers(tmp_path, text):
    path = tmp_path / "servers.json"
    path.write_text(text)
    assert error_of(read_servers, path).code == "option_invalid"


def test_the_breaker():
    now = [0.0]
    breaker = Breaker((1.0, 4.0), lambda: now[0])
    breaker.failure("x")
    breaker.failure("x")
    breaker.success()
    breaker.failure("x")
    breaker.failure("x")
    assert breaker.state == CLOSED
    breaker.failure("third")
    assert (breaker.state, breaker.reason, breaker.is_due) == (OPEN, "third", False)
    pauses = []
    for _ in range(4):
        since = now[0]
        while not breaker.is_due:
            now[0] += 0.5
        pauses.append(now[0] - since)
        breaker.try_again()
        assert breaker.state == HALF_OPEN
        breaker.failure("again")
    assert pauses == [1.0, 2.0, 4.0, 4.0]
    breaker.trip("a second witness")
    now[0] += 4.0
    assert breaker.is_due
    breaker.try_again()
    breaker.success()
    breaker.trip("dead")
    now[0] += 1.0
    assert breaker.is_due


def member(url: str, jobs: int = 0, weight: float = 1.0, models: tuple = (), **state) -> Member:
    result = Member(ServerSpec(url, weight), OPTIONS)
    models_there = [["a.safetensors", "b.safetensors"], {}]
    result.learn(
        {
            "Work": {"input": {"required": {"ckpt_name": models_there}}, "output": ["IMAGE"], "output_node": False},
            "SaveImage": {"input": {"required": {"images": ["IMAGE", {}]}}, "output": [], "output_node": True},
        }
    )
    result.jobs = [handle() for _ in range(jobs)]
    result.models = frozenset(f"checkpoints/{name}.safetensors" for name in models)
    for name, value in state.items():
        setattr(result, name, value)
    return result


def handle(model: str = "a", priority: float = 0) -> Handle:
    return Handle("id", prepare(graph(model=f"{model}.safetensors")), priority=priority)


def test_the_least_loaded_for_its_weight():
    idle, busy, strong = member("a:1", jobs=1), member("b:1", jobs=1, others=3), member("c:1", jobs=1, weight=4)
    job = handle()
    assert choose([job], [busy, idle, strong], 3) == (job, strong)
    assert choose([job], [busy, idle], 3) == (job, idle)


def test_of_equals_the_warm_one_but_never_before_an_idle_one():
    cold, warm, idle = member("a:1", models=("b",)), member("b:1", models=("a",)), member("c:1")
    job = handle("a")
    assert choose([job], [cold, warm], 2) == (job, warm)
    warm.jobs = [handle()]
    assert choose([job], [warm, idle], 2) == (job, idle)


def test_a_later_job_that_is_warm_goes_first_but_not_for_ever():
    warm = member("a:1", models=("a",))
    first = handle("b")
    later = [handle("a") for _ in range(PASSED + 1)]
    for _ in range(PASSED):
        job, _ = choose([first, *later], [warm], 2)
        assert job is later[0]
    assert choose([first, *later], [warm], 2)[0] is first


def test_priority_before_warmth_and_nobody_blocks_the_line():
    warm = member("a:1", models=("a",))
    urgent, usual = handle("b", priority=1), handle("a")
    assert choose([urgent, usual], [warm], 2)[0] is urgent
    elsewhere = handle("missing", priority=1)
    assert choose([elsewhere, usual], [warm], 2)[0] is usual


@pytest.mark.parametrize("state", [{"draining": True}, {"stale": True}, {"jobs": 2}, {"object_info": None}])
def test_a_server_that_takes_none(state):
    assert choose([handle()], [member("a:1", **state)], 2) is None


def test_half_open_takes_one():
    trial = member("a:1")
    trial.breaker.trip("x")
    assert choose([handle()], [trial], 2) is None
    trial.breaker.try_again()
    assert choose([handle()], [trial], 2) is not None
    trial.jobs.append(handle())
    assert choose([handle()], [trial], 2) is None


@pytest.mark.parametrize(
    ("error", "moves", "excludes"),
    [
        (ServerError("server_refused", "", "", {"status": 500}), True, True),
        (ServerError("server_refused", "", "", {"status": 413}), True, True),
        (JobError("job_failed", "", DISK_HINT), True, True),
        (JobError("job_failed", "", MEMORY_HINT), True, True),
        (JobError("job_failed", "", "anything else"), False, False),
        (JobError("job_interrupted", ""), False, False),
        (JobError("job_timeout", ""), False, False),
        (JobError("output_missing", ""), False, False),
        (ValueError("a bug"), False, False),
    ],
)
def test_whose_fault_it_is(error, moves, excludes):
    verdict = judge(error)
    assert (verdict.move, verdict.exclude) == (moves, excludes)
