"""How near to linear a pool scales: the same jobs over 1, 2 and 4 servers.

    python benchmarks/pool.py [--jobs 200] [--seconds 0.25] [--servers 1 2 4] [--repeats 1]

The servers are processes that speak ComfyUI's API and take a fixed time for each job, one at a time, as a GPU would:
they are the bottleneck, and what is measured is the pool. Each job is submitted, followed over its own socket, checked
and its file fetched. A row gives the seconds from the first submission to the last file, the jobs per second, and two
ratios: to linear (time on the first number of servers, over time and number of this row; 1 is perfect) and to the bound
(the servers' own time over the row's). Every job has to have run exactly once.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from imageine.runner import Pool

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from support.fleet import Fleet, graph


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=200, help="jobs in a row")
    parser.add_argument("--seconds", type=float, default=0.25, help="what a job takes on a server")
    parser.add_argument("--servers", type=int, nargs="+", default=[1, 2, 4], help="sizes of the fleet")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each size; the median counts")
    return parser.parse_args()


def measure(size: int, jobs: int, seconds: float) -> float:
    """Seconds for all jobs on ``size`` servers."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Fleet(Path(folder), size, "--seconds", str(seconds)) as fleet,
        Pool(fleet.urls) as pool,
    ):
        begin = time.perf_counter()
        for handle in pool.map({"workflow": graph(value)} for value in range(jobs)):
            handle.wait()
        took = time.perf_counter() - begin
        started, ended = fleet.counts("start"), fleet.counts("end")
    if len(ended) != jobs or max(ended.values()) > 1 or started != ended:
        once = Counter(range(jobs))
        sys.exit(f"Of {jobs} jobs {len(ended)} ended. Superfluous starts: {started - once}, ends: {ended - once}.")
    return took


def main() -> None:
    options = arguments()
    print(f"{options.jobs} jobs of {options.seconds:g} s each, one at a time per server")
    first = None
    for size in options.servers:
        took = statistics.median(measure(size, options.jobs, options.seconds) for _ in range(options.repeats))
        first = first or (size, took)
        linear = first[0] * first[1] / (size * took)
        bound = options.jobs * options.seconds / (size * took)
        rate = options.jobs / took
        print(f"{size} servers{took:8.2f} s{rate:8.1f} jobs/s   to linear {linear:.3f}   to the bound {bound:.3f}")


if __name__ == "__main__":
    main()
