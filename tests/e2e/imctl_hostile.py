#!/usr/bin/env python3
"""imctl against a server that means harm: whatever it sends, and however much, imctl neither crashes nor
takes more than a bounded amount of memory. And replies that are merely large are shown whole."""

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading

from imctl_lib import (GRAPH, GRAPH_LINE, GRAPH_OK, IMCTL, NODE_A, STAMP, TIMEOUT, FakeDaemon, Results, answers, ask,
                       environment, event, need)

results = Results()

MIB = 1024 * 1024
LINE_MAX = 64 * 1024
TASK_LINE_MAX = LINE_MAX + 9 * 11000000
SANITIZED = b"__asan_init" in open(IMCTL, "rb").read()
UPDATE = ("update", "3", "7")


def node_line(number):
    return f"NODE id={number:08x}-1111-4111-8111-111111111111 group=default slot={number} version=7 state=running " \
        f"revision=1 created={STAMP} started={STAMP}\n"


def task_line(number, more=""):
    return f"TASK graph={GRAPH} id={number} action=start_node node={number:08x}-1111-4111-8111-111111111111 " \
        f"slot={number} version=7 {more}state=waiting waits=prereqs\n"


def block(make, count=2000):
    return "".join(make(number) for number in range(count)).encode()


def endless(head, piece):
    """A `serve` that sends the head, and then the piece until the client is gone."""
    def serve(daemon, connection, _):
        if not daemon.next_request(connection):
            return
        try:
            connection.sock.sendall(head)
            while True:
                connection.sock.sendall(piece)
        except OSError:
            pass
    return serve


def limit_memory():
    """So that an imctl without bounds fails, and not the machine. A sanitizer reserves more than any limit."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not SANITIZED:
        resource.setrlimit(resource.RLIMIT_AS, (1024 * MIB, 1024 * MIB))


OUTPUT = (20 if SANITIZED else 40) * MIB


def run_measured(serve, *args, output=OUTPUT):
    """Runs imctl; its output is read up to so many bytes and then closed. What it did: status, bytes of output,
    message, and the most memory that it had at a time."""
    with FakeDaemon(serve) as daemon, tempfile.TemporaryFile() as messages:
        process = subprocess.Popen([IMCTL, "-s", daemon.path, *args], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=messages, env=environment(),
                                   preexec_fn=limit_memory)
        hangs = threading.Timer(TIMEOUT, process.kill)
        hangs.start()
        got = 0
        while got < output and (data := os.read(process.stdout.fileno(), MIB)):
            got += len(data)
        process.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        hangs.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        messages.seek(0)
        message = messages.read().decode()
    return process.returncode, got, message, usage.ru_maxrss * 1024


NODES, TASKS = block(node_line), block(task_line)
STATS = "".join(f"STAT name=n{number} value=1\n" for number in range(2000)).encode()
NODE_EVENTS = block(lambda n: event(n, "node-state", f"node={NODE_A} slot=0 state=running"))


def test_endless_output_takes_bounded_memory():
    """What is printed as it comes goes on until its reader has enough."""
    graph = GRAPH_LINE.encode()
    cases = (
            ("a listing", b"", NODES, "nodes", "ls"), ("ids", b"", NODES, "-q", "nodes", "ls"),
            ("a listing as JSON", b"", NODES, "--json", "nodes", "ls"), ("a graph", graph, TASKS, "graphs", "get", "a"),
            ("a graph as JSON", graph, TASKS, "--json", "graphs", "get", "aaaa"),
            ("a picture", graph, TASKS, "graphs", "dot", "aaaa"),
            ("a picture as JSON", graph, TASKS, "--json", "graphs", "dot", "aaaa"),
            ("a plan", graph, TASKS, "plan", "3", "7"), ("a plan as JSON", graph, TASKS, "--json", "plan", "3", "7"),
            ("an update", graph, TASKS, *UPDATE, "--detach"), ("metrics", b"", b"imd_x 1\n" * 2000, "metrics"),
            ("metrics as JSON", b"", b"imd_x 1\n" * 2000, "--json", "metrics"),
            ("events", b"OK seq=1\n", NODE_EVENTS, "nodes", "stream"), ("raw lines", b"", NODES, "raw", "NODES"))
    # A sanitizer makes it slow, and has memory of its own: then these are to be seen not to crash.
    for name, head, piece, *args in cases[::5] if SANITIZED else cases:
        status, got, message, memory = run_measured(endless(head, piece), *args)
        results.case(f"endless: {name}", status == 1 and got >= OUTPUT and not message and
                     (memory < 100 * MIB or SANITIZED), (status, got, message, memory))


def test_endless_replies_are_given_up():
    """What is not printed, or is of no use before it is whole."""
    for name, head, piece, *args in (
            ("records of a ping", b"", NODES, "ping"), ("records of a node", b"", NODES, "nodes", "get", "aaaa"),
            ("records of a backup", b"", NODES, "backup", "-"), ("figures", b"", STATS, "stats"),
            ("figures as JSON", b"", STATS, "--json", "stats"), ("events that nobody wants", b"", NODE_EVENTS, "ping"),
            ("events before a reply", b"OK seq=1\n", NODE_EVENTS, *UPDATE),
            ("metrics that nobody wants", b"", b"imd_x 1\n" * 2000, "nodes", "ls"),
            ("a line", b"NODE ", b"a" * 65536, "nodes", "ls"), ("words", b"NODE", b" a=b" * 16384, "nodes", "ls"),
            ("prerequisites", b"TASK id=1 prereqs=1", b",1" * 32768, "graphs", "get", "aaaa")):
        status, got, message, memory = run_measured(endless(head, piece), *args)
        results.case(f"given up: {name}", status == 1 and got < MIB and message.count("\n") == 1 and
                     re.search(r"^imctl: imd at .* sent (a line of )?more than \d+", message) and
                     (memory < 300 * MIB or SANITIZED), (status, got, message, memory))


def test_long_lines_without_end_are_given_up():
    """The bytes of lines that do not belong to a reply are counted, too: 1000 such lines may be 94 GiB."""
    for size, most in ((MIB, 100 * MIB), (80 * MIB, 400 * MIB)):
        line = b"TASK id=1 prereqs=1" + b",1" * (size // 2) + b"\n"
        for args in (("ping",), ("nodes", "kill", "aaaa"), ("backup", "-")):
            status, got, message, memory = run_measured(endless(b"", line), *args)
            results.case(f"given up: lines of {size // MIB} MiB, {args[0]}", status == 1 and got == 0 and re.fullmatch(
                r"imctl: imd at \S+ sent more than 1000 lines or 64 MiB that do not belong to the reply\n", message) and
                         (memory < most or SANITIZED), (status, got, message, memory))
    within = f"TASK id=1 prereqs=1{',1' * (30 * MIB)}\n"
    done, _ = ask([within + "OK\n"], "ping")
    results.equal("one long line is passed over", (done.returncode, done.stderr), (0, ""))


def test_graphs_that_supersede_one_another_without_end():
    def serve(daemon, connection, _):
        request = daemon.next_request(connection)
        if request.startswith("GRAPH"):
            connection.send("ERR not-found no\n")
            return
        connection.send("OK seq=10\n")
        daemon.next_request(connection)
        connection.send(GRAPH_LINE + GRAPH_OK)
        number = 0
        while connection.sock.fileno() >= 0 and number < 3000:
            number += 1
            graph = GRAPH if number == 1 else f"{number - 1:08x}-1111-4111-8111-111111111111"
            connection.send(event(10 + number, "graph-superseded", "state=superseded "
                                  f"successor={number:08x}-1111-4111-8111-111111111111", graph))
        connection.request()
    status, _, message, _ = run_measured(serve, *UPDATE)
    results.case("graphs without end", status == 1 and "more than 1000 graphs" in message, (status, message[-300:]))


def long_line(size, line):
    return line + "a" * (size - len(line)) + "\n"


def test_the_longest_lines():
    for name, line, good in (
            ("a line of the maximum", long_line(LINE_MAX, f"NODE id={NODE_A} error="), True),
            ("a line over it", long_line(LINE_MAX + 1, f"NODE id={NODE_A} error="), False),
            ("256 words", "NODE" + 255 * " a=b" + "\n", True), ("257 words", "NODE" + 256 * " a=b" + "\n", False)):
        done, _ = ask([line + "OK\n"], "nodes", "ls", "--json")
        results.case(name, done.returncode == (0 if good else 1) and bool(done.stdout) == good, done.stderr[:300])
    prereqs = ",".join(str(number) for number in range(1, 10 ** 6)) + "," + ",".join(["10000000", "7"] * 1000)
    task = f"TASK graph={GRAPH} id=20000000 prereqs={prereqs} action=do_nothing state=waiting\n"
    done, _ = ask([GRAPH_LINE + task + "OK\n"], "graphs", "get", "aaaa", "--json")
    got = json.loads(done.stdout)["tasks"][0]["prereqs"] if done.returncode == 0 else None
    results.case("a million prerequisites as JSON", got == [int(number) for number in prereqs.split(",")], done.stderr)
    done, _ = ask([GRAPH_LINE + task + "OK\n"], "graphs", "get", "aaaa")
    results.matches("and as people read them", r"^ *20000000 \[1 2 \.\. 999999 10000000 7 10000000", done.stdout[:2000])
    task = long_line(TASK_LINE_MAX + 1, "TASK id=1 prereqs=")
    with FakeDaemon(answers(task + "OK\n")) as daemon:
        done = subprocess.run([IMCTL, "-s", daemon.path, "graphs", "get", "aaaa"], capture_output=True, text=True,
                              check=False, timeout=TIMEOUT)
    results.case("a task over the maximum", done.returncode == 1 and
                 f"more than {TASK_LINE_MAX} bytes" in done.stderr, done.stderr[:300])


MANY = 30000


def test_large_replies_are_whole():
    reply = "".join(node_line(number) for number in range(MANY))
    late = node_line(MANY).replace("\n", " error=\"it broke\"\n")
    done, _ = ask([reply + late + "OK\n"], "nodes", "ls")
    lines = done.stdout.splitlines()
    results.equal("a large table: rows", (len(lines), done.stderr), (MANY + 2, ""))
    results.equal("its headings", lines[0].split(), "ID SLOT VERSION STATE REVISION CREATED STARTED FINISHED MARKED "
                  "MARKED-BY ERROR".split())
    results.equal("a value of a column that was empty at first", lines[-1].endswith(" it broke"), True)
    results.equal("its columns stand below their headings", {line.index(" running ") for line in lines[1:]},
                  {lines[0].index(" STATE ")})
    results.equal("its numbers stand to the right", [lines[number].split()[1:3] for number in (1, 10, MANY)],
                  [["0", "7"], ["9", "7"], [str(MANY - 1), "7"]])
    done, _ = ask([reply + "OK\n"], "nodes", "ls", "--no-legend")
    results.equal("without headings", len(done.stdout.splitlines()), MANY)
    done, _ = ask([reply + "ERR gone it was pruned\n"], "nodes", "ls")
    results.equal("one that does not end well", (done.returncode, done.stderr, len(done.stdout.splitlines())),
                  (1, "imctl: gone: it was pruned\n", MANY))
    done, _ = ask([reply + "OK\n"], "nodes", "ls", "-q")
    results.equal("ids", len(set(done.stdout.split())), MANY)
    many = 3 * MANY  # more than 16 MiB of JSON
    reply = "".join(node_line(number) for number in range(many))
    done, _ = ask([reply + "OK\n"], "nodes", "ls", "--json")
    results.equal("JSON", [node["slot"] for node in json.loads(done.stdout)], list(range(many)))
    done, _ = ask([reply + "ERR gone it was pruned\n"], "nodes", "ls", "--json")
    results.case("JSON that does not end well is no JSON, but whole lines", done.returncode == 1 and
                 done.stdout.startswith("[{") and done.stdout.endswith("\n") and not done.stdout.endswith("]\n"),
                 done.stdout[-200:])


def test_large_graphs_are_whole():
    tasks = "".join(task_line(number, f"prereqs={number - 1} " if number else "") for number in range(3 * MANY))
    reply = GRAPH_LINE + tasks + "OK\n"
    got = json.loads(ask([reply], "graphs", "get", "aaaa", "--json")[0].stdout)
    results.equal("a graph as JSON", (got["graph"]["id"], got["tasks"][-1]["prereqs"], len(got["tasks"])),
                  (GRAPH, [3 * MANY - 2], 3 * MANY))
    lines = ask([reply], "graphs", "get", "aaaa")[0].stdout.splitlines()
    head = lines.index("")
    results.equal("a graph", (lines[head + 1].split()[:2], len(lines) - head), (["ID", "PREREQS"], 3 * MANY + 2))
    dot = ask([reply], "graphs", "dot", "aaaa")[0].stdout
    results.equal("a picture", (dot.count(" -> "), dot.endswith("}\n")), (3 * MANY - 1, True))
    results.equal("a picture as JSON", json.loads(ask([reply], "graphs", "dot", "aaaa", "--json")[0].stdout),
                  {"dot": dot})
    metrics = "".join(f"imd_number{{a=\"b{number}\"}} 1\n" for number in range(40 * MANY))
    results.equal("metrics", ask([metrics + "OK\n"], "metrics")[0].stdout, metrics)
    results.equal("metrics as JSON", json.loads(ask([metrics + "OK\n"], "metrics", "--json")[0].stdout),
                  {"metrics": metrics})


def test_a_large_update_is_followed():
    tasks = "".join(task_line(number) for number in range(MANY))
    last = MANY - 1
    events = event(11, "task-started", f"task={last} action=start_node attempt=1") + \
        event(12, "graph-succeeded", "state=succeeded")
    for args in ((), ("--json",)):
        done, _ = ask(["OK seq=10\n", GRAPH_LINE + tasks + GRAPH_OK + events], *args, *UPDATE)
        results.equal("an update", (done.returncode, done.stderr), (0, ""))
        lines = done.stdout.splitlines()
        if args:
            plan = json.loads(lines[0])
            results.equal("its plan as JSON", (plan["type"], len(plan["tasks"]), plan["max-live"], len(lines)),
                          ("plan", MANY, 2, 4))
        else:
            results.equal("its plan", (lines[0], len(lines)), ("TASK GRAPH SPEC:", MANY + 6))
            results.matches("an event is shown with what its task does", rf"task {last} started: start_node {last:08x}-"
                            rf"1111-4111-8111-111111111111 slot {last} version 7$", "\n".join(lines[-2:]))


def test_a_large_plan_that_is_cut():
    """What comes after it is a line of its own."""
    tasks = "".join(task_line(number) for number in range(4 * MANY))
    for reply, status, message in ((tasks + "ERR internal it broke\n", 1, "imctl: internal: it broke\n"),
                                   (tasks, 124, "imctl: timed out")):
        done, _ = ask(["OK seq=10\n", GRAPH_LINE + reply], "--json", "--timeout=5s", *UPDATE)
        lines = done.stdout.splitlines()
        results.equal(f"a plan that is cut, status {status}", (
            done.returncode, done.stderr.startswith(message), len(lines), json.loads(lines[-1])["type"]),
            (status, True, 2, "result"))


def main():
    need(IMCTL)
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
    return results.end()


if __name__ == "__main__":
    sys.exit(main())
