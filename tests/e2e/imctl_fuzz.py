#!/usr/bin/env python3
"""imctl and replies that are random, or good ones changed at random: it may complain, and never crashes or hangs.
The cases of `make check` are the same each time; IMD_FUZZ_SECONDS=N goes on with others for so long. With a build
that has sanitizers it finds more."""

import os
import random
import subprocess
import sys
import threading
import time

from imctl_lib import (EVENTS, GRAPH, GRAPH_LINE, GRAPH_OK, IMCTL, NODE_A, NODE_LINES, OTHER, STAMP, SUCCEEDED, TASK_LINES,
                       FakeDaemon, Results, environment, event, need, task_event)

results = Results()

CASES = 300
HANGS_S = 30

COMMANDS = (
    "nodes ls", "-q nodes ls", "--json nodes ls", "-g * nodes ls", "nodes get aaaa", "--json nodes get aaaa", "spec",
    "specs ls", "groups ls", "-q groups ls", "graphs ls", "--json graphs ls", "graphs get aaaa", "--json graphs get aaaa",
    "graphs dot aaaa", "--json graphs dot aaaa", "graphs stream-tasks aaaa", "--json graphs stream-tasks aaaa",
    "graphs cancel aaaa", "--json nodes kill aaaa", "nodes stream", "--json nodes stream", "graphs stream", "stats",
    "--json stats", "metrics", "--json metrics", "plan 3 7", "--json plan 3 7", "update 3 7", "--json update 3 7",
    "-q update 3 7", "--detach update 3 7", "raw PING", "--json raw PING", "ping", "--json ping", "backup /x")

LINES = (NODE_LINES + GRAPH_LINE + TASK_LINES + GRAPH_OK + EVENTS + SUCCEEDED + event(20, "graph-superseded",
         f"state=superseded successor={OTHER}") + task_event(21, "failed", 1, OTHER, "error=\"it \\\"broke\\\"\"") +
         "OK\nOK seq=10\nERR gone it was pruned\nERR lagged seq=4\nERR shutting-down bye\nERR not-found no\n"
         f"SPEC group=web revision=3 size=3 version=7 max-surge=25% max-unavailable=1 created={STAMP} note=\"a b\"\n"
         "STAT name=nodes value=3\nCOMMAND name=PING usage=PING help=\"asks\"\n# TYPE imd_nodes gauge\nimd_nodes 3\n"
         "# EOF\n").encode().splitlines(keepends=True)

PIECES = [b"\n", b"\r\n", b"\0", b"\x1b[2J", b"\xff", b"\xc3", b"\"", b"\\", b"\\x00", b"\\xff", b"\\n", b"=", b" ", b"\t",
          b",", b"prereqs=", b"id=", b"-1", b"18446744073709551616", b"9223372036854775807", b"22999999", b"%s%n", b"{}",
          b"TASK ", b"OK", b"ERR ", b"EVENT ", b"EVENT 1 ", b"imd_", b"#", b"a=b", b"x" * 500, b"1," * 500, b"0001-01-01T",
          b"9999-12-31T23:59:59.999999Z", b"successor=" + GRAPH.encode(), b"task=", b"attempt=", b"finished=" + STAMP.encode(),
          b"graph=", b"group=default", b"state=succeeded", b"slot=", b"\xe2\x80\xae", NODE_A.encode()]


def mutate(chance, data):
    data = bytearray(data)
    for _ in range(chance.choice((0, 1, 1, 2, 4, 16))):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(5)
        if kind == 0:
            data[at:at] = chance.choice(PIECES)
        elif kind == 1:
            del data[at:at + chance.choice((1, 1, 3, 20, 200))]
        elif kind == 2 and at < len(data):
            data[at] = chance.randrange(256)
        elif kind == 3:
            end = at + chance.randrange(100)
            data[at:at] = data[at:end] * chance.choice((1, 2, 50))
        else:
            data[at:at + chance.randrange(20)] = chance.choice(PIECES)
    return bytes(data)


def make_reply(chance):
    if chance.randrange(20) == 0:
        return chance.randbytes(chance.randrange(300)) + b"\n"
    lines = [chance.choice(LINES) for _ in range(chance.choice((0, 1, 3, 8, 40)))]
    if chance.randrange(2):
        at = chance.randrange(len(LINES))
        lines = list(LINES[at:at + chance.randrange(12)])
    data = b"".join(lines)
    if chance.randrange(2):
        data += chance.choice((b"OK\n", b"OK seq=10\n", GRAPH_OK.encode()))
    return mutate(chance, data)


def serve_for(replies):
    """Each connection, and each request of it, gets the next of these; then the connection is closed."""
    left = list(replies)

    def serve(daemon, connection, _):
        while left and daemon.next_request(connection):
            connection.send(left.pop(0) if left else b"")
    return serve


def say_case(seed, arguments, replies, done):
    return f"seed {seed}: imctl {' '.join(arguments)}: {done}\nreplies: {replies}"


def try_case(seed):
    """None, or what went wrong."""
    chance = random.Random(seed)
    arguments = ["--timeout=200ms", *chance.choice(COMMANDS).split()]
    replies = [make_reply(chance) for _ in range(chance.randrange(1, 6))]
    with FakeDaemon(serve_for(replies)) as daemon:
        try:
            done = subprocess.run([IMCTL, "-s", daemon.path, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                                  env=environment(), timeout=HANGS_S, check=False)
        except subprocess.TimeoutExpired:
            return say_case(seed, arguments, replies, "hangs")
    text = done.stdout + done.stderr
    if done.returncode not in (0, 1, 2, 3, 4, 5, 124) or b"Sanitizer" in text or b"runtime error" in text or \
            b"\x1b" in text or b"\0" in text:
        return say_case(seed, arguments, replies, done)
    return None


def try_all(seeds):
    """Two at a time."""
    found = []
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                seed = next(seeds, None)
            if seed is None:
                return
            wrong = try_case(seed)
            if wrong:
                found.append(wrong)
    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return found


def seeds_for(seconds):
    first = random.randrange(1 << 32)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield first
        first += 1


def main():
    need(IMCTL)
    found = try_all(iter(range(CASES)))
    results.case(f"{CASES} random replies", not found, "\n".join(found))
    if seconds := float(os.environ.get("IMD_FUZZ_SECONDS", "0")):
        found = try_all(seeds_for(seconds))
        results.case(f"random replies for {seconds:g} s", not found, "\n".join(found))
    return results.end()


if __name__ == "__main__":
    sys.exit(main())
