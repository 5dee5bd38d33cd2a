"""Real processes that die in the middle: the same command goes on, and no job is lost or done twice."""

import asyncio
import io
import json
import os
import signal
import subprocess
import threading

import pytest
from imageine.runner.batch.manifest import NAME
from PIL import Image
from support.edit_server import DATA, EditServer, paint

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has neither kill -9 nor Ctrl-C for one process")

SMALL = str(DATA / "small_edit.json")
PHOTOS = [f"{letter}.png" for letter in "abc"]
RESULTS = [f"000{number}-{name}" for number, name in enumerate(PHOTOS, 1)]

# The client ends itself, as kill -9 does, at its n-th word to the manifest: before it, after it, or within the line.
DIE = """
import json, os, signal
from imageine.runner.batch.manifest import Manifest
append, words = Manifest.append, []

def dying(self, event, job, **facts):
    words.append(event)
    if len(words) == {number}:
        if {when!r} == "after":
            append(self, event, job, **facts)
        elif {when!r} == "within":
            line = json.dumps({{"event": event, "job": job, **facts}}).encode()
            with self._lock:  # what is cut off is the last thing in the file
                self._file.write(line[: len(line) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    append(self, event, job, **facts)

Manifest.append = dying
"""


@pytest.fixture
def command(server, make_photos, tmp_path):
    return [SMALL, "--table", make_photos(*PHOTOS), "-o", tmp_path / "out", "--server", server.url]


def finish(process) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=60)
    assert "Traceback" not in stderr, stderr
    return process.returncode, stdout, stderr


def assert_whole(folder) -> None:
    """Every result is there, each is a whole picture, and there is nothing else."""
    assert sorted(path.name for path in folder.glob("*.png")) == RESULTS
    for name in RESULTS:
        Image.open(folder / name).load()
    strays = {path.name for path in folder.iterdir()} - {*RESULTS, NAME, ".thumbnails"}
    assert strays == {"contact-sheet-1.jpg", "report.html"}
    for line in (folder / NAME).read_bytes().splitlines():
        if not line.endswith(b"}"):
            continue  # what the crash cut off
        json.loads(line)


@pytest.mark.parametrize("when", ["before", "after", "within"])
@pytest.mark.parametrize("number", [1, 2, 4, 5, 7, 10])
def test_killed_at_any_word_of_the_manifest(server, imageine, start, command, tmp_path, number, when):
    """Ten words: begin, and sent, saving and done of three jobs, two of them at a time."""
    process = start(*command, before=DIE.format(number=number, when=when))
    assert finish(process)[0] == -signal.SIGKILL
    result = imageine(*command, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["done"] + told["skipped"], told["failed"]) == (3, 0)
    assert len(server.jobs) == 3  # lost 0, doubled 0
    assert_whole(tmp_path / "out")


class Held:
    """A script: the first job is done at once, the others wait for ``release``."""

    def __init__(self):
        self.release = threading.Event()
        self.both = threading.Barrier(3)  # two held jobs and the test

    async def __call__(self, server, job):
        if job.number:
            job.phase = "running"
            if not self.release.is_set():
                await asyncio.to_thread(self.both.wait, 30)
            await asyncio.to_thread(self.release.wait, 30)
        if job.phase != "done":  # interrupted meanwhile
            await paint(server, job)


@pytest.fixture
def held(server):
    server.script = script = Held()
    yield script
    script.release.set()


@pytest.mark.parametrize("restarted", [False, True], ids=["the server goes on", "the server forgets"])
def test_killed_while_jobs_run(server, held, imageine, start, command, tmp_path, restarted, figures):
    process = start(*command)
    held.both.wait(30)
    process.kill()
    finish(process)
    if restarted:
        server.jobs[:] = [job for job in server.jobs if job.phase == "done"]
    held.release.set()
    result = imageine(*command)
    assert result.exit_code == 0, result.stderr
    assert "3 jobs, 1 of them done before." in result.stderr
    assert_whole(tmp_path / "out")
    sent = server.count("POST", "/prompt")
    how = "forgot them" if restarted else "kept them"
    figures(f"batch, client killed with 2 of 3 jobs running on a server that {how}: {sent} prompts sent, 3 results")
    assert (len(server.jobs), sent) == (3, 5 if restarted else 3)


def test_resumed_while_they_still_run(server, held, start, command, tmp_path):
    process = start(*command)
    held.both.wait(30)
    process.kill()
    finish(process)
    process = start(*command)
    while "Using the ComfyUI" not in process.stderr.readline():
        assert process.poll() is None
    held.release.set()
    assert finish(process)[0] == 0
    assert len(server.jobs) == 3
    assert_whole(tmp_path / "out")


def test_killed_with_a_pool_of_servers(server, imageine, start, command, tmp_path):
    release, all_run = threading.Event(), threading.Barrier(4)

    async def hold(this, job):
        job.phase = "running"
        if not release.is_set():
            await asyncio.to_thread(all_run.wait, 30)
            await asyncio.to_thread(release.wait, 30)
        await paint(this, job)

    with EditServer() as second:
        server.script = second.script = hold
        command += ["--server", second.url]
        process = start(*command)
        all_run.wait(30)
        process.kill()
        finish(process)
        release.set()
        result = imageine(*command)
        assert result.exit_code == 0, result.stderr
        assert len(server.jobs) + len(second.jobs) == 3
    assert_whole(tmp_path / "out")


@pytest.mark.parametrize("number", [3, 4])
def test_killed_between_the_edits_of_one_wish(server, imageine, start, command, make_photos, tmp_path, number):
    """Words: begin, sent, sent, saving, done."""
    wish = ["--set", "wish=make the car blue and remove the lamp"]
    command = ["edit", "--set", f"image={make_photos() / PHOTOS[0]}", *command[3:], *wish]
    process = start(*command, before=DIE.format(number=number, when="after"))
    assert finish(process)[0] == -signal.SIGKILL
    result = imageine(*command, "--json")
    assert result.exit_code == 0, result.stderr
    assert len(server.jobs) == 2
    assert len(json.loads(result.stdout)["outputs"]) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c(server, held, imageine, start, command, tmp_path, number):
    process = start(*command, "--json")
    held.both.wait(30)
    process.send_signal(number)
    code, stdout, stderr = finish(process)
    error = json.loads(stdout)["error"]
    assert (code, error["code"]) == (130, "job_cancelled")
    assert error["message"] == "Stopped: 1 of 3 jobs are done."
    held.release.set()
    interrupted = [job.history["status"]["messages"][0][0] for job in server.jobs if job.history["status"]["messages"]]
    assert interrupted == ["execution_interrupted"] * 2
    for line in (tmp_path / "out" / NAME).read_bytes().splitlines():
        json.loads(line)
    assert imageine(*command).exit_code == 0
    assert len(server.jobs) == 5
    assert_whole(tmp_path / "out")


@pytest.fixture
def small_disk(tmp_path):
    """Call it with KB: a file system of its own, of that size, which grows at the next call."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = []

    def size(kilobytes: int):
        grow = ["-o", f"remount,size={kilobytes}k"] if mounted else ["-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs"]
        done = subprocess.run(["mount", *grow, str(folder)], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"needs the right to mount a file system: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    if os.geteuid():
        pytest.skip("needs root, to mount a file system")
    yield size
    if mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


async def paint_noise(server, job):
    """A result of about 200 KB."""
    job.phase = "running"
    image = Image.effect_noise((512, 512), 100)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    server.finish(job, server.save(job, image))


def test_disk_full(server, imageine, small_disk, command):
    server.script = paint_noise
    command[4] = small_disk(400) / "out"
    result = imageine(*command, "--json")
    assert (result.exit_code, json.loads(result.stdout)["error"]["code"]) == (2, "output_unwritable")
    assert "No space left" in result.stderr and "Traceback" not in result.output
    small_disk(4000)
    result = imageine(*command)
    assert result.exit_code == 0, result.stderr
    assert len(server.jobs) == 3  # what was made and could not be written is fetched, not made again
    assert_whole(command[4])
