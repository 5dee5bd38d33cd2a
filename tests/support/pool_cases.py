"""What the tests of pools share: waiting for a job or a server to be somewhere, without sleeping."""

from collections import Counter

from imageine.runner.client.events import Queued, Started


def started(handle) -> str:
    """Wait until the job runs; the address of its server."""
    next(event for event in handle.events(30) if isinstance(event, Started))
    return handle.server


def queued(handle) -> None:
    """Wait until the job waits on a server."""
    next(event for event in handle.events(30) if isinstance(event, Queued))


def wait_all(handles) -> None:
    for handle in handles:
        handle.wait(60)


def once_each(values) -> Counter:
    return Counter(dict.fromkeys(values, 1))


def until(pool, condition) -> None:
    """Wait, by the pool's own notifications, until its servers are as ``condition`` says."""
    changed = pool._scheduler.changed
    with changed:
        assert changed.wait_for(lambda: condition(pool.servers()), 30)
