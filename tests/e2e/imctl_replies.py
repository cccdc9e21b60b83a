#!/usr/bin/env python3
"""imctl against daemons that answer what the test says: what it makes of every kind of reply, also
of those that imd would never give."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # the tests may run from a source tree that is not theirs

from imctl_lib import (IMCTL, TIME, Client, FakeDaemon, Results, answers, environment, finish, need,
                       read_until, run_on_terminal)

NODE_A = "11111111-1111-4111-8111-111111111111"
NODE_B = "22222222-2222-4222-8222-222222222222"
GRAPH = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
OTHER = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
STAMP = "2019-03-11T18:05:45.000001Z"
LOCAL = "2019/03/11 18:05:45"

GRAPH_LINE = f"GRAPH id={GRAPH} group=default revision=1 state=running tasks=3 waiting=1 running=2 " \
    f"succeeded=0 failed=0 cancelled=0 reason=update created={STAMP} started={STAMP}\n"
TASK_LINES = \
    f"TASK graph={GRAPH} id=0 action=start_node node={NODE_A} slot=0 version=7 state=running " \
    f"attempt=1 started={STAMP}\n" \
    f"TASK graph={GRAPH} id=1 action=start_node node={NODE_B} slot=1 version=7 state=running " \
    f"attempt=1 started={STAMP}\n" \
    f"TASK graph={GRAPH} id=2 action=do_nothing description=StartNodes prereqs=0,1 state=waiting " \
    "waits=prereqs\n"
GRAPH_OK = f"OK graph={GRAPH} revision=1 tasks=3 min-available=0 max-live=2\n"
PLAN_REPLY = GRAPH_LINE + TASK_LINES + GRAPH_OK
NODE_LINES = \
    f"NODE id={NODE_A} group=default slot=0 version=7 state=running revision=1 created={STAMP} " \
    f"started={STAMP}\n" \
    f"NODE id={NODE_B} group=default slot=10 version=7 state=failed revision=1 created={STAMP} " \
    "marked=yes error=\"it broke\"\n"
SPEC_LINE = "SPEC group=default revision=4 size=3 version=2 max-surge=25% max-unavailable=1 " \
    f"max-parallel=0 min-ready=3s created={STAMP} uid=1000 user=me reason=update note=\"a b\"\n"

results = Results()


def event(seq, kind, keys, graph=GRAPH):
    return f"EVENT {seq} {kind} graph={graph} {keys} group=default at={STAMP}\n"


def task_event(seq, kind, task, graph=GRAPH, more=""):
    return event(seq, f"task-{kind}", f"task={task} action=start_node node={NODE_A} {more}", graph)


EVENTS = event(11, "graph-started", "revision=1 tasks=3 reason=update state=running") + \
    "".join(task_event(12 + task, "started", task) for task in range(2)) + \
    "".join(task_event(14 + task, "succeeded", task) for task in range(2)) + \
    event(16, "task-started", "task=2 action=do_nothing state=running") + \
    event(17, "task-succeeded", "task=2 action=do_nothing state=succeeded")
SUCCEEDED = event(18, "graph-succeeded", "state=succeeded")


def ask(replies, *args):
    """Runs imctl against these replies: what it did, and the requests that it made."""
    with FakeDaemon(answers(*replies)) as daemon:
        return Client(daemon.path).run(*args), daemon.requests


def test_requests():
    for args, wanted in [
            (["ping"], "PING"),
            (["spec", "-g", "web"], "SPEC group=web"),
            (["-g", "web", "specs", "ls"], "SPECS group=web"),
            (["nodes", "--all", "ls"], "NODES all=yes"),
            (["nodes", "ls", "-g*"], "NODES group=*"),
            (["nodes", "get", "1111"], "NODE 1111"),
            (["nodes", "kill", "1111", "--group=web"], "KILL 1111 group=web"),
            (["nodes", "mark", "1111"], "MARK 1111"),
            (["nodes", "mark", "1111", "--no"], "MARK 1111 mark=no"),
            (["graphs", "ls"], "GRAPHS"),
            (["graphs", "get", "aaaa"], "GRAPH aaaa"),
            (["graphs", "dot", "aaaa"], "GRAPH aaaa"),
            (["graphs", "cancel", "aaaa"], "CANCEL aaaa"),
            (["groups", "ls"], "GROUPS"),
            (["stats"], "STATS"),
            (["plan", "3", "2", "--max-surge", "25%"], "PLAN 3 2 max-surge=25%"),
            (["update", "--detach", "3", "2", "--note", "a \"b\"\n", "--if-revision=7"],
             "UPDATE 3 2 if-revision=7 note=\"a \\\"b\\\"\\n\""),
            (["update", "3", "2", "--dry-run", "--min-ready=3s", "--max-parallel", "4",
              "--max-unavailable=0", "--note=x"],
             "PLAN 3 2 max-unavailable=0 max-parallel=4 min-ready=3s"),
            (["-q", "update", "3", "2", "--detach"], "UPDATE 3 2 quiet=yes"),
            (["plan", "-1", "+3"], "PLAN -1 +3"),
            (["plan", "", "a b"], "PLAN \"\" \"a b\""),
            (["plan", "a=b", "--", "--max-surge"], "PLAN \"a=b\" --max-surge"),
            (["plan", "1", "2", "--max-surge="], "PLAN 1 2 max-surge=\"\""),
    ]:
        _, requests = ask(["OK\n"], *args)
        results.equal(f"the request of {' '.join(args)!r}", requests, [wanted])


def test_usage():
    for args in [[], ["nodes"], ["nodes", "fly"], ["fly"], ["update"], ["update", "3"],
                 ["update", "3", "1", "2"], ["ping", "x"], ["nodes", "get"], ["raw"], ["raw", ""],
                 ["raw", "a\nb"], ["--fly", "ping"], ["-x", "ping"], ["ping", "--json", "--json"],
                 ["ping", "-s", "x"], ["spec", "--all"], ["update", "3", "1", "--max-surge"],
                 ["ping", "--json=yes"], ["--timeout=soon", "ping"], ["plan", "3", "1", "--note=x"],
                 ["help", "fly"], ["nodes", "ls", "--dry-run"]]:
        done, requests = ask([], *args)
        results.case(f"{' '.join(args)!r} is bad usage", done.returncode == 2 and not done.stdout and
                     re.fullmatch(r"imctl: [^\n]+\n", done.stderr) and not requests,
                     f"{done}\n{requests}")


def test_help():
    done, _ = ask([], "help")
    names = re.findall(r"^  ([a-z-]+(?: [a-z-]+)?)(?:[ ]+[A-Z\[].*|  .*)$", done.stdout, re.M)
    results.case("help lists the commands", done.returncode == 0 and "graphs stream-tasks" in names,
                 done)
    overview = json.loads(ask([], "help", "--json")[0].stdout)
    for command in overview["commands"]:
        done, _ = ask([], "help", *command["name"].split())
        results.case(f"help {command['name']}", done.returncode == 0 and
                     command["usage"] in done.stdout, done)
    for command in overview["commands"][:4]:
        same, _ = ask([], *command["name"].split(), "--help")
        done, _ = ask([], "help", *command["name"].split())
        results.equal(f"{command['name']} --help", same.stdout, done.stdout)
        single = json.loads(ask([], "--json", "help", *command["name"].split())[0].stdout)
        results.equal(f"help {command['name']} as JSON", single, command)
    done, _ = ask([], "--version")
    results.matches("--version", r"\Aimctl \d+\.\d+\.\d+\n\Z", done.stdout)
    done, _ = ask([], "-V", "--json")
    results.matches("--version as JSON", r"^\d+\.\d+\.\d+$", json.loads(done.stdout)["version"])


def test_errors():
    for code, status in [("bad-argument", 2), ("not-found", 4), ("denied", 5), ("conflict", 1),
                         ("internal", 1), ("a-new-one", 1), ("storage", 1)]:
        text = "the \"sentence\"  stays = as it is"
        for args in (["spec"], ["plan", "1", "1"], ["graphs", "get", "aaaa"], ["stats", "--json"]):
            done, _ = ask([f"ERR {code} {text}\n"], *args)
            results.equal(f"{code} to {args[0]}", (done.returncode, done.stdout, done.stderr),
                          (status, "", f"imctl: {code}: {text}\n"))
    done, _ = ask([NODE_LINES + "ERR gone some of it was pruned\n"], "nodes", "ls", "--json")
    results.equal("a listing that ends in ERR prints nothing", (done.returncode, done.stdout),
                  (1, ""))


def test_listings():
    done, _ = ask([NODE_LINES + "OK\n"], "nodes", "ls")
    lines = done.stdout.splitlines()
    results.equal("nodes ls: headings", lines[0].split(), "ID SLOT VERSION STATE REVISION CREATED "
                  "STARTED MARKED ERROR".split())
    results.case("nodes ls: rows", lines[1].startswith(NODE_A) and LOCAL in lines[1] and
                 lines[2].endswith("it broke") and len(lines) == 3, done.stdout)
    done, _ = ask([NODE_LINES + "OK\n"], "nodes", "ls", "--no-legend")
    results.equal("nodes ls --no-legend", done.stdout.splitlines(), lines[1:])
    done, _ = ask([NODE_LINES + "OK\n"], "nodes", "ls", "-q")
    results.equal("nodes ls --quiet", done.stdout, f"{NODE_A}\n{NODE_B}\n")
    done, _ = ask([NODE_LINES + "OK\n"], "-g", "*", "nodes", "ls")
    results.matches("nodes ls of every group", r"^ID +GROUP +SLOT", done.stdout)
    done, _ = ask(["OK\n"], "nodes", "ls")
    results.equal("nodes ls of nothing", done.stdout.split(),
                  "ID SLOT VERSION STATE REVISION CREATED".split())
    nodes = json.loads(ask([NODE_LINES + "OK\n"], "nodes", "ls", "--json")[0].stdout)
    results.equal("nodes ls as JSON", [(node["id"], node["slot"], node["version"],
                                        node.get("marked"), node.get("error")) for node in nodes],
                  [(NODE_A, 0, 7, None, None), (NODE_B, 10, 7, True, "it broke")])
    results.equal("nothing as JSON", json.loads(ask(["OK\n"], "nodes", "ls", "--json")[0].stdout), [])
    spec = json.loads(ask([SPEC_LINE + "OK\n"], "spec", "--json")[0].stdout)
    results.equal("spec as JSON", (spec["size"], spec["max-surge"], spec["max-unavailable"],
                                   spec["min-ready"], spec["uid"], spec["note"]),
                  (3, "25%", 1, "3s", 1000, "a b"))
    done, _ = ask([SPEC_LINE + "OK\n"], "spec")
    results.matches("spec", r"^created +" + LOCAL + r"$", done.stdout)
    for args in (["specs", "ls"], ["groups", "ls"]):
        done, _ = ask([SPEC_LINE + "OK\n"], *args)
        results.matches(f"{args[0]} ls", r"\b4 +3 +2 +25% +1 +0 +3s " + f"{LOCAL} me +a b$",
                        done.stdout)
        listed = json.loads(ask([SPEC_LINE + "OK\n"], *args, "--json")[0].stdout)
        results.equal(f"{args[0]} ls as JSON", listed, [spec])
    done, _ = ask([GRAPH_LINE + "OK\n"], "graphs", "ls")
    results.matches("graphs ls", f"^{GRAPH} +1 running update +3 +1 +2 +0 +0 +0 {LOCAL}$",
                    done.stdout)
    stats = "STAT name=nodes value=3\nSTAT name=driver value=mock\nOK\n"
    results.equal("stats as JSON", json.loads(ask([stats], "stats", "--json")[0].stdout),
                  {"nodes": 3, "driver": "mock"})
    results.equal("stats", ask([stats], "stats")[0].stdout.split(),
                  "NAME VALUE nodes 3 driver mock".split())


def test_graph():
    reply = GRAPH_LINE + TASK_LINES + "OK\n"
    done, _ = ask([reply], "graphs", "get", "aaaa")
    results.matches("graphs get: the graph", f"^id +{GRAPH}$", done.stdout)
    results.matches("graphs get: a task", rf"^ *0 \[\] +start_node {NODE_A} slot 0 version 7 running",
                    done.stdout)
    results.matches("graphs get: a barrier",
                    r"^ *2 \[0 1\] +do_nothing StartNodes +waiting prereqs", done.stdout)
    got = json.loads(ask([reply], "graphs", "get", "aaaa", "--json")[0].stdout)
    results.equal("graphs get as JSON", (got["graph"]["id"], got["graph"]["tasks"],
                                         [(task["id"], task["prereqs"]) for task in got["tasks"]]),
                  (GRAPH, 3, [(0, []), (1, []), (2, [0, 1])]))
    done, _ = ask([reply], "graphs", "dot", "aaaa")
    results.case("graphs dot", done.stdout.startswith(f'digraph "{GRAPH}" {{') and
                 '"0" [label="0\\nstart_node\\n11111111\\nversion 7", fillcolor=' in done.stdout and
                 '"0" -> "2";' in done.stdout and '"1" -> "2";' in done.stdout and
                 done.stdout.endswith("}\n"), done.stdout)
    dot = json.loads(ask([reply], "graphs", "dot", "aaaa", "--json")[0].stdout)
    results.equal("graphs dot as JSON", dot, {"dot": done.stdout})
    count = 100000
    prereqs = ",".join(str(number) for number in range(count))
    reply = GRAPH_LINE + f"TASK graph={GRAPH} id={count} action=do_nothing description=StartNodes " \
        f"prereqs={prereqs} state=waiting\n" + \
        f"TASK graph={GRAPH} id={count + 1} action=do_nothing prereqs=1,3,5,7,9,11,13,15,4,2\n" + "OK\n"
    done, _ = ask([reply], "graphs", "get", "aaaa")
    results.matches("a barrier of 100,000 is written as its ends",
                    rf"^{count} \[0 1 .. {count - 1}\] +do_nothing", done.stdout)
    results.matches("steps of two, and others", r" \[1 3 \.\. 15 4 2\] ", done.stdout)
    got = json.loads(ask([reply], "graphs", "get", "aaaa", "--json")[0].stdout)
    results.equal("a barrier of 100,000 as JSON", got["tasks"][0]["prereqs"], list(range(count)))
    irregular = ",".join(str(number * number) for number in range(1000))
    reply = GRAPH_LINE + TASK_LINES + \
        f"TASK graph={GRAPH} id=3 action=do_nothing prereqs={irregular} state=waiting\nOK\n"
    done, _ = ask([reply], "graphs", "get", "aaaa")
    results.case("a very long cell does not widen the others", "[0 1 4 9 " in done.stdout and
                 " 998001]" in done.stdout and len(done.stdout) < 12000, done.stdout[-300:])


def test_escaping():
    reply = f"NODE id={NODE_A} slot=0 error=\"\\x1b[31m \\x07 \\xc2\\x9b \\xff ä\"\nOK\n"
    for args in (["nodes", "ls"], ["nodes", "get", "1111"]):
        done, _ = ask([reply], *args)
        results.case(f"control characters in {' '.join(args)}",
                     not re.search("[\x00-\x09\x0b-\x1f\x7f\x80-\x9f\udc80-\udcff]", done.stdout) and
                     "\\x1b[31m \\x07" in done.stdout and "ä" in done.stdout, repr(done.stdout))
    node = json.loads(ask([reply], "nodes", "ls", "--json")[0].stdout)[0]
    results.equal("control characters in JSON", node["error"], "\x1b[31m \x07 \x9b \ufffd ä")
    done, _ = ask(["ERR internal \x1b[31m\n"], "spec")
    results.case("control characters in an error", "\x1b" not in done.stderr and
                 done.returncode == 1, repr(done.stderr))
    events = f"OK seq=1\nEVENT 2 node-state node={NODE_A} state=failed error=\"\\x1b[0m\"\n" \
        "ERR shutting-down bye\n"
    done, _ = ask([events], "nodes", "stream")
    results.case("control characters in an event", "\\x1b[0m" in done.stdout and
                 "\x1b" not in done.stdout, repr(done.stdout))


def test_raw():
    done, requests = ask([NODE_LINES + "OK\n", "ERR not-found no such\n", "OK seq=3\n"], "raw",
                         "nodes  all=yes", "NODE x", "WATCH ALL")
    results.equal("raw", (done.stdout, done.returncode, requests),
                  (NODE_LINES + "OK\nERR not-found no such\nOK seq=3\n", 0,
                   ["nodes  all=yes", "NODE x", "WATCH ALL"]))
    done, _ = ask(["OK\n", "ERR denied you may not\n"], "raw", "PING", "KILL x")
    results.equal("raw: the last one's status", done.returncode, 5)
    done, _ = ask(["OK graph=x tasks=3\n", "ERR denied you may not\n"], "raw", "A", "B", "--json")
    results.equal("raw as JSON", [json.loads(line) for line in done.stdout.splitlines()],
                  [{"type": "ok", "graph": "x", "tasks": 3},
                   {"type": "error", "code": "denied", "text": "you may not"}])


def test_unreachable():
    directory = tempfile.mkdtemp(prefix="imctl-test.")
    path = os.path.join(directory, "sock")
    for case, make in [("no socket", lambda: None),
                       ("no daemon behind it", lambda: socket.socket(socket.AF_UNIX).bind(path))]:
        make()
        done = Client(path).run("ping")
        results.case(f"{case}: exit 3, and says which", done.returncode == 3 and
                     re.fullmatch(rf"imctl: cannot reach imd at {path}: \w[^\n]+\n", done.stderr),
                     done)
    done = Client("/" + "x" * 200).run("ping")
    results.case("a path that is too long", done.returncode == 3 and "too long" in done.stderr, done)
    done = subprocess.run([IMCTL, "ping"], env=environment(IMD_SOCKET=path), capture_output=True,
                          text=True, check=False)
    results.case("IMD_SOCKET", done.returncode == 3 and path in done.stderr, done)
    os.unlink(path)
    os.rmdir(directory)
    with FakeDaemon(answers("OK\n")) as daemon:
        done = subprocess.run([IMCTL, "-s", daemon.path, "ping"], check=False, capture_output=True,
                              text=True, env=environment(IMD_SOCKET="/nowhere"))
        results.equal("--socket goes before IMD_SOCKET", done.stdout,
                      f"imd at {daemon.path} answers\n")


def cut(after):
    def serve(daemon, connection, _):
        daemon.next_request(connection)
        connection.send(after)
    return serve


def test_broken_daemon():
    for case, text in [("at once", ""), ("within a line", NODE_LINES[:30]),
                       ("between lines", NODE_LINES)]:
        with FakeDaemon(cut(text)) as daemon:
            done = Client(daemon.path).run("nodes", "ls")
        results.equal(f"closed {case}", (done.returncode, done.stdout, done.stderr), (
            3, "", f"imctl: cannot reach imd at {daemon.path}: the connection was closed\n"))
    for case, text in [("garbage", b"\x00\xff\x1b[2J nonsense\n"), ("HTTP", "HTTP/1.1 400 Bad\n"),
                       ("a long line of it", "x" * 300000 + "\n"), ("an empty line", "\n"),
                       ("a bad escape", "NODE id=\"\\q\"\n"), ("an event without a number",
                                                               "EVENT x task-started\n")]:
        with FakeDaemon(cut(text)) as daemon:
            done = Client(daemon.path).run("nodes", "ls")
        results.case(f"{case}: one line, exit 1", done.returncode == 1 and not done.stdout and
                     re.fullmatch(r"imctl: imd at [^\n\x1b]*does not understand[^\n\x1b]*\n",
                                  done.stderr), done)
    with FakeDaemon(answers("NEWS of=\"another kind\" x=y\n" + NODE_LINES + "OK new=1\n")) as daemon:
        done = Client(daemon.path).run("nodes", "get", "1111")
    results.equal("records of new kinds, and new keys", done.returncode, 0)
    with FakeDaemon(answers("OK\r\n")) as daemon:
        done = Client(daemon.path).run("raw", "PING")
    results.equal("CR before LF", (done.returncode, done.stdout), (0, "OK\n"))
    def serve(daemon, connection, _):
        daemon.next_request(connection)
        for byte in (NODE_LINES + "OK\n").encode():
            connection.send(bytes([byte]))
        connection.request()
    with FakeDaemon(serve) as daemon:
        done = Client(daemon.path).run("nodes", "ls", "-q")
    results.equal("a reply byte by byte", done.stdout, f"{NODE_A}\n{NODE_B}\n")


def test_timeout():
    for args in (["ping"], ["update", "3", "7"], ["nodes", "stream"]):
        done, _ = ask(["" if args[0] == "ping" else "OK seq=10\n"], "--timeout=50ms", *args)
        results.case(f"{args[0]} with --timeout", done.returncode == 124 and
                     re.fullmatch(r"imctl: timed out[^\n]*\n", done.stderr), done)


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
    done, _ = update([], PLAN_REPLY + EVENTS + "ERR shutting-down imd ends\n")
    results.equal("imd ends", (done.returncode, done.stderr), (1, "imctl: shutting-down: imd ends\n"))


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
                  (0, "imctl: lagged behind; going on behind event 17\n"))
    results.equal("lagged: nothing twice", done.stdout.count(" succeeded"), 4)
    ended = f"GRAPH id={GRAPH} revision=1 state=succeeded finished={STAMP}\nOK\n"
    taken = f"GRAPH id={OTHER} revision=1 state=running\n" \
        f"GRAPH id={GRAPH} revision=1 state=superseded successor={OTHER} finished={STAMP}\nOK\n"
    with FakeDaemon(lagging(["ERR gone only from 40 on\n", "OK seq=99\n", ended])) as daemon:
        done = Client(daemon.path).run("update", "2", "7")
    results.equal("events are gone: asks how it ended", (done.returncode, daemon.requests[2:]),
                  (0, ["WATCH ALL group=default since=17", "WATCH ALL group=default initial=no",
                       "GRAPHS group=default"]))
    with FakeDaemon(lagging(["ERR gone only from 40 on\n", "OK seq=99\n", taken,
                             taken + event(101, "graph-succeeded", "", OTHER)])) as daemon:
        done = Client(daemon.path).run("update", "2", "7")
    results.case("events are gone: finds what superseded it", done.returncode == 0 and
                 f"superseded by {OTHER}; following it" in done.stderr, done)
    with FakeDaemon(lagging(["ERR gone only from 40 on\n", "OK seq=99\n", "OK\n"])) as daemon:
        done = Client(daemon.path).run("update", "2", "7")
    results.case("events are gone, and the graph too", done.returncode == 1 and
                 f"graph {GRAPH} is not known any more" in done.stderr, done)
    with FakeDaemon(lagging(["OK seq=17\nERR lagged seq=99\n"])) as daemon:
        done = Client(daemon.path).run("update", "2", "7")
    results.equal("lagged without end", (done.returncode, len(daemon.requests)), (1, 3))

    def serve(daemon, connection, number):
        daemon.next_request(connection)
        connection.send("OK seq=5\nEVENT 6 node-state node=x state=running\n" if number == 1 else
                        "OK seq=6\nEVENT 7 node-state node=x state=failed\n")
        connection.send("ERR lagged seq=9\n" if number == 1 else "ERR shutting-down bye\n")
    with FakeDaemon(serve) as daemon:
        done = Client(daemon.path).run("nodes", "stream")
    results.equal("nodes stream lagged", (daemon.requests, done.stdout.count(" node x ")),
                  (["WATCH NODES", "WATCH NODES since=6"], 2))


def test_streams():
    text = NODE_LINES + "OK seq=3\n" + f"EVENT 4 node-state node={NODE_A} group=default slot=0 " \
        f"state=unhealthy at={STAMP} error=ill\nEVENT 5 new-thing x=y at={STAMP}\nERR shutting-down x\n"
    done, requests = ask([text], "nodes", "stream")
    results.equal("nodes stream", (requests, done.stdout.splitlines()), (["WATCH NODES"], [
        f"node {NODE_A} slot 0 version 7 running",
        f"node {NODE_B} slot 10 version 7 failed: it broke",
        f"{LOCAL} node {NODE_A} slot 0 unhealthy: ill", f"{LOCAL} new-thing x y"]))
    done, _ = ask([text], "nodes", "stream", "--json")
    results.equal("nodes stream as JSON",
                  [json.loads(line)["type"] for line in done.stdout.splitlines()],
                  ["node", "node", "node-state", "new-thing"])
    done, requests = ask(["OK seq=3\nERR shutting-down x\n"], "-q", "nodes", "stream", "-g", "web")
    results.equal("nodes stream --quiet", requests, ["WATCH NODES group=web initial=no"])
    text = GRAPH_LINE + "OK seq=10\n" + event(
        11, "graph-started", "revision=1 tasks=3 reason=update state=running") + SUCCEEDED + \
        "ERR shutting-down x\n"
    done, _ = ask([text], "graphs", "stream")
    results.equal("graphs stream", done.stdout.splitlines(), [
        f"graph {GRAPH} running, revision 1, tasks 3, reason update",
        f"{LOCAL} graph {GRAPH} started, revision 1, tasks 3, reason update",
        f"{LOCAL} graph {GRAPH} succeeded"])


def test_stream_tasks():
    ended = f"GRAPH id={OTHER} state=failed finished={STAMP}\n" \
        f"GRAPH id={GRAPH} state=succeeded finished={STAMP}\nOK\n"
    watch = TASK_LINES + "OK seq=10\n"
    done, requests = ask([watch, GRAPH_LINE + "OK\n" + EVENTS + SUCCEEDED], "graphs", "stream-tasks",
                         "aaaa")
    results.equal("stream-tasks: the requests", requests, ["WATCH TASKS aaaa", "GRAPHS group=*"])
    lines = done.stdout.splitlines()
    results.case("stream-tasks", done.returncode == 0 and len(lines) == 3 + 8 and
                 lines[2] == "task 2 waiting [0 1]: do_nothing StartNodes" and
                 lines[-2] == f"{LOCAL} task 2 succeeded: do_nothing StartNodes", done)
    done, _ = ask([watch, ended], "graphs", "stream-tasks", "aaaa")
    results.equal("stream-tasks of an ended graph", done.returncode, 0)
    done, _ = ask([watch, ended.replace("succeeded", "failed")], "graphs", "stream-tasks", "aaaa")
    results.equal("stream-tasks of a failed graph", done.returncode, 1)
    done, requests = ask(["OK seq=10\n", f"GRAPH id={GRAPH} state=succeeded finished={STAMP}\nOK\n"],
                         "graphs", "stream-tasks", "aaaa")
    results.equal("stream-tasks of no tasks", (done.returncode, requests[1]), (0, "GRAPH aaaa"))
    done, _ = ask([watch, SUCCEEDED + ended], "graphs", "stream-tasks", "aaaa")
    results.equal("stream-tasks: the end comes before the reply", done.returncode, 0)
    done, _ = ask([watch, GRAPH_LINE + "OK\n" + event(11, "graph-superseded", f"successor={OTHER}")],
                  "graphs", "stream-tasks", "aaaa")
    results.equal("stream-tasks of a superseded graph", (done.returncode, done.stderr),
                  (1, f"imctl: graph {GRAPH} superseded by {OTHER}\n"))
    done, _ = ask([watch, GRAPH_LINE + "OK\n" + EVENTS + SUCCEEDED], "graphs", "stream-tasks", "aaaa",
                  "--json")
    results.equal("stream-tasks as JSON",
                  [json.loads(line)["type"] for line in done.stdout.splitlines()][:4],
                  ["task", "task", "task", "graph-started"])


def test_interrupt():
    with FakeDaemon(answers("OK seq=10\n", PLAN_REPLY + EVENTS)) as daemon:
        process = Client(daemon.path).start("update", "2", "7")
        read_until(process, "task 2 succeeded")
        _, err, status = finish(process, signal.SIGINT)
    results.equal("Ctrl-C while updating", (status, err), (
        130, f"imctl: interrupted; the rollout goes on: imctl graphs stream-tasks {GRAPH}\n"))
    with FakeDaemon(answers(NODE_LINES + "OK seq=10\n")) as daemon:
        process = Client(daemon.path).start("nodes", "stream")
        read_until(process, "it broke")
        _, err, status = finish(process, signal.SIGINT)
    results.equal("Ctrl-C while streaming", (status, err), (130, "imctl: interrupted\n"))


def test_output_gone():
    with FakeDaemon(answers(NODE_LINES + "OK seq=10\n")) as daemon:
        process = Client(daemon.path).start("nodes", "stream")
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        results.equal("the reader goes away while nothing happens", (process.wait(), err), (1, ""))
        process.stderr.close()
    with FakeDaemon(answers(NODE_LINES * 5000 + "OK\n")) as daemon:
        process = Client(daemon.path).start("nodes", "ls")
        process.stdout.close()
        err = process.stderr.read()
        results.equal("the reader does not want a listing", (process.wait(), err), (1, ""))
        process.stderr.close()
    if os.path.exists("/dev/full"):
        with FakeDaemon(answers(NODE_LINES + "OK\n")) as daemon, open("/dev/full", "w") as full:
            _, err, status = finish(Client(daemon.path).start("nodes", "ls", stdout=full))
        results.case("the output is full", status == 1 and
                     re.fullmatch("imctl: cannot write the output[^\n]*\n", err), err)
    with FakeDaemon(answers("OK\n")) as daemon:
        done = subprocess.run(["sh", "-c", '"$@" >&-', "sh", IMCTL, "-s", daemon.path, "ping"],
                              capture_output=True, text=True, check=False)
        results.equal("the output is closed", (done.returncode, daemon.requests), (1, ["PING"]))


def test_terminal():
    with FakeDaemon(answers(NODE_LINES + "OK\n")) as daemon:
        arguments = [IMCTL, "-s", daemon.path, "nodes", "ls"]
        text, status = run_on_terminal(arguments)
        results.case("a terminal gets colour, and whole ids", status == 0 and NODE_A in text and
                     NODE_B in text and "\x1b[32mrunning" in text and "\x1b[31mfailed" in text,
                     repr(text))
        text, _ = run_on_terminal(arguments, NO_COLOR="1")
        results.case("no colour with NO_COLOR", "\x1b" not in text and NODE_A in text, repr(text))
        for columns in (40, 60, 80, 120):
            text, _ = run_on_terminal(arguments, columns, NO_COLOR="1")
            results.case(f"whole ids in {columns} columns", NODE_A in text and NODE_B in text,
                         text)
    with FakeDaemon(answers("OK seq=10\n", PLAN_REPLY + EVENTS + SUCCEEDED)) as daemon:
        text, _ = run_on_terminal([IMCTL, "-s", daemon.path, "update", "2", "7"])
        results.case("events in colour", "\x1b[32msucceeded\x1b[0m" in text, repr(text))


def main():
    need(IMCTL)
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
    return results.end()


if __name__ == "__main__":
    sys.exit(main())
