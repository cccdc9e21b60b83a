#!/usr/bin/env python3
"""imctl where imd goes away: it connects again and goes on behind the last event, begins anew where
events are lost, follows an update to its end, and never declares anything twice."""

import json
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading

sys.dont_write_bytecode = True  # the tests may run from a source tree that is not theirs

from imctl_lib import (EVENTS, GRAPH, GRAPH_LINE, IMCTL, IMD, LOCAL, NODE_A, NODE_B, NODE_LINES, OTHER,
                       PLAN_REPLY, STAMP, SUCCEEDED, TASK_LINES, TIMEOUT, UUID, Client, Daemon, FakeDaemon,
                       Results, event, finish, need, read_until, task_event)

results = Results()

STAY = object()  # at the end of a script: the connection is held until the client closes it
RESET = object()  # the same: it is closed with the next request unread, which resets it
SHUTTING_DOWN = "ERR shutting-down the daemon ends\n"
GONE = "ERR gone since is not kept\n"
ENOUGH = "ERR internal enough\n"  # this ends a watch
SAID_ENOUGH = "imctl: internal: enough\n"


def plays(*scripts):
    """A `serve` that plays a script on each connection: the replies to its requests, in turn. Behind
    them, and where there are more connections than scripts, it closes."""
    def serve(daemon, connection, number):
        for reply in scripts[number - 1] if number <= len(scripts) else ():
            if reply is RESET:
                connection.sock.recv(1, socket.MSG_PEEK)
                return
            if not daemon.next_request(connection):
                return
            if reply is STAY:
                return
            connection.send(reply)
    return serve


def run(scripts, *args):
    """Runs imctl against a daemon that plays these: what it did, and what it asked."""
    with FakeDaemon(plays(*scripts)) as daemon:
        return Client(daemon.path).run(*args), daemon.requests


def resuming(seq, why="connection lost"):
    return f"imctl: {why}; reconnected, resuming after event {seq}\n"


def anew(seq, why="connection lost"):
    return f"imctl: {why}; reconnected, but events after {seq} were lost; restarting from a full listing\n"


def node_event(seq, state):
    return f"EVENT {seq} node-state node={NODE_A} group=default slot=0 state={state} at={STAMP}\n"


def shown(state):
    return f"{LOCAL} node {NODE_A} slot 0 {state}"


NODES = [f"node {NODE_A} slot 0 version 7 running", f"node {NODE_B} slot 10 version 7 failed: it broke"]
STREAM = NODE_LINES + "OK seq=3\n" + node_event(4, "unhealthy")


# ---- streams ------------------------------------------------------------------------------------

def test_resumes():
    for case, end in [("a closed connection", ""), ("shutting-down", SHUTTING_DOWN),
                      ("within an event", node_event(7, "running")[:-30])]:
        done, requests = run([[STREAM + end], ["OK seq=6\n" + node_event(7, "running") + ENOUGH]],
                             "nodes", "stream")
        results.equal(f"{case}: the requests", requests, ["WATCH NODES", "WATCH NODES since=4"])
        results.equal(f"{case}: one line", done.stderr, resuming(4) + SAID_ENOUGH)
        results.equal(f"{case}: all there is, once", done.stdout.splitlines(),
                      [*NODES, shown("unhealthy"), shown("running")])
    done, requests = run([["OK seq=3\n"], ["OK seq=3\n" + SHUTTING_DOWN], ["OK seq=3\n" + ENOUGH]],
                         "-q", "graphs", "stream", "-g", "web")
    results.equal("again and again, without an event", (requests, done.stderr), (
        ["WATCH GRAPHS group=web initial=no"] + ["WATCH GRAPHS group=web since=3"] * 2,
        resuming(3) * 2 + SAID_ENOUGH))
    done, requests = run([[STREAM], ["OK seq=4\n" + node_event(5, "running") + ENOUGH]],
                         "nodes", "stream", "--json")
    results.equal("as JSON", ([json.loads(line)["type"] for line in done.stdout.splitlines()],
                              done.stderr),
                  (["node", "node", "node-state", "node-state"], resuming(4) + SAID_ENOUGH))


def test_gone():
    fresh = NODE_LINES.replace("running", "starting") + "OK seq=2\n" + node_event(3, "running") + ENOUGH
    starting = NODES[0].replace("running", "starting")
    done, requests = run([[STREAM], [GONE, fresh]], "nodes", "stream")
    results.equal("gone: the requests", requests, ["WATCH NODES", "WATCH NODES since=4", "WATCH NODES"])
    results.equal("gone: one line", done.stderr, anew(4) + SAID_ENOUGH)
    results.equal("gone: records, and then events", done.stdout.splitlines(),
                  [*NODES, shown("unhealthy"), starting, NODES[1], shown("running")])
    for cut in (NODE_LINES[:70] + "\n", NODE_LINES[:-5] + "\n"):
        done, requests = run([[STREAM], [GONE, cut + SHUTTING_DOWN], [GONE, fresh]], "nodes", "stream")
        results.equal("gone, and gone away in a record: the requests", requests,
                      ["WATCH NODES"] + ["WATCH NODES since=4", "WATCH NODES"] * 2)
        whole = [NODES[0]] * (cut.count("\n") - 1)
        results.equal("gone, and gone away in a record: nothing cut short is shown",
                      (done.stdout.splitlines(), done.stderr),
                      ([*NODES, shown("unhealthy"), *whole, starting, NODES[1], shown("running")],
                       anew(4) * 2 + SAID_ENOUGH))
    done, requests = run([[STREAM], [GONE, fresh]], "-q", "nodes", "stream", "--json")
    results.equal("gone, --quiet and JSON", (requests[2], [
        json.loads(line)["type"] for line in done.stdout.splitlines()]),
        ("WATCH NODES initial=no", ["node", "node", "node-state", "node", "node", "node-state"]))
    done, requests = run([[STREAM], ["ERR not-found no group is named web\n"]],
                         "nodes", "stream", "-g", "web")
    results.equal("the group is gone, too", (done.returncode, done.stderr),
                  (4, "imctl: not-found: no group is named web\n"))


INCARNATION, ANOTHER = "0f1e2d3c-4b5a-4678-8796-a5b4c3d2e1f0", "1f0e3dad-9990-4b5f-8c3a-2f1f4d0c6e7b"
REPLACED = f"ERR gone incarnation={ANOTHER} is the current one; since=3 belongs to another\n"
SAID_REPLACED = "imctl: connection lost; reconnected, but imd has a different state (restored or new); " \
    "restarting from a full listing\n"


def ok(seq, incarnation=INCARNATION):
    return f"OK seq={seq} incarnation={incarnation}\n"


def came_back_without(graph):
    return f"imctl: imd has a different state without graph {graph}; its outcome is unknown\n"


def test_incarnations():
    done, requests = run([[ok(3) + node_event(4, "unhealthy")], [ok(4) + node_event(5, "running")], [ok(5) + ENOUGH]],
                         "nodes", "stream")
    results.equal("it comes back with number and incarnation", (requests, done.stderr), (
        ["WATCH NODES", f"WATCH NODES since=4@{INCARNATION}", f"WATCH NODES since=5@{INCARNATION}"],
        resuming(4) + resuming(5) + SAID_ENOUGH))
    fresh = NODE_LINES.replace("running", "starting") + ok(2, ANOTHER) + node_event(3, "running")
    done, requests = run([[NODE_LINES + ok(4)], [REPLACED, fresh], [ok(3, ANOTHER) + ENOUGH]], "nodes", "stream")
    results.equal("another state: the requests", requests, [
        "WATCH NODES", f"WATCH NODES since=4@{INCARNATION}", "WATCH NODES", f"WATCH NODES since=3@{ANOTHER}"])
    results.equal("another state: that is said", done.stderr, SAID_REPLACED + resuming(3) + SAID_ENOUGH)
    results.equal("another state: records, and then events", done.stdout.splitlines(),
                  [*NODES, NODES[0].replace("running", "starting"), NODES[1], shown("running")])
    done, _ = run([[NODE_LINES + ok(4)], [GONE, NODE_LINES + ok(9) + ENOUGH]], "nodes", "stream")
    results.equal("the same state, and events are gone", done.stderr, anew(4) + SAID_ENOUGH)


def test_versions_without_incarnations():
    done, requests = run([["OK seq=3\n"], [ok(3) + node_event(4, "running")], [ok(4) + ENOUGH]], "nodes", "stream")
    results.equal("imd is upgraded", (requests, done.stderr), (
        ["WATCH NODES", "WATCH NODES since=3", f"WATCH NODES since=4@{INCARNATION}"],
        resuming(3) + resuming(4) + SAID_ENOUGH))
    refusal = 'ERR bad-argument since must be a whole number\n'
    done, requests = run([[ok(3)], [refusal, "OK seq=2\n"], ["OK seq=2\n" + ENOUGH]], "nodes", "stream")
    results.equal("imd is downgraded", (requests, done.stderr), (
        ["WATCH NODES", f"WATCH NODES since=3@{INCARNATION}", "WATCH NODES", "WATCH NODES since=2"],
        anew(3) + resuming(2) + SAID_ENOUGH))
    done, requests = run([["OK seq=3\n"], [refusal]], "nodes", "stream")
    results.equal("a number alone is refused", (done.returncode, len(requests)), (2, 2))
    for value in ("x", INCARNATION[:-1], INCARNATION + "0", "", '"a b"', "\\x07"):
        done, requests = run([[f"OK seq=3 incarnation={value}\n"], ["OK seq=3\n" + ENOUGH]], "nodes", "stream")
        results.equal(f"incarnation={value} is none", requests[-1], "WATCH NODES since=3")


def test_lagged():
    back = "OK seq=4\n" + node_event(5, "running")
    done, requests = run([[STREAM + "ERR lagged seq=9\n"], [back + "ERR lagged seq=20\n"], [],
                          ["OK seq=9\n" + ENOUGH]], "nodes", "stream")
    results.equal("lagged, and lagged and went away", (requests, done.stderr), (
        ["WATCH NODES", "WATCH NODES since=4", "WATCH NODES since=5"],
        resuming(4, "lagged behind") + resuming(5) + SAID_ENOUGH))
    done, requests = run([[STREAM + "ERR lagged seq=9\n"], [GONE, "OK seq=90\n" + ENOUGH]],
                         "nodes", "stream")
    results.equal("lagged, and events are gone", (requests[1:], done.stderr), (
        ["WATCH NODES since=4", "WATCH NODES"], anew(4, "lagged behind") + SAID_ENOUGH))


def test_busy():
    done, requests = run([[STREAM], ["ERR too-many there are 1000 connections\n"],
                          ["OK seq=4\n" + ENOUGH]], "nodes", "stream")
    results.equal("too many clients come back", (requests[1:], done.stderr), (
        ["WATCH NODES since=4"] * 2, resuming(4) + SAID_ENOUGH))
    done, requests = run([[STREAM], ["ERR denied you may not\n"]], "nodes", "stream")
    results.equal("what is refused is not tried again", (done.returncode, len(requests), done.stderr),
                  (5, 2, "imctl: denied: you may not\n"))


def test_comes_back_late():
    done, requests = run([[STREAM], [], [], [], ["OK seq=4\n" + ENOUGH]], "nodes", "stream")
    results.equal("it closes again three times: one line", (requests, done.stderr),
                  (["WATCH NODES", "WATCH NODES since=4"], resuming(4) + SAID_ENOUGH))
    directory = tempfile.mkdtemp(prefix="imctl-test.")
    path = os.path.join(directory, "sock")
    with FakeDaemon(plays([STREAM]), path) as daemon:
        process = Client(path).start("nodes", "stream")
        read_until(process, "unhealthy")
    said = read_until(process, "^imctl: connection lost; imd cannot be reached; trying", messages=True)
    results.equal("no socket for long: said once", said.count("\n"), 1)
    with FakeDaemon(plays(["OK seq=4\n" + ENOUGH]), path) as daemon:
        _, err, status = finish(process)
    results.equal("then it is there", (daemon.requests, err, status),
                  (["WATCH NODES since=4"], resuming(4) + SAID_ENOUGH, 1))
    shutil.rmtree(directory)


def closes_from_the_second_on(first):
    """A `serve` that plays `first` and closes every other connection; and what is set by the fourth."""
    tried = threading.Event()

    def serve(daemon, connection, number):
        plays(first)(daemon, connection, number)
        if number == 4:
            tried.set()
    return serve, tried


def test_interrupted_while_away():
    for args, first, afterword in [
            (["nodes", "stream"], [STREAM], ""),
            (["update", "2", "7"], ["OK seq=10\n", PLAN_REPLY + EVENTS],
             f"; the rollout goes on: imctl graphs stream-tasks {GRAPH}")]:
        serve, tried = closes_from_the_second_on(first)
        with FakeDaemon(serve) as daemon:
            process = Client(daemon.path).start(*args)
            tried.wait(TIMEOUT)
            _, err, status = finish(process, signal.SIGINT)
        results.case(f"Ctrl-C while imd is away from {args[0]}", status == 130 and err.endswith(
            "imctl: connection lost; imd was not back yet: the connection was closed\n"
            f"imctl: interrupted{afterword}\n"), (status, err))
    done, _ = run([[STREAM]], "nodes", "stream", "--timeout=300ms")
    results.case("--timeout while imd is away", done.returncode == 124 and
                 done.stderr.endswith("imctl: timed out\n"), done)
    serve, tried = closes_from_the_second_on([STREAM])
    with FakeDaemon(serve) as daemon:
        process = Client(daemon.path).start("nodes", "stream")
        tried.wait(TIMEOUT)
        process.stdout.close()
        results.equal("the reader goes away meanwhile", process.wait(), 1)
        process.stderr.close()


PING, KILL, LIST = ["ping"], ["nodes", "kill", "aaaa"], ["nodes", "ls"]
DETACHED, FOLLOWED = ["update", "2", "7", "--detach"], ["update", "2", "7"]
WATCHED = ["nodes", "stream"]


def test_asked_again():
    """An imd that is restarted takes a question back, and what it had not begun."""
    for args, ends, replies in [(PING, ["", SHUTTING_DOWN], ["OK\n"]), (LIST, ["", NODE_LINES[:50]], [NODE_LINES + "OK\n"]),
                                (KILL, [SHUTTING_DOWN], ["OK\n"]), (DETACHED, [SHUTTING_DOWN], [PLAN_REPLY]),
                                (WATCHED, ["", SHUTTING_DOWN, NODE_LINES[:50]], [NODE_LINES + "OK seq=4\n" + ENOUGH]),
                                (FOLLOWED, ["", SHUTTING_DOWN], ["OK seq=10\n", PLAN_REPLY + EVENTS + SUCCEEDED])]:
        for end in ends:
            for times in (1, 2):
                done, requests = run([[end]] * times + [replies], *args)
                said = SAID_ENOUGH if args is WATCHED else ""
                results.equal(f"{args} is asked again behind {end[:20]!r} {times} times",
                              (done.returncode, done.stderr, requests[:-1] if args is FOLLOWED else requests),
                              (1 if said else 0, said, requests[:1] * (times + 1)))
            done, requests = run([[end]] * 3, *args)
            said = "shutting-down: the daemon ends" if end == SHUTTING_DOWN else \
                "cannot reach imd at .*: the connection was closed"
            results.case(f"{args} is not asked for ever behind {end[:20]!r}", done.returncode == 3 and
                         len(requests) == 3 and re.fullmatch(f"imctl: {said}\n", done.stderr), (done, requests))


def test_update_is_asked_again():
    """The watch has begun, and what it told before belongs to others."""
    before = task_event(11, "started", 5, OTHER)
    again = ["OK seq=11\n", PLAN_REPLY + EVENTS + SUCCEEDED]
    done, requests = run([["OK seq=10\n" + before, SHUTTING_DOWN], again], *FOLLOWED)
    results.equal("an update that was not begun is declared again", (done.returncode, done.stderr, requests),
                  (0, "", ["WATCH ALL group=default initial=no", "UPDATE 2 7"] * 2))
    results.case("the events before are not its", OTHER not in done.stdout, done)
    for more, code in ([], 3), (["--json"], 3):
        done, requests = run([["OK seq=10\n", SHUTTING_DOWN]] * 3, *FOLLOWED, *more)
        results.equal("an update that was never begun", (done.returncode, done.stdout, done.stderr, requests.count("UPDATE 2 7")),
                      (code, "", "imctl: shutting-down: the daemon ends\n", 3))


def test_not_asked_again():
    """What may have been done, and a reply that was begun."""
    unknown = "imd did not answer; it is unknown whether it did what was asked: the connection was closed"
    for args, replies, said in [(KILL, [""], unknown), (KILL, [RESET], unknown),
                                (LIST, [NODE_LINES], "cannot reach imd at .*: the connection was closed"),
                                (LIST, [NODE_LINES[:-5] + "\n" + SHUTTING_DOWN], "shutting-down: the daemon ends")]:
        done, requests = run([replies, ["OK\n"]], *args)
        results.case(f"{args} is not asked again behind {replies[0] if replies[0] is not RESET else 'a reset'!r}",
                     done.returncode == (1 if args is KILL else 3) and len(requests) <= 1 and
                     re.fullmatch(f"imctl: {said}\n", done.stderr), (done, requests))


# ---- the tasks of a graph -----------------------------------------------------------------------

TASKS_LIST = TASK_LINES + "OK seq=10\n"
RUNNING = GRAPH_LINE + "OK\n"
ENDED = f"GRAPH id={GRAPH} group=default revision=1 state=succeeded tasks=3 finished={STAMP}\nOK\n"
FAILED = ENDED.replace("succeeded", "failed").replace("finished", "error=\"no luck\" finished")
STREAM_TASKS = ["graphs", "stream-tasks", "aaaa"]


def test_stream_tasks():
    first = [TASKS_LIST, RUNNING + EVENTS]
    done, requests = run([first, ["OK seq=18\n" + SUCCEEDED]], *STREAM_TASKS)
    results.equal("stream-tasks resumes, with the whole id", (done.returncode, requests, done.stderr), (
        0, ["WATCH TASKS aaaa", "GRAPHS group=*", f"WATCH TASKS {GRAPH} since=17"], resuming(17)))
    results.equal("stream-tasks: all there is, once", len(done.stdout.splitlines()), 3 + 8)
    for text, status in ((ENDED, 0), (FAILED, 1)):
        done, requests = run([first, [GONE, TASKS_LIST, text]], *STREAM_TASKS)
        results.equal("stream-tasks of a graph that has ended meanwhile",
                      (done.returncode, requests[2:], len(done.stdout.splitlines())),
                      (status, [f"WATCH TASKS {GRAPH} since=17", f"WATCH TASKS {GRAPH}",
                                "GRAPHS group=*"], 3 + 7 + 3))
    done, requests = run([first, ["ERR not-found there is no such graph\n"]], *STREAM_TASKS)
    results.equal("stream-tasks of a graph that is not there any more", (done.returncode, done.stderr),
                  (4, "imctl: not-found: there is no such graph\n"))
    for ends in ([TASKS_LIST], [TASKS_LIST, ENDED[:40]], [TASKS_LIST, SHUTTING_DOWN], [TASKS_LIST, RESET]):
        done, requests = run([ends, ["OK seq=10\n", ENDED]], *STREAM_TASKS)
        results.equal("stream-tasks: whether it has ended is asked until it is known",
                      (done.returncode, requests[-2:], done.stderr),
                      (0, [f"WATCH TASKS {GRAPH} since=10", "GRAPHS group=*"], resuming(10)))


# ---- an update ----------------------------------------------------------------------------------

# Task 0 has ended, task 1 was seen to begin, and task 2 was not.
BEGUN = event(11, "graph-started", "revision=1 tasks=3 reason=update state=running") + \
    task_event(12, "started", 0, more="attempt=1") + task_event(13, "started", 1, more="attempt=1") + \
    task_event(14, "succeeded", 0, more="attempt=1")
UPDATE = ["OK seq=10\n", PLAN_REPLY + BEGUN]
LATER = "2019-03-11T18:05:50.000001Z"


def task_record(number, state, more="", graph=GRAPH):
    action = f"start_node node={NODE_A if number == 0 else NODE_B} slot={number} version=7" \
        if number < 2 else "do_nothing description=StartNodes prereqs=0,1"
    return f"TASK graph={graph} id={number} action={action} state={state} {more}".rstrip() + "\n"


def begun(attempt=1):
    return f"attempt={attempt} started={STAMP}"


def ended(attempt=1):
    return f"{begun(attempt)} finished={LATER}"


ALL_ENDED = "".join(task_record(number, "succeeded", ended()) for number in range(3)) + "OK\n"
SOME_ENDED = task_record(0, "succeeded", ended()) + task_record(1, "succeeded", ended(2)) + \
    task_record(2, "running", begun()) + "OK\n"
STREAMED = [f"{LOCAL} task 0 started: start_node {NODE_A} slot 0 version 7",
            f"{LOCAL} task 1 started: start_node {NODE_B} slot 1 version 7",
            f"{LOCAL} task 0 succeeded: start_node {NODE_A} slot 0 version 7"]
LATER_LOCAL = "2019/03/11 18:05:50"


def stream_of(done):
    return done.stdout.split("TASKS STREAM:\n")[-1].splitlines()


def test_update_resumes():
    rest = task_event(15, "succeeded", 1, more="attempt=1") + SUCCEEDED
    for case, end in [("a closed connection", ""), ("shutting-down", SHUTTING_DOWN),
                      ("within an event", rest[:30])]:
        done, requests = run([[UPDATE[0], UPDATE[1] + end], ["OK seq=14\n", rest + RUNNING, STAY]],
                             "update", "2", "7")
        results.equal(f"update, {case}: the requests", requests, [
            "WATCH ALL group=default initial=no", "UPDATE 2 7", "WATCH ALL group=default since=14",
            "GRAPHS group=default"])
        results.equal(f"update, {case}: one line", (done.returncode, done.stderr), (0, resuming(14)))
        results.equal(f"update, {case}: all there is, once", stream_of(done), [
            *STREAMED, f"{LOCAL} task 1 succeeded: start_node {NODE_B} slot 1 version 7",
            f"{LOCAL} graph {GRAPH} succeeded"])
    done, requests = run([["OK seq=10\n", PLAN_REPLY], ["OK seq=10\n", RUNNING + BEGUN + SUCCEEDED, STAY]],
                         "update", "2", "7", "-q")
    results.equal("update --quiet resumes in silence, and before the first event", (
        done.returncode, done.stdout, done.stderr, requests[2]), (
            0, "", "", "WATCH GRAPHS group=default since=10"))


def test_update_ended_meanwhile():
    told = [f"{LATER_LOCAL} task 1 succeeded: start_node {NODE_B} slot 1 version 7",
            f"{LOCAL} task 2 started: do_nothing StartNodes",
            f"{LATER_LOCAL} task 2 succeeded: do_nothing StartNodes"]
    done, requests = run([UPDATE, [GONE, "OK seq=3\n", ENDED, ALL_ENDED]], "update", "2", "7")
    results.equal("update, gone: the requests", requests[2:], [
        "WATCH ALL group=default since=14", "WATCH ALL group=default initial=no",
        "GRAPHS group=default", f"TASKS {GRAPH}"])
    results.equal("update, gone: what was missed is told", (done.returncode, stream_of(done)),
                  (0, [*STREAMED, *told, f"{LOCAL} graph {GRAPH} succeeded"]))
    results.equal("update, gone: one line", done.stderr, anew(14))
    done, _ = run([UPDATE, [GONE, "OK seq=3\n", ENDED, ALL_ENDED]], "update", "2", "7", "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    results.equal("update, gone, as JSON: the tasks of which something was missed",
                  ([(line["type"], line.get("id")) for line in lines[5:]], lines[-1]["succeeded"]),
                  ([("task", 1), ("task", 2), ("result", None)], True))
    failed = task_record(0, "succeeded", ended()) + \
        task_record(1, "failed", ended(3) + " error=\"no luck\"") + task_record(2, "cancelled") + "OK\n"
    done, _ = run([UPDATE, [GONE, "OK seq=3\n", FAILED, failed]], "update", "2", "7")
    results.equal("update, gone: it has failed", (done.returncode, done.stderr.splitlines()[1:]),
                  (1, [f"imctl: graph {GRAPH} failed: no luck"]))
    results.matches("update, gone: the task that failed",
                    f"^{LATER_LOCAL} task 1 failed, attempt 3: start_node {NODE_B} slot 1 version 7: "
                    "no luck$", done.stdout)
    results.matches("update, gone: a task that never began", "task 2 cancelled: do_nothing StartNodes$",
                    done.stdout)
    done, requests = run([["OK seq=10\n", PLAN_REPLY + BEGUN], [GONE, "OK seq=3\n", ENDED]],
                         "update", "2", "7", "-q")
    results.equal("update --quiet, gone: the end alone", (done.returncode, done.stdout, done.stderr,
                                                         requests[-1]), (0, "", "", "GRAPHS group=default"))


def test_update_goes_on():
    between = task_event(4, "succeeded", 1, more="attempt=2")
    rest = event(5, "task-started", "task=2 action=do_nothing state=running attempt=1") + \
        event(6, "task-succeeded", "task=2 action=do_nothing state=succeeded attempt=1") + \
        event(7, "graph-succeeded", "state=succeeded")
    missed = [f"{LATER_LOCAL} task 1 succeeded, attempt 2: start_node {NODE_B} slot 1 version 7",
              f"{LOCAL} task 2 started: do_nothing StartNodes"]
    again = [GONE, "OK seq=3\n", between + RUNNING, SOME_ENDED]
    done, _ = run([UPDATE, [*again[:3], SOME_ENDED + rest]], "update", "2", "7")
    results.equal("update goes on behind its records, nothing twice", (done.returncode, stream_of(done)), (
        0, [*STREAMED, *missed, f"{LOCAL} task 2 succeeded: do_nothing StartNodes",
            f"{LOCAL} graph {GRAPH} succeeded"]))
    done, requests = run([UPDATE, [*again[:2], between + SHUTTING_DOWN],
                          ["OK seq=9\n", RUNNING, SOME_ENDED[:-60] + "\n" + SHUTTING_DOWN],
                          [GONE, "OK seq=6\n", RUNNING, SOME_ENDED],
                          ["OK seq=6\n", RUNNING + event(7, "graph-succeeded", "state=succeeded"), STAY]],
                         "update", "2", "7")
    results.equal("update goes on, after imd went away while it was asked", (
        done.returncode, requests[4:], done.stderr, stream_of(done)), (
            0, ["GRAPHS group=default", "WATCH ALL group=default since=4", "GRAPHS group=default",
                f"TASKS {GRAPH}", "WATCH ALL group=default since=4", "WATCH ALL group=default initial=no",
                "GRAPHS group=default", f"TASKS {GRAPH}", "WATCH ALL group=default since=6",
                "GRAPHS group=default"],
            anew(14) + resuming(4) + anew(4) + resuming(6),
            [*STREAMED, *missed, f"{LOCAL} graph {GRAPH} succeeded"]))


def test_update_of_another_state():
    """The end of the update is not known, unless the restored state has the graph, and ends it."""
    begun_in = [ok(10), UPDATE[1]]
    unknown = came_back_without(GRAPH)
    none, group_gone = "OK\n", "ERR not-found no group is named default\n"
    for case, replies in (("without the graph", [REPLACED, ok(3, ANOTHER), none]),
                          ("without the group", [REPLACED, group_gone])):
        done, requests = run([begun_in, replies], "update", "2", "7")
        results.equal(f"update, another state {case}", (done.returncode, done.stderr, requests[2]), (
            1, SAID_REPLACED + unknown, f"WATCH ALL group=default since=14@{INCARNATION}"))
        done, _ = run([begun_in, replies], "update", "2", "7", "-q")
        results.equal(f"update --quiet, another state {case}", (done.returncode, done.stderr), (1, unknown))
        done, _ = run([begun_in, replies], "update", "2", "7", "--json")
        result = json.loads(done.stdout.splitlines()[-1])
        results.equal(f"update --json, another state {case}", (result["type"], result["succeeded"], "state" in result),
                      ("result", False, False))
    done, _ = run([begun_in, [REPLACED, ok(3, ANOTHER), ENDED, ALL_ENDED]], "update", "2", "7")
    results.equal("update, another state that has ended the graph", (done.returncode, done.stderr), (0, SAID_REPLACED))


def test_update_superseded_meanwhile():
    graphs = f"GRAPH id={OTHER} group=default revision=1 state=running tasks=1\n" \
        f"GRAPH id={GRAPH} group=default revision=1 state=superseded successor={OTHER} " \
        f"finished={STAMP}\nOK\n"
    tasks = task_record(0, "running", begun(), OTHER) + "OK\n"
    plan = graphs.split("\n", maxsplit=1)[0] + "\n" + tasks

    def serve(daemon, connection, number):
        if number == 3:
            daemon.next_request(connection)
            connection.send(plan)
        else:
            plays(UPDATE, [GONE, "OK seq=3\n", graphs, ALL_ENDED, graphs, tasks + event(
                5, "graph-succeeded", "", OTHER)])(daemon, connection, number)
    with FakeDaemon(serve) as daemon:
        done = Client(daemon.path).run("update", "2", "7")
    results.equal("superseded meanwhile", (done.returncode, done.stderr), (
        0, anew(14) + f"imctl: superseded by {OTHER}; following it\n"))
    before = done.stdout.split("TASK GRAPH SPEC:\n")[1].splitlines()
    results.equal("superseded meanwhile: its own last task, and its end", before[-2:], [
        f"{LATER_LOCAL} task 2 succeeded: do_nothing StartNodes",
        f"{LOCAL} graph {GRAPH} superseded by {OTHER}"])
    results.equal("superseded meanwhile: the other's tasks", stream_of(done), [
        f"{LOCAL} graph {OTHER} task 0 started: start_node {NODE_A} slot 0 version 7",
        f"{LOCAL} graph {OTHER} succeeded"])


def test_update_lost():
    lost = f"imctl: imd came back without graph {GRAPH}\n"
    for case, script, said in [
            ("events are gone", [GONE, "OK seq=0\n", "OK\n"], anew(14) + lost),
            ("its numbers have come so far again",
             ["OK seq=20\n", event(15, "graph-started", "revision=1 reason=update", OTHER) + "OK\n"],
             resuming(14) + lost),
            ("the group is unknown", ["ERR not-found no group is named default\n"], lost),
            ("events are gone, and the group is unknown", [GONE, "ERR not-found no group\n"],
             anew(14) + lost)]:
        done, _ = run([UPDATE, script], "update", "2", "7")
        results.equal(f"imd lost its state, {case}", (done.returncode, done.stderr, stream_of(done)),
                      (1, said, STREAMED))
        done, _ = run([UPDATE, script], "update", "2", "7", "--json")
        results.equal(f"imd lost its state, {case}: the result", json.loads(done.stdout.splitlines()[-1]), {
            "type": "result", "succeeded": False, "graph": GRAPH, "revision": 1, "declared": 1,
            "error": "imd does not know the graph any more"})


def test_unanswered():
    unknown = "imctl: imd did not answer; it is unknown whether it took the update: "
    for case, reply, why in [("nothing", "", "the connection was closed"),
                             ("a part of the plan", PLAN_REPLY[:400], "the connection was closed"),
                             ("a part and shutting-down", GRAPH_LINE[:80] + "\n" + SHUTTING_DOWN,
                              "the daemon ends"),
                             ("lagged", "ERR lagged seq=99 slow\n", "seq=99 slow"),
                             ("a reset", RESET, "the connection was closed")]:
        for args, before in [([], ["OK seq=10\n"]), (["--detach"], [])]:
            if reply is RESET and not before:
                continue
            done, requests = run([[*before, reply]], "update", "2", "7", *args)
            sent = [] if reply is RESET else ["UPDATE 2 7"]
            results.equal(f"{case} answers an update {' '.join(args)}", (
                done.returncode, requests[len(before):], done.stdout, done.stderr),
                          (1, sent, "", unknown + why + "\n"))
    done, _ = run([["OK seq=10\n", ""]], "update", "2", "7", "--json")
    results.equal("nothing answers an update: the result", json.loads(done.stdout), {
        "type": "result", "succeeded": False,
        "error": "imd did not answer; it is unknown whether it took the update"})


# ---- with the real imd --------------------------------------------------------------------------

def test_real_restart():
    directory = tempfile.mkdtemp(prefix="imctl-test.")
    path = os.path.join(directory, "sock")
    imctl = Client(path)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with Daemon("--mock-delay=1h", path=path) as daemon:
            update = imctl.start("update", "2", "1", "-g", "web")
            graph = re.search(f"^graph ({UUID})", read_until(update, "task 1 started"), re.M)[1]
            tasks = imctl.start("graphs", "stream-tasks", graph[:8])
            read_until(tasks, "task 2 waiting")
            nodes = imctl.start("nodes", "stream", "-g", "*", "--json")
            read_until(nodes, '"slot":1')
            daemon.stop(number)
        with Daemon("--mock-delay=0", path=path):
            case = f"after {number.name}"
            _, err, status = finish(update)
            results.equal(f"{case}: the update", (status, err), (1, SAID_REPLACED + came_back_without(graph)))
            _, err, status = finish(tasks)
            results.equal(f"{case}: its tasks", (status, err), (
                4, SAID_REPLACED + f"imctl: not-found: no graph has the id {graph}\n"))
            said = read_until(nodes, "full listing", messages=True)
            results.equal(f"{case}: the nodes are watched from a full listing", said, SAID_REPLACED)
            results.equal(f"{case}: an update", imctl.run("-q", "update", "1", "5").returncode, 0)
            started = json.loads(read_until(nodes, "node-started").splitlines()[-1])
            results.equal(f"{case}: and its node", (started["version"], started["group"]), (5, "default"))
            results.equal(f"{case}: Ctrl-C", finish(nodes, signal.SIGINT)[1:],
                          ("imctl: interrupted\n", 130))
    shutil.rmtree(directory)


def test_real_restart_with_state():
    """imd is killed in the middle of an upgrade, and comes back with its state: each task is told once,
    and the upgrade succeeds."""
    directory = tempfile.mkdtemp(prefix="imctl-test.")
    path = os.path.join(directory, "sock")
    options = ("--mock-delay=5ms-20ms", "--state=" + os.path.join(directory, "state.db"))
    imctl = Client(path)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for task in range(6):
            version = str(10 * int(number) + task)
            with Daemon(*options, path=path) as daemon:
                results.equal("an update before", imctl.run("-q", "update", "3", "1").returncode, 0)
                update = imctl.start("update", "3", version)
                before = read_until(update, f"task {task} started")
                daemon.stop(number)
            with Daemon(*options, path=path):
                case = f"after {number.name} in task {task}"
                out, err, status = finish(update)
                shown = before + out
                results.equal(f"{case}: the exit status", status, 0)
                results.case(f"{case}: messages", err.count("\n") <= 2 and
                             err.startswith("imctl: connection lost; reconnected, "), err)
                for kind in ("started", "succeeded"):
                    told = [int(n) for n in re.findall(rf"^\S+ \S+ task (\d+) {kind}:", shown, re.M)]
                    results.equal(f"{case}: tasks {kind}", sorted(told), list(range(6)))
                results.case(f"{case}: the end", re.search(r"graph \S+ succeeded$", shown.strip()), shown)
                nodes = json.loads(imctl.run("--json", "nodes", "ls").stdout)
                results.equal(f"{case}: the nodes", [str(node["version"]) for node in nodes],
                              [version] * 3)
    shutil.rmtree(directory)


def main():
    need(IMCTL, IMD)
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
    return results.end()


if __name__ == "__main__":
    sys.exit(main())
