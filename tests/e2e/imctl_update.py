#!/usr/bin/env python3
"""imctl update against daemons that answer what the test says: the plan, the events, what supersedes
the graph, falling behind, and how it ends."""

import json
import re
import signal
import subprocess
import sys

sys.dont_write_bytecode = True  # the tests may run from a source tree that is not theirs

from imctl_lib import (EVENTS, GRAPH, GRAPH_LINE, IMCTL, LOCAL, NODE_A, NODE_B, OTHER, PLAN_REPLY, STAMP,
                       SUCCEEDED, TIME, Client, FakeDaemon, Results, answers, ask, event, finish, need,
                       read_until, task_event)

results = Results()


def update(args, *replies):
    """An update whose WATCH and UPDATE are answered by the replies."""
    return ask(["OK seq=10\n", *replies], "update", "2", "7", *args)


def test_update():
    done, requests = update([], PLAN_REPLY + EVENTS + SUCCEEDED)
    results.equal("update: the requests", requests,
                  ["WATCH ALL group=default initial=no", "UPDATE 2 7"])
    lines = done.stdout.splitlines()
    results.equal("update: the plan", [line.split() for line in lines[:5]], [
        ["TASK", "GRAPH", "SPEC:"], ["ID", "PREREQS", "ACTION"],
        ["0", "[]", "start_node", NODE_A, "slot", "0", "version", "7"],
        ["1", "[]", "start_node", NODE_B, "slot", "1", "version", "7"],
        ["2", "[0", "1]", "do_nothing", "StartNodes"]])
    results.equal("update: the graph", lines[5],
                  f"graph {GRAPH}, revision 1, tasks 3: at least 0 available, at most 2 live")
    results.equal("update: the stream", lines[6:], [
        "TASKS STREAM:",
        f"{LOCAL} task 0 started: start_node {NODE_A} slot 0 version 7",
        f"{LOCAL} task 1 started: start_node {NODE_B} slot 1 version 7",
        f"{LOCAL} task 0 succeeded: start_node {NODE_A} slot 0 version 7",
        f"{LOCAL} task 1 succeeded: start_node {NODE_B} slot 1 version 7",
        f"{LOCAL} task 2 started: do_nothing StartNodes",
        f"{LOCAL} task 2 succeeded: do_nothing StartNodes",
        f"{LOCAL} graph {GRAPH} succeeded"])
    results.equal("update: well", (done.returncode, done.stderr), (0, ""))
    done, _ = update(["-q"], f"OK graph={GRAPH} revision=1 tasks=3\n" + EVENTS + SUCCEEDED)
    results.equal("update --quiet", (done.returncode, done.stdout, done.stderr), (0, "", ""))
    done, _ = update(["--json"], PLAN_REPLY + EVENTS + SUCCEEDED)
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    results.equal("update as JSON: the lines", [item["type"] for item in objects], [
        "plan", "graph-started", "task-started", "task-started", "task-succeeded", "task-succeeded",
        "task-started", "task-succeeded", "graph-succeeded", "result"])
    results.equal("update as JSON: the plan", (objects[0]["graph"]["id"], objects[0]["max-live"],
                                               objects[0]["tasks"][2]["prereqs"]), (GRAPH, 2, [0, 1]))
    results.equal("update as JSON: an event", (objects[2]["seq"], objects[2]["task"]), (12, 0))
    results.equal("update as JSON: the result", objects[-1], {
        "type": "result", "succeeded": True, "state": "succeeded", "graph": GRAPH, "revision": 1,
        "declared": 1})
    done, _ = update(["--json", "-q"], f"OK graph={GRAPH} revision=1 tasks=3\n" + EVENTS + SUCCEEDED)
    results.equal("update as JSON, --quiet: the result alone", json.loads(done.stdout), objects[-1])
    for option in ("--detach", "--dry-run"):
        done, _ = ask([PLAN_REPLY], "update", "2", "7", option)
        results.equal(f"update {option}", (done.returncode, done.stdout.splitlines()), (0, lines[:6]))
        plan = json.loads(ask([PLAN_REPLY], "update", "2", "7", option, "--json")[0].stdout)
        results.equal(f"update {option} as JSON", plan, objects[0])
    done, _ = ask([PLAN_REPLY], "plan", "2", "7")
    results.equal("plan", done.stdout.splitlines(), lines[:6])
    empty = GRAPH_LINE.replace("tasks=3", "tasks=0").replace("running", "succeeded") + \
        f"OK graph={GRAPH} revision=1 tasks=0 min-available=2 max-live=2\n"
    done, _ = update([], empty)
    results.case("update: nothing to do", done.returncode == 0 and
                 done.stdout.endswith("\nnothing to do\n"), done)
    done, _ = update(["--json"], empty)
    results.equal("update: nothing to do, as JSON",
                  json.loads(done.stdout.splitlines()[-1])["succeeded"], True)


def test_update_order():
    others = task_event(11, "started", 5, OTHER) + \
        event(12, "graph-started", "revision=9 tasks=1 reason=update state=running", OTHER)
    done, _ = update([], others + PLAN_REPLY + EVENTS + SUCCEEDED)
    results.case("events of others before the graph's are not its", done.returncode == 0 and
                 OTHER not in done.stdout + done.stderr, done)
    done, _ = update([], EVENTS + PLAN_REPLY + SUCCEEDED)
    results.case("events that come before the reply are not lost", done.returncode == 0 and
                 done.stdout.count(" task ") == 6 and
                 done.stdout.index("TASKS STREAM:") < done.stdout.index(" task "), done)
    done, requests = ask(["ERR not-found no such group\n", "OK seq=10\n", (
        PLAN_REPLY + EVENTS + SUCCEEDED).replace("group=default", "group=new")],
        "update", "2", "7", "-g", "new")
    results.case("a group that does not exist yet", done.returncode == 0 and requests == [
        "WATCH ALL group=new initial=no", "WATCH ALL group=* initial=no", "UPDATE 2 7 group=new"],
        f"{done}\n{requests}")
    done, _ = ask(["ERR bad-argument a group is\n"], "update", "2", "7", "-g", "N E W")
    results.equal("a group that cannot be", (done.returncode, done.stderr),
                  (2, "imctl: bad-argument: a group is\n"))
    done, _ = update([], "ERR conflict the revision is 9\n")
    results.equal("update that is refused", (done.returncode, done.stdout, done.stderr),
                  (1, "", "imctl: conflict: the revision is 9\n"))


def test_update_fails():
    failing = task_event(20, "retrying", 0, more="attempt=1 error=\"no luck\"") + \
        task_event(21, "failed", 0, more="attempt=2 error=\"no luck\"") + \
        event(22, "graph-failed", "state=failed error=\"task 0: no luck\"")
    done, _ = update([], PLAN_REPLY + EVENTS + failing)
    results.matches("update that fails: the attempt",
                    rf"^{LOCAL} task 0 retrying: start_node {NODE_A} slot 0 version 7: no luck$",
                    done.stdout)
    results.matches("update that fails: the task",
                    rf"^{TIME} task 0 failed, attempt 2: start_node {NODE_A} .*: no luck$", done.stdout)
    results.equal("update that fails", (done.returncode, done.stderr),
                  (1, f"imctl: graph {GRAPH} failed: task 0: no luck\n"))
    done, _ = update(["-q"], PLAN_REPLY + EVENTS + failing)
    results.equal("update that fails, --quiet", (done.returncode, done.stdout, done.stderr),
                  (1, "", f"imctl: graph {GRAPH} failed: task 0: no luck\n"))
    done, _ = update(["--json"], PLAN_REPLY + EVENTS + failing)
    result = json.loads(done.stdout.splitlines()[-1])
    results.equal("update that fails, as JSON", (result["succeeded"], result["error"]),
                  (False, "task 0: no luck"))
    done, _ = update([], PLAN_REPLY + EVENTS + event(22, "graph-cancelled", "state=cancelled"))
    results.equal("update that is cancelled", (done.returncode, done.stderr),
                  (1, f"imctl: graph {GRAPH} cancelled\n"))


def test_superseded():
    for revision, status in ((1, 0), (2, 1)):
        started = event(20, "graph-started", f"revision={revision} tasks=1 reason=heal", OTHER)
        rest = task_event(22, "started", 0, OTHER) + event(23, "graph-succeeded", "", OTHER)
        ended = event(21, "graph-superseded", f"successor={OTHER}")
        for case, text in [("", started + ended + rest), (", told at its end", ended + started + rest),
                           (", told late", started + rest[:0] + ended + rest)]:
            done, _ = update([], PLAN_REPLY + EVENTS + text)
            said = f"imctl: superseded by {OTHER}; following it\n"
            if status:
                said += "imctl: revision 1 was superseded by revision 2, which succeeded\n"
            results.equal(f"superseded by revision {revision}{case}",
                          (done.returncode, done.stderr), (status, said))
            results.matches("its tasks are shown with its id",
                            f"^{LOCAL} graph {OTHER} task 0 started: start_node {NODE_A}$",
                            done.stdout)
    failed = event(20, "graph-started", "revision=1 tasks=1 reason=heal", OTHER) + \
        event(21, "graph-failed", "error=no", OTHER)
    done, _ = update([], PLAN_REPLY + EVENTS + failed)
    results.case("the one that superseded it fails", done.returncode == 1 and
                 done.stderr.endswith(f"imctl: graph {OTHER} failed: no\n"), done)


def lagging(back):
    """Lags after the first events; `back` answers on the second connection."""
    def serve(daemon, connection, number):
        if number == 1:
            daemon.next_request(connection)
            connection.send("OK seq=10\n")
            daemon.next_request(connection)
            connection.send(PLAN_REPLY + EVENTS + "ERR lagged seq=99\n")
        else:
            for text in back:
                daemon.next_request(connection)
                connection.send(text)
            connection.request()
    return serve


def test_lagged():
    with FakeDaemon(lagging(["OK seq=17\n" + SUCCEEDED])) as daemon:
        done = Client(daemon.path).run("update", "2", "7")
    results.equal("lagged: the requests", daemon.requests[2:], ["WATCH ALL group=default since=17"])
    results.equal("lagged: goes on", (done.returncode, done.stderr),
                  (0, "imctl: lagged behind; reconnected, resuming after event 17\n"))
    results.equal("lagged: nothing twice", done.stdout.count(" succeeded"), 4)
    ended = f"GRAPH id={GRAPH} revision=1 state=succeeded finished={STAMP}\nOK\n"
    taken = f"GRAPH id={OTHER} revision=1 state=running\n" \
        f"GRAPH id={GRAPH} revision=1 state=superseded successor={OTHER} finished={STAMP}\nOK\n"
    anew = ["ERR gone only from 40 on\n", "OK seq=99\n"]
    with FakeDaemon(lagging([*anew, ended, "OK\n"])) as daemon:
        done = Client(daemon.path).run("update", "2", "7")
    results.equal("events are gone: asks how it ended", (done.returncode, daemon.requests[2:]),
                  (0, ["WATCH ALL group=default since=17", "WATCH ALL group=default initial=no",
                       "GRAPHS group=default", f"TASKS {GRAPH}"]))
    results.equal("events are gone: says so", done.stderr, "imctl: lagged behind; reconnected, "
                  "but events after 17 were lost; restarting from a full listing\n")
    results.equal("events are gone: tells how it ended", done.stdout.splitlines()[-1],
                  f"{LOCAL} graph {GRAPH} succeeded")
    with FakeDaemon(lagging([*anew, taken, "OK\n", taken, "OK\n" + event(
            101, "graph-succeeded", "", OTHER)])) as daemon:
        done = Client(daemon.path).run("update", "2", "7")
    results.case("events are gone: finds what superseded it", done.returncode == 0 and
                 f"superseded by {OTHER}; following it" in done.stderr, done)
    with FakeDaemon(lagging([*anew, "OK\n"])) as daemon:
        done = Client(daemon.path).run("update", "2", "7")
    results.case("events are gone, and the graph too", done.returncode == 1 and
                 done.stderr.endswith(f"imctl: imd does not keep graph {GRAPH} any more\n"), done)
    with FakeDaemon(lagging(["OK seq=17\nERR lagged seq=99\n"])) as daemon:
        done = Client(daemon.path).run("update", "2", "7")
    results.equal("lagged without end", (done.returncode, len(daemon.requests)), (1, 3))


def test_interrupt():
    with FakeDaemon(answers("OK seq=10\n", PLAN_REPLY + EVENTS)) as daemon:
        process = Client(daemon.path).start("update", "2", "7")
        read_until(process, "task 2 succeeded")
        _, err, status = finish(process, signal.SIGINT)
    results.equal("Ctrl-C while updating", (status, err), (
        130, f"imctl: interrupted; the rollout goes on: imctl graphs stream-tasks {GRAPH}\n"))


def test_cut_short():
    done, _ = update(["--json", "--timeout=300ms"], PLAN_REPLY + EVENTS)
    results.equal("--timeout: the result", (done.returncode, json.loads(done.stdout.splitlines()[-1])),
                  (124, {"type": "result", "succeeded": False, "graph": GRAPH, "revision": 1,
                         "declared": 1, "error": "timed out"}))
    with FakeDaemon(answers("OK seq=10\n", PLAN_REPLY + EVENTS)) as daemon:
        process = Client(daemon.path).start("update", "2", "7", "--json")
        read_until(process, "task-succeeded.*\"task\":2")
        out, _, status = finish(process, signal.SIGINT)
    result = json.loads(out.splitlines()[-1])
    results.equal("Ctrl-C: the result", (status, result["type"], result["succeeded"], result["error"]),
                  (130, "result", False, "interrupted"))
    done, _ = update(["--json", "--timeout=50ms"], "")
    results.equal("no answer to the update: the result", (done.returncode, json.loads(done.stdout)), (
        124, {"type": "result", "succeeded": False, "error": "timed out"}))
    done, _ = update(["--json"], "ERR conflict the revision is 9\n")
    results.equal("a refused update has no result", (done.returncode, done.stdout), (1, ""))


def test_order_of_messages():
    failing = PLAN_REPLY + EVENTS + event(22, "graph-failed", "state=failed error=\"no luck\"")
    with FakeDaemon(answers("OK seq=10\n", failing)) as daemon:
        done = subprocess.run([IMCTL, "-s", daemon.path, "update", "2", "7"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
    results.equal("messages stand behind the data", done.stdout.splitlines()[-1],
                  f"imctl: graph {GRAPH} failed: no luck")


def test_quiet_lag():
    end = "OK seq=17\n" + SUCCEEDED
    for args in (["-q"], ["-q", "--json"]):
        with FakeDaemon(lagging([end])) as daemon:
            done = Client(daemon.path).run("update", "2", "7", *args)
        results.equal(f"{' '.join(args)}: watches graphs, and falls behind in silence",
                      (done.returncode, done.stderr, daemon.requests[0], daemon.requests[2]),
                      (0, "", "WATCH GRAPHS group=default initial=no",
                       "WATCH GRAPHS group=default since=17"))
    ended = f"GRAPH id={GRAPH} revision=1 state=failed error=\"no luck\" finished={STAMP}\nOK\n"
    lost = ["ERR gone only from 40 on\n", "OK seq=99\n", ended, "OK\n"]
    for args, wanted in (([], f"{LOCAL} graph {GRAPH} failed: no luck"), (["-q"], None)):
        with FakeDaemon(lagging(lost)) as daemon:
            done = Client(daemon.path).run("update", "2", "7", *args)
        results.equal(f"events are gone, {args}: how it ended",
                      (done.returncode, done.stdout.splitlines()[-1:], done.stderr.splitlines()[-1]),
                      (1, [wanted] if wanted else [], f"imctl: graph {GRAPH} failed: no luck"))


def test_successor_plan():
    reply = f"GRAPH id={OTHER} revision=1 tasks=1\nTASK graph={OTHER} id=0 action=start_node " \
        f"node={NODE_B} slot=3 version=9 state=waiting\nOK\n"
    text = PLAN_REPLY + EVENTS + \
        event(20, "graph-started", "revision=1 tasks=1 reason=heal", OTHER) + \
        event(21, "graph-superseded", f"successor={OTHER}") + task_event(22, "started", 0, OTHER) + \
        event(23, "graph-succeeded", "", OTHER)

    def serve(daemon, connection, number):
        answers(*(["OK seq=10\n", text] if number == 1 else [reply]))(daemon, connection, number)
    with FakeDaemon(serve) as daemon:
        done = Client(daemon.path).run("update", "2", "7")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    at = len(lines) - lines[::-1].index("TASK GRAPH SPEC:") - 1
    results.equal("the successor's plan", (done.returncode, daemon.requests[2:], lines[at:]), (
        0, [f"GRAPH {OTHER}"], [
            "TASK GRAPH SPEC:", "ID PREREQS ACTION",
            f"0 [] start_node {NODE_B} slot 3 version 9", f"graph {OTHER}, revision 1, tasks 1",
            "TASKS STREAM:", f"{LOCAL} graph {GRAPH} superseded by {OTHER}",
            f"{LOCAL} graph {OTHER} task 0 started: start_node {NODE_B} slot 3 version 9",
            f"{LOCAL} graph {OTHER} succeeded"]))
    with FakeDaemon(serve) as daemon:
        done = Client(daemon.path).run("update", "2", "7", "-q")
    results.equal("--quiet does not ask for it", (done.returncode, len(daemon.requests)), (0, 2))


def main():
    need(IMCTL)
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
    return results.end()


if __name__ == "__main__":
    sys.exit(main())
