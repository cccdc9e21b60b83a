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

from imctl_lib import (EVENTS, GRAPH, GRAPH_LINE, IMCTL, LOCAL, NODE_A, NODE_B, NODE_LINES, OTHER,
                       PLAN_REPLY, STAMP, SUCCEEDED, TASK_LINES, Client, FakeDaemon, Results, answers,
                       ask, environment, event, finish, need, read_until, run_on_terminal)

SPEC_LINE = "SPEC group=default revision=4 size=3 version=2 max-surge=25% max-unavailable=1 " \
    f"max-parallel=0 min-ready=3s created={STAMP} uid=1000 user=me reason=update note=\"a b\"\n"

results = Results()


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
            (["metrics"], "METRICS"),
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
    for args in (["help", "nodes"], ["nodes", "--help"]):
        done, _ = ask([], *args)
        results.case(f"{' '.join(args)}: all that begin so", done.returncode == 0 and
                     re.findall(r"^  (nodes \S+|--no|--all|--note) ", done.stdout, re.M) == [
                         "nodes ls", "nodes get", "nodes kill", "nodes mark", "nodes stream", "--all",
                         "--no"] and not done.stderr, done)
    family = json.loads(ask([], "help", "nodes", "--json")[0].stdout)["commands"]
    results.equal("help nodes as JSON", family, [command for command in overview["commands"]
                                                 if command["name"].startswith("nodes ")])
    done, _ = ask([], "--version")
    results.matches("--version", r"\Aimctl \d+\.\d+\.\d+\n\Z", done.stdout)
    done, _ = ask([], "-V", "--json")
    results.matches("--version as JSON", r"^\d+\.\d+\.\d+$", json.loads(done.stdout)["version"])


def test_errors():
    for code, status in [("bad-argument", 2), ("not-found", 4), ("denied", 5), ("conflict", 1),
                         ("internal", 1), ("shutting-down", 3), ("line-too-long", 2),
                         ("a-new-one", 1), ("storage", 1)]:
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
    metrics = '# TYPE imd_nodes gauge\nimd_nodes{group="a b"} 3\n# EOF\n'
    results.equal("metrics", ask([metrics + "OK\n"], "metrics")[0].stdout, metrics)
    results.equal("metrics as JSON", json.loads(ask([metrics + "OK\n"], "metrics", "--json")[0].stdout),
                  {"metrics": metrics})
    done, _ = ask([metrics + "ERR storage it is gone\n"], "metrics")
    results.equal("metrics that are not whole", (done.returncode, done.stdout), (1, ""))
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
    results.equal("graphs get --quiet", ask([reply], "graphs", "get", "aaaa", "-q")[0].stdout, done.stdout)
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
        "ERR internal bye\n"
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
                       ("a long line of it", "x" * 60000 + "\n"), ("an empty line", "\n"),
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


def test_lagged():
    def serve(daemon, connection, number):
        daemon.next_request(connection)
        connection.send("OK seq=5\nEVENT 6 node-state node=x state=running\n" if number == 1 else
                        "OK seq=6\nEVENT 7 node-state node=x state=failed\n")
        connection.send("ERR lagged seq=9\n" if number == 1 else "ERR internal bye\n")
    with FakeDaemon(serve) as daemon:
        done = Client(daemon.path).run("nodes", "stream")
    results.equal("nodes stream lagged", (daemon.requests, done.stdout.count(" node x ")),
                  (["WATCH NODES", "WATCH NODES since=6"], 2))


def test_streams():
    text = NODE_LINES + "OK seq=3\n" + f"EVENT 4 node-state node={NODE_A} group=default slot=0 " \
        f"state=unhealthy at={STAMP} error=ill\nEVENT 5 new-thing x=y at={STAMP}\nERR internal x\n"
    done, requests = ask([text], "nodes", "stream")
    results.equal("nodes stream", (requests, done.stdout.splitlines()), (["WATCH NODES"], [
        f"node {NODE_A} slot 0 version 7 running",
        f"node {NODE_B} slot 10 version 7 failed: it broke",
        f"{LOCAL} node {NODE_A} slot 0 unhealthy: ill", f"{LOCAL} new-thing x y"]))
    done, _ = ask([text], "nodes", "stream", "--json")
    results.equal("nodes stream as JSON",
                  [json.loads(line)["type"] for line in done.stdout.splitlines()],
                  ["node", "node", "node-state", "new-thing"])
    done, requests = ask(["OK seq=3\nERR internal x\n"], "-q", "nodes", "stream", "-g", "web")
    results.equal("nodes stream --quiet", requests, ["WATCH NODES group=web initial=no"])
    text = GRAPH_LINE + "OK seq=10\n" + event(
        11, "graph-started", "revision=1 tasks=3 reason=update state=running") + SUCCEEDED + \
        "ERR internal x\n"
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
        for env in ("dumb", ""):
            text, _ = run_on_terminal(arguments, TERM=env)
            results.case(f"no colour with TERM={env}", "\x1b" not in text and NODE_A in text,
                         repr(text))
        text, _ = run_on_terminal(["env", "-u", "TERM", *arguments])
        results.case("no colour without TERM", "\x1b" not in text and NODE_A in text, repr(text))
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
