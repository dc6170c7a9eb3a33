#!/usr/bin/python3
"""greenlet 2.0.2, gevent 22.10.2 and eventlet 0.33.1 as Debian packages them, on /usr/bin/python3.

    python_rows.py greenlet|gevent|eventlet [--filter REGEX] [--min_time SECONDS]

Prints what Google Benchmark prints. gevent runs on libev and without the tree of who spawned whom, which its
documentation says costs speed. eventlet runs on epoll. Nothing else was tried.
"""
import argparse
import json
import os
import re
import sys
import time

os.environ["GEVENT_TRACK_GREENLET_TREE"] = "false"
os.environ["GEVENT_LOOP"] = "libev-cext"
os.environ["EVENTLET_HUB"] = "epolls"


def greenlet_rows():
    from greenlet import getcurrent, greenlet

    def switch(n):
        counted = 0
        main = getcurrent()

        def other():
            nonlocal counted
            while True:
                counted += 1
                main.switch()

        target = greenlet(other)
        for _ in range(n):
            target.switch()
        return 2 * n, counted == n

    return {"switch": timed(switch)}


def timed(work):
    """A row of which all counts: from n to the items, the seconds of CPU time, and whether they were counted right."""
    def row(n):
        begin = time.process_time()
        items, right = work(n)
        return items, time.process_time() - begin, right

    return row


def yield_row(tasks, turns, spawn, join, sleep):
    """Timed from when all have begun until the first has ended, so that neither counts."""
    def row(n):
        items, took, right = 0, 0, True
        for _ in range(n):
            begun = counted = begin = timed_items = end = 0

            def take_turns():
                nonlocal begun, counted, begin, timed_items, end
                begun += 1
                if begun == tasks:
                    begin = time.process_time()
                while begun < tasks:
                    sleep(0)
                for _ in range(turns):
                    counted += 1
                    sleep(0)
                if not end:
                    end, timed_items = time.process_time(), counted

            for each in [spawn(take_turns) for _ in range(tasks)]:
                join(each)
            items, took, right = items + timed_items, took + end - begin, right and counted == tasks * turns
        return items, took, right

    return row


def common_rows(spawn, join, sleep, semaphore, queue):
    def spawn_join(n):
        counted = 0

        def count():
            nonlocal counted
            counted += 1

        for _ in range(n):
            join(spawn(count))
        return n, counted == n

    def spawn_batch(n):
        counted, size = 0, 10000

        def count():
            nonlocal counted
            counted += 1

        for _ in range(n):
            for each in [spawn(count) for _ in range(size)]:
                join(each)
        return n * size, counted == n * size

    def channel(n):
        there, back = queue(), queue()
        counted = 0

        def other():
            nonlocal counted
            while there.get():
                counted += 1
                back.put(1)

        task = spawn(other)
        for _ in range(n):
            there.put(1)
            counted += back.get()
        there.put(0)
        join(task)
        return 2 * n, counted == 2 * n

    def lock_unlock(n):
        lock = semaphore()
        for _ in range(n):
            lock.acquire()
            lock.release()
        return n, True

    return {
        "yield/2": yield_row(2, 2000, spawn, join, sleep),
        "yield/1000": yield_row(1000, 20, spawn, join, sleep),
        "channel": timed(channel),
        "lock_unlock": timed(lock_unlock),
        "spawn_join": timed(spawn_join),
        "spawn_batch/10000": timed(spawn_batch),
    }


def gevent_rows():
    import gevent
    from gevent.lock import Semaphore
    from gevent.queue import Channel

    return common_rows(gevent.spawn, lambda task: task.join(), gevent.sleep, Semaphore, Channel)


def eventlet_rows():
    import eventlet
    from eventlet.queue import LightQueue
    from eventlet.semaphore import Semaphore

    return common_rows(eventlet.spawn, lambda task: task.wait(), eventlet.sleep, Semaphore, lambda: LightQueue(0))


def measure(name, work, least):
    """Repeats the work until it has taken long enough to be timed."""
    n = 1
    while True:
        items, took, right = work(n)
        if took >= least:
            return {"name": name, "run_name": name, "run_type": "iteration", "items_per_second": items / took,
                    "error_occurred": not right, "error_message": "" if right else "the count is wrong"}
        n *= 2


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("library", choices=["greenlet", "gevent", "eventlet"])
    options.add_argument("--filter", default=".")
    options.add_argument("--min_time", type=float, default=0.1)
    arguments = options.parse_args()
    table = {"greenlet": greenlet_rows, "gevent": gevent_rows, "eventlet": eventlet_rows}[arguments.library]()
    results = [measure(name, work, arguments.min_time) for name, work in table.items()
               if re.search(arguments.filter, name)]
    json.dump({"benchmarks": results}, sys.stdout)


if __name__ == "__main__":
    main()
