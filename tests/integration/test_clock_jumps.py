"""The clock of the machine jumps by a year under a worker, and back: nothing is lost or doubled.

A broker refuses what is written an hour ahead of its own clock: the worker says so, and goes on when the clock is set.
"""

import shutil
import struct
import subprocess
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.integration.cluster import Cluster, wait_for
from tests.integration.running import (
    anchor_records,
    drawn,
    event,
    get,
    metric,
    predictions,
    running,
    send,
    write_config,
)

_YEAR_S = 366 * 24 * 3_600
# Stands before libc's clocks in a worker's process, and adds the seconds that a file says.
_SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
static volatile long *seconds;
__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("CLOCK_OFFSET"), O_RDONLY);
    seconds = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
}
int clock_gettime(clockid_t which, struct timespec *found) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(which, found);
    if (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE) found->tv_sec += *seconds;
    return status;
}
int gettimeofday(struct timeval *found, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    found->tv_sec = now.tv_sec, found->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *found) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return found ? (*found = now.tv_sec) : now.tv_sec;
}
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc, for a clock that can be turned")
def test_the_clock_of_the_machine_may_jump_by_a_year(cluster: Cluster, tmp_path: Path) -> None:
    source, shim, offset = tmp_path / "clock.c", tmp_path / "clock.so", tmp_path / "offset"
    source.write_text(_SHIM)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(shim), str(source), "-ldl"], check=True)
    offset.write_bytes(struct.pack("l", 0))
    config = write_config(tmp_path, cluster, snapshots={"folder": str(tmp_path / "snapshots"), "every_s": 1.0})
    turned = (0, -_YEAR_S, _YEAR_S, 0)

    def predicted(number: int) -> bool:
        return metric(worker, "stream_adapter_predictions_total") == number

    with running(config, {"LD_PRELOAD": str(shim), "CLOCK_OFFSET": str(offset)}) as worker:
        for number, seconds in enumerate(turned):
            with offset.open("r+b") as file:
                file.write(struct.pack("l", seconds))
            pictures = [(data, event(f"{number}-{n}", name)) for n, (name, data) in enumerate(drawn(20, seed=number))]
            send(cluster, pictures)
            if seconds > 0:
                wait_for(lambda: "clock of this machine" in worker.log_tail(99), timeout_s=60.0, what="the reason")
                assert get(worker, "/readyz")[0] == 503 and predicted(20 * number)
            else:
                wait_for(partial(predicted, 20 * (number + 1)), timeout_s=90.0, what=f"predictions at {seconds:+} s")
            assert get(worker, "/healthz")[0] == 200
        wait_for(lambda: metric(worker, "stream_adapter_anchors") == 15 * len(turned), what="what was learned")
        assert metric(worker, "stream_adapter_event_times_ahead_total"), "the clock was not turned back"
    counted = Counter(prediction["event"]["id"] for prediction in predictions(cluster))
    assert len(counted) == 20 * len(turned) and set(counted.values()) == {1}
    assert len({record.key for record in anchor_records(cluster)}) == 15 * len(turned)
    assert not cluster.read(cluster.config.topics.dead_letters)
