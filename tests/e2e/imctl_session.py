#!/usr/bin/env python3
"""imctl with the real imd: every command, for people and as JSON, and what happens when releases
fail, are superseded, cancelled or interrupted, and when imd goes away."""

import json
import os
import re
import signal
import socket
import sys

sys.dont_write_bytecode = True  # the tests may run from a source tree that is not theirs

from imctl_lib import (IMCTL, IMD, TIME, UUID, Client, Daemon, Results, finish, need, read_until,
                       run_on_terminal)

results = Results()


def ask(path, request):
    """The last line that the daemon answers to one request, without imctl."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        sock.sendall(request.encode() + b"\n")
        sock.shutdown(socket.SHUT_WR)
        with sock.makefile("r") as replies:
            return replies.read().splitlines()[-1]


def plan_rows(text):
    """The rows of the plan in an update's output, blanks made one."""
    text = text.split("TASK GRAPH SPEC:\n")[1].split("\ngraph ")[0]
    return [" ".join(line.split()) for line in text.splitlines()]


def generalise(rows):
    """Every node's id as a letter, in the order in which they appear."""
    seen = {}
    return [re.sub(UUID, lambda found: seen.setdefault(found[0], chr(ord("a") + len(seen))), row)
            for row in rows]


def test_session():
    with Daemon("--mock-delay=1ms-20ms") as daemon:
        imctl = Client(daemon.path)
        results.equal("nodes ls of an empty group", imctl.run("nodes", "ls").stdout.split()[:4],
                      ["ID", "SLOT", "VERSION", "STATE"])
        done = imctl.run("update", "3", "1")
        results.equal("update 3 1: the plan", generalise(plan_rows(done.stdout)), [
            "ID PREREQS ACTION", "0 [] start_node a slot 0 version 1",
            "1 [] start_node b slot 1 version 1", "2 [] start_node c slot 2 version 1",
            "3 [0 1 2] do_nothing StartNodes"])
        stream = done.stdout.split("TASKS STREAM:\n")[1].splitlines()
        results.case("update 3 1: the stream", done.returncode == 0 and not done.stderr and
                     len(stream) == 9 and all(re.match(f"{TIME} task ", line)
                                              for line in stream[:-1]), done)
        results.matches("update 3 1: its last line", rf"\A{TIME} graph {UUID} succeeded\Z", stream[-1])
        done = imctl.run("update", "3", "2")
        rows = generalise(plan_rows(done.stdout))
        results.equal("update 3 2: the plan", [
            re.sub(r" slot \d+", "", row) for row in rows], [
                "ID PREREQS ACTION", "0 [] shut_down_node a", "1 [0] start_node b version 2",
                "2 [1] shut_down_node c", "3 [2] start_node d version 2", "4 [3] shut_down_node e",
                "5 [4] start_node f version 2"])
        order = re.findall(rf"^{TIME} task (\d) (\w+)", done.stdout, re.M)
        results.equal("update 3 2: one after the other", order, [
            (str(task), what) for task in range(6) for what in ("started", "succeeded")])
        done = imctl.run("update", "0", "2")
        results.equal("update 0 2: the plan", generalise(plan_rows(done.stdout)), [
            "ID PREREQS ACTION", "0 [] shut_down_node a", "1 [] shut_down_node b",
            "2 [] shut_down_node c", "3 [0 1 2] do_nothing KillSome"])
        results.equal("update 0 2", done.returncode, 0)
        done = imctl.run("update", "0", "2")
        results.case("update of what is so already", done.returncode == 0 and
                     done.stdout.endswith("\nnothing to do\n"), done)


def test_listings(imctl):
    nodes = imctl.json("nodes", "ls")
    results.case("nodes ls", len(nodes) == 3 and all(
        node["state"] == "running" and node["version"] == 1 for node in nodes) and
        sorted(node["slot"] for node in nodes) == [0, 1, 2], nodes)
    text = imctl.run("nodes", "ls").stdout
    results.case("nodes ls, for people", all(
        re.search(rf"^{node['id']} +{node['slot']} +1 running +1 {TIME} {TIME}$", text, re.M)
        for node in nodes), text)
    results.equal("nodes ls --quiet", imctl.run("-q", "nodes", "ls").stdout.split(),
                  [node["id"] for node in nodes])
    for node in nodes:
        results.equal("nodes get, of a prefix", imctl.json("nodes", "get", node["id"][:8]), node)
    results.matches("nodes get, for people", rf"^id +{nodes[0]['id']}$",
                    imctl.run("nodes", "get", nodes[0]["id"]).stdout)
    spec = imctl.json("spec")
    results.equal("spec", (spec["group"], spec["revision"], spec["size"], spec["version"],
                           spec["max-surge"], spec["max-unavailable"], spec["note"], spec["uid"]),
                  ("default", 1, 3, 1, "50%", 1, "the \"first\"", os.getuid()))
    results.equal("specs ls", imctl.json("specs", "ls"), [spec])
    results.equal("groups ls", imctl.json("groups", "ls"), [spec])
    for command in ("spec", "specs ls", "groups ls"):
        results.matches(f"{command}, for people", "50%.*(\n.*)*the \"first\"",
                        imctl.run(*command.split()).stdout)
    stats = imctl.json("stats")
    results.case("stats", stats["nodes-running"] == 3 and stats["driver"] == "mock", stats)
    results.matches("stats, for people", "^nodes-running +3$", imctl.run("stats").stdout)
    results.equal("ping", (imctl.run("ping").stdout, imctl.json("ping")["ok"]),
                  (f"imd at {imctl.path} answers\n", True))
    results.equal("raw", imctl.run("raw", "PING", "WATCH NODES initial=no").stdout.splitlines()[0],
                  "OK")
    results.equal("raw as JSON", [item["type"] for item in imctl.json_lines("raw", "NODES", "PING")],
                  ["node"] * 3 + ["ok", "ok"])


def test_graphs(imctl):
    graph, = imctl.json("graphs", "ls")
    results.equal("graphs ls", (graph["state"], graph["tasks"], graph["succeeded"],
                                graph["reason"], graph["revision"]), ("succeeded", 4, 4, "update", 1))
    results.matches("graphs ls, for people", rf"^{graph['id']} +1 succeeded update {graph['user']} +4 +0 +0 +4 +0 +0 ",
                    imctl.run("graphs", "ls").stdout)
    got = imctl.json("graphs", "get", graph["id"][:6])
    results.equal("graphs get", (got["graph"], [task["prereqs"] for task in got["tasks"]]),
                  (graph, [[], [], [], [0, 1, 2]]))
    results.matches("graphs get, for people", r"^ *3 \[0 1 2\] do_nothing StartNodes +succeeded",
                    imctl.run("graphs", "get", graph["id"]).stdout)
    dot = imctl.run("graphs", "dot", graph["id"]).stdout
    results.case("graphs dot", dot.startswith("digraph") and dot.count(" -> ") == 3 and
                 dot.count("palegreen") == 4, dot)
    results.equal("graphs dot as JSON", imctl.json("graphs", "dot", graph["id"]), {"dot": dot})
    done = imctl.run("graphs", "stream-tasks", graph["id"])
    results.equal("stream-tasks of an ended graph", (done.returncode, done.stdout.count("\n")), (0, 4))
    lines = imctl.json_lines("graphs", "stream-tasks", graph["id"][:8])
    results.equal("stream-tasks as JSON", [line["id"] for line in lines], [0, 1, 2, 3])


def test_refusals(imctl):
    unknown = "01234567-0123-4123-8123-012345670123"
    for args, request, status in [
            (["update", "-1", "1"], "UPDATE -1 1", 2), (["plan", "+3", "1"], "PLAN +3 1", 2),
            (["plan", "1.5", "1"], "PLAN 1.5 1", 2), (["plan", "0x3", "1"], "PLAN 0x3 1", 2),
            (["plan", "1", "9223372036854775808"], "PLAN 1 9223372036854775808", 2),
            (["plan", "1000001", "1"], "PLAN 1000001 1", 2), (["plan", " 3", "1"], 'PLAN " 3" 1', 2),
            (["plan", "3", "1", "--max-unavailable=101%"], "PLAN 3 1 max-unavailable=101%", 2),
            (["plan", "3", "1", "--min-ready", "soon"], "PLAN 3 1 min-ready=soon", 2),
            (["plan", "3", "1", "-g", "Web"], "PLAN 3 1 group=Web", 2),
            (["update", "3", "1", "-g", "Web"], "UPDATE 3 1 group=Web", 2),
            (["plan", "3", "1", "--if-revision=77"], "PLAN 3 1 if-revision=77", 1),
            (["update", "3", "1", "--if-revision=77", "--detach"], "UPDATE 3 1 if-revision=77", 1),
            (["nodes", "ls", "-g", "none"], "NODES group=none", 4),
            (["spec", "-g", "none"], "SPEC group=none", 4),
            (["nodes", "get", unknown], f"NODE {unknown}", 4),
            (["nodes", "kill", unknown], f"KILL {unknown}", 4),
            (["nodes", "get", "012"], "NODE 012", 2), (["nodes", "get", "xyzw"], "NODE xyzw", 2),
            (["graphs", "get", unknown[:8]], f"GRAPH {unknown[:8]}", 4),
            (["graphs", "dot", unknown], f"GRAPH {unknown}", 4),
            (["graphs", "cancel", unknown], f"CANCEL {unknown}", 4),
            (["graphs", "stream-tasks", unknown], f"WATCH TASKS {unknown}", 4)]:
        done = imctl.run(*args)
        code, text = ask(imctl.path, request).split(" ", 2)[1:]
        results.equal(f"{' '.join(args)} is refused", (done.returncode, done.stdout, done.stderr),
                      (status, "", f"imctl: {code}: {text}\n"))
    for length in (2000, 5000):
        done = imctl.run("update", "3", "1", "--note", "x" * length)
        results.equal(f"a note of {length} bytes", (done.returncode, done.stdout), (2, ""))
    done = imctl.run("raw", "FLY", "UPDATE x y")
    results.equal("raw: what is refused", (done.returncode, re.findall("^ERR (\\S+)", done.stdout,
                                                                       re.M)),
                  (2, ["unknown-command", "bad-argument"]))


def test_plans(imctl):
    plan = imctl.json("plan", "4", "3", "--max-surge=1", "--max-unavailable=0")
    same = imctl.json("update", "4", "3", "--max-surge=1", "--max-unavailable=0", "--dry-run")
    done = imctl.run("--json", "update", "4", "3", "--max-surge=1", "--max-unavailable=0")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    results.case("plan, --dry-run and update tell the same", plan["tasks"] == same["tasks"] and [
        (task["id"], task["prereqs"], task.get("node")) for task in plan["tasks"]] == [
            (task["id"], task["prereqs"], task.get("node")) for task in lines[0]["tasks"]] and
        plan["graph"]["id"] == lines[0]["graph"]["id"], done)
    results.equal("the bounds", (plan["min-available"], plan["max-live"]), (3, 5))
    events = [(line["type"], line["task"]) for line in lines[1:] if "task" in line]
    results.case("every task starts once and ends once", sorted(events) == sorted(
        (kind, task["id"]) for task in plan["tasks"] for kind in ("task-started", "task-succeeded")),
        events)
    results.case("sequence numbers rise", all(
        a["seq"] < b["seq"] for a, b in zip(lines[1:-2], lines[2:-1])), done.stdout)
    results.case("update as JSON: the result", done.returncode == 0 and lines[-1]["succeeded"] and
                 lines[-1]["graph"] == plan["graph"]["id"], lines[-1])
    done = imctl.run("update", "5", "3", "--detach")
    graph = re.search(f"^graph ({UUID}), revision 3", done.stdout, re.M)
    results.case("update --detach", done.returncode == 0 and graph and "STREAM" not in done.stdout,
                 done)
    results.equal("stream-tasks of it", imctl.run("graphs", "stream-tasks", graph[1]).returncode, 0)
    done = imctl.run("-q", "update", "3", "3")
    results.equal("update --quiet", (done.returncode, done.stdout, done.stderr), (0, "", ""))


def test_nodes(imctl):
    nodes = imctl.run("-q", "nodes", "ls").stdout.split()
    results.equal("nodes mark", (imctl.json("nodes", "mark", nodes[0][:8])["type"],
                                 imctl.json("nodes", "get", nodes[0]).get("marked")), ("ok", True))
    results.matches("a marked node goes first", f"^ *0 .*shut_down_node {nodes[0]}$",
                    imctl.run("plan", "2", "3").stdout)
    imctl.run("nodes", "mark", nodes[0], "--no")
    results.equal("nodes mark --no", imctl.json("nodes", "get", nodes[0]).get("marked"), None)
    stream = imctl.start("nodes", "stream")
    results.equal("nodes stream: the nodes", [stream.stdout.readline().split()[1] for _ in nodes],
                  nodes)
    graphs = imctl.start("graphs", "stream", "--json")
    old = len(imctl.json("graphs", "ls"))
    results.equal("graphs stream: the graphs", [
        json.loads(graphs.stdout.readline())["type"] for _ in range(old)], ["graph"] * old)
    done = imctl.run("nodes", "kill", nodes[1])
    results.equal("nodes kill", (done.returncode, done.stdout), (0, ""))
    killed = read_until(stream, r" starting$")
    results.matches("nodes stream: the death", f"^{TIME} node {nodes[1]} slot \\d failed: ", killed)
    read_until(stream, " running$")
    seen = [json.loads(line) for line in read_until(graphs, "graph-succeeded").splitlines()]
    results.equal("graphs stream: the replacement",
                  [(item["type"], item.get("reason")) for item in seen],
                  [("graph-started", "kill"), ("graph-succeeded", None)])
    for process in (stream, graphs):
        results.equal("a stream is interrupted", finish(process, signal.SIGINT)[1:],
                      ("imctl: interrupted\n", 130))
    states = {node["id"]: node["state"] for node in imctl.json("nodes", "ls", "--all")}
    results.equal("nodes ls --all", states[nodes[1]], "failed")
    results.case("nodes ls has the replacement", len(imctl.json("nodes", "ls")) == 3 and
                 nodes[1] not in imctl.run("nodes", "ls").stdout)
    results.equal("a node that is dead already", imctl.run("nodes", "kill", nodes[1]).returncode, 1)


def test_groups(imctl):
    results.equal("the first update of a group", imctl.run("-g", "web", "update", "2", "9").returncode,
                  0)
    results.equal("groups ls -q", imctl.run("-q", "groups", "ls").stdout.split(), ["default", "web"])
    results.equal("its nodes", [node["version"] for node in imctl.json("-g", "web", "nodes", "ls")],
                  [9, 9])
    groups = {node["group"] for node in imctl.json("-g", "*", "nodes", "ls")}
    results.equal("nodes ls of every group", groups, {"default", "web"})
    results.matches("nodes ls of every group, for people", f"^{UUID} web ",
                    imctl.run("-g*", "nodes", "ls").stdout)
    results.equal("graphs ls of a group", len(imctl.json("graphs", "ls", "-g", "web")), 1)
    text, status = run_on_terminal([IMCTL, "-s", imctl.path, "-gweb", "nodes", "ls"])
    results.case("colour on a terminal", status == 0 and "\x1b[32mrunning" in text, repr(text))


def test_commands():
    with Daemon("--mock-delay=1ms-20ms") as daemon:
        imctl = Client(daemon.path)
        done = imctl.run("update", "3", "1", "--note", "the \"first\"", "--max-surge", "50%")
        results.equal("the first update", done.returncode, 0)
        test_listings(imctl)
        test_graphs(imctl)
        test_refusals(imctl)
        test_plans(imctl)
        test_nodes(imctl)
        test_groups(imctl)


def test_failing_release():
    with Daemon("--mock-delay=1ms", "--mock-fail-version=13", "--retry-delay=10ms",
                "--retries=2") as daemon:
        imctl = Client(daemon.path)
        imctl.run("-q", "update", "2", "12")
        done = imctl.run("update", "2", "13")
        results.equal("a bad release: exit 1", done.returncode, 1)
        for attempt in ("", ", attempt 2"):
            results.matches(f"a bad release: retrying{attempt}",
                            rf"^{TIME} task 1 retrying{attempt}: start_node {UUID} slot \d version 13: "
                            r"\w", done.stdout)
        failed = re.search(rf"^{TIME} task 1 failed, attempt 3: start_node {UUID} .*: (.+)$",
                           done.stdout, re.M)
        results.case("a bad release: the task", failed, done.stdout)
        results.matches("a bad release: which, and why",
                        rf"\Aimctl: graph {UUID} failed: .*\n\Z", done.stderr)
        results.case("a bad release: the error is the task's", failed and failed[1] in done.stderr,
                     done)
        graph = imctl.json("graphs", "ls")[-1]
        results.equal("a bad release: the graph", graph["state"], "failed")
        results.equal("stream-tasks of a failed graph",
                      imctl.run("graphs", "stream-tasks", graph["id"]).returncode, 1)
        results.matches("graphs get shows the error", "^ *1 .* failed .*" + re.escape(failed[1]),
                        imctl.run("graphs", "get", graph["id"]).stdout)
        lines = imctl.json_lines("update", "2", "13")
        results.case("a bad release, as JSON", lines[-1]["type"] == "result" and
                     not lines[-1]["succeeded"] and lines[-1]["state"] == "failed", lines[-1])
        results.equal("rolled back", imctl.run("update", "2", "12").returncode, 0)


def test_superseded():
    with Daemon("--mock-delay=300ms") as daemon:
        imctl = Client(daemon.path)
        imctl.run("-q", "update", "4", "1")
        process = imctl.start("update", "4", "2")
        begun = read_until(process, "task 0 started")
        second = imctl.run("update", "4", "3", "--max-unavailable=4")
        results.equal("the update that supersedes", second.returncode, 0)
        out, err, status = finish(process)
        successor = re.search(f"^graph ({UUID})", second.stdout, re.M)[1]
        results.equal("superseded by another spec", (status, err), (
            1, f"imctl: superseded by {successor}; following it\n"
            "imctl: revision 2 was superseded by revision 3, which succeeded\n"))
        results.matches("it shows the other's tasks", f"^{TIME} graph {successor} task \\d+ started",
                        out)
        results.matches("and its end", f"^{TIME} graph {successor} succeeded$", out)
        results.matches("and that its own were cancelled", f"^{TIME} task 5 cancelled", begun + out)
        process = imctl.start("update", "4", "4")
        read_until(process, "task 0 started")
        victim = [node["id"] for node in imctl.json("nodes", "ls") if node["state"] == "running"][0]
        results.equal("a node dies", imctl.run("nodes", "kill", victim).returncode, 0)
        out, err, status = finish(process)
        results.case("superseded by healing", status == 0 and
                     re.fullmatch(rf"(imctl: superseded by {UUID}; following it\n)+", err),
                     (status, err, out))
        results.equal("it is as declared", {node["version"] for node in imctl.json("nodes", "ls")},
                      {4})


def test_cancelled():
    with Daemon("--mock-delay=200ms") as daemon:
        imctl = Client(daemon.path)
        process = imctl.start("update", "3", "1", "--max-parallel=1")
        graph = re.search(f"^graph ({UUID})", read_until(process, "task 0 started"), re.M)[1]
        results.equal("graphs cancel", imctl.run("graphs", "cancel", graph[:8]).returncode, 0)
        out, err, status = finish(process)
        results.equal("an update that is cancelled", (status, err),
                      (1, f"imctl: graph {graph} cancelled\n"))
        results.matches("its tasks are cancelled", f"^{TIME} task 2 cancelled", out)


def test_interrupt():
    with Daemon("--mock-delay=1h") as daemon:
        imctl = Client(daemon.path)
        process = imctl.start("update", "2", "1")
        graph = re.search(f"^graph ({UUID})", read_until(process, "task 1 started"), re.M)[1]
        results.equal("Ctrl-C", finish(process, signal.SIGINT)[1:], (
            f"imctl: interrupted; the rollout goes on: imctl graphs stream-tasks {graph}\n", 130))
        results.equal("the rollout goes on", imctl.json("graphs", "get", graph)["graph"]["state"],
                      "running")
        done = imctl.run("--timeout=100ms", "graphs", "stream-tasks", graph)
        results.case("--timeout", done.returncode == 124 and "the rollout goes on" in done.stderr,
                     done)
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            with Daemon("--mock-delay=1h") as other:
                process = Client(other.path).start("update", "2", "1")
                read_until(process, "task 1 started")
                other.stop(signal_number)
                results.equal(f"imd ends by {signal_number.name}, and cannot be reached",
                              Client(other.path).run("ping").returncode, 3)
                _, err, status = finish(process, signal.SIGINT)
                results.case("Ctrl-C while imd is away", status == 130 and
                             "interrupted; the rollout goes on" in err, (status, err))


def test_large():
    with Daemon("--mock-delay=0") as daemon:
        imctl = Client(daemon.path)
        done = imctl.run("update", "20000", "1")
        results.case("20,000 nodes", done.returncode == 0 and
                     "[0 1 .. 19999]" in done.stdout and
                     len(re.findall(rf"^{TIME} task \d+ succeeded", done.stdout, re.M)) == 20001,
                     done.stdout[-2000:] + done.stderr)
        results.equal("their listing", len(imctl.json("nodes", "ls")), 20000)


def test_lost_events():
    with Daemon("--mock-delay=0", "--keep-events=2000") as daemon:
        imctl = Client(daemon.path)
        done = imctl.run("update", "100000", "1")
        results.matches("an update of which events may be lost: its end",
                        rf"^{TIME} graph {UUID} succeeded\Z", done.stdout[-1000:].rstrip("\n"))
        done = imctl.run("-q", "update", "100000", "2", "--max-surge=100")
        results.equal("--quiet does not speak of it", (done.returncode, done.stdout, done.stderr),
                      (0, "", ""))


def main():
    need(IMCTL, IMD)
    for test in (test_session, test_commands, test_failing_release, test_superseded, test_cancelled,
                 test_interrupt, test_large, test_lost_events):
        test()
    return results.end()


if __name__ == "__main__":
    sys.exit(main())
