#!/usr/bin/env python3
"""The whole job through the socket: declare a spec, see the exact plan, watch it carried out, and what
comes in between: another change, a node that dies, a bad release."""

import os
import shutil
import subprocess

from imdmodel import bounds_of, judge_bounds, judge_ends, nodes_of, target_of, update
from imdtest import (TIMEOUT_S, UUID, Daemon, Lines, Skip, case, equal, expect, main, matches, spawn,
                     to_bytes)


class Socat(Lines):
    """A person at socat - UNIX:PATH."""

    def __init__(self, path):
        super().__init__()
        if not shutil.which("socat"):
            raise Skip("socat is not installed")
        self.process = spawn(["socat", "-", f"UNIX:{path}"], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)

    def receive(self):
        return os.read(self.process.stdout.fileno(), 1 << 16)

    def send(self, data):
        self.process.stdin.write(to_bytes(data))
        self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        self.process.wait(TIMEOUT_S)
        self.process.stdout.close()


QUICK = ("--mock-delay=0", "--heal-delay=1h", "--heal-max=1h")


def plan_of(reply):
    """The tasks of a reply as [prereqs] action(what), the way design and README show them."""
    shown = []
    for number, task in enumerate(reply.of("TASK")):
        equal(task["id"], str(number), "number of a task")
        prereqs = task.get("prereqs", "").replace(",", " ")
        what = task.get("description") or f"slot {task['slot']}, version {task['version']}"
        shown.append(f"{number} [{prereqs}] {task['action']} {what}")
    return shown


def spec_line(group="default", revision=0, size=0, version=0):
    return (f"SPEC group={group} revision={revision} size={size} version={version} max-surge=0 "
            "max-unavailable=1 max-parallel=0 min-ready=0")


# ---- the session of the prototype -----------------------------------------------------------------

def begin_with_nothing(client):
    reply = client.ok("SPEC")
    equal([str(line) for line in reply.records], [spec_line()], "SPEC before any UPDATE")
    equal(str(reply.end), "OK", "end of SPEC")
    equal(client.ok("NODES").records, [], "nodes of an empty group")
    equal(client.ok("GRAPHS").records, [], "graphs of an empty group")


def three_nodes(client, watcher):
    reply, events = update(client, watcher, "UPDATE 3 1")
    equal(plan_of(reply), ["0 [] start_node slot 0, version 1", "1 [] start_node slot 1, version 1",
                           "2 [] start_node slot 2, version 1", "3 [0 1 2] do_nothing StartNodes"],
          "plan of UPDATE 3 1")
    graph = reply.one("GRAPH")
    matches(rf"^OK graph={graph['id']} revision=1 tasks=4 min-available=0 max-live=3$",
            str(reply.end), "end of UPDATE")
    matches(rf"^GRAPH id={UUID} group=default revision=1 state=(waiting|running) tasks=4 ",
            str(graph), "GRAPH")
    equal([event.type for event in events].count("node-started"), 3, "nodes started")
    equal(nodes_of(client), [(str(slot), "1", "running") for slot in range(3)], "nodes")
    return [task["node"] for task in reply.of("TASK")[:3]]


def chain_of_six(client, watcher, first):
    reply, events = update(client, watcher, "UPDATE 3 2")
    equal(plan_of(reply), [
        "0 [] shut_down_node slot 2, version 1", "1 [0] start_node slot 2, version 2",
        "2 [1] shut_down_node slot 1, version 1", "3 [2] start_node slot 1, version 2",
        "4 [3] shut_down_node slot 0, version 1", "5 [4] start_node slot 0, version 2",
    ], "plan of UPDATE 3 2")
    tasks = reply.of("TASK")
    equal([task["node"] for task in tasks[::2]], first[::-1], "nodes that are shut down")
    matches("^OK .* revision=2 tasks=6 min-available=2 max-live=3$", str(reply.end), "UPDATE 3 2")
    order = [(event.type, event["task"]) for event in events if event.type.startswith("task-")]
    equal(order, [(kind, str(task)) for task in range(6)
                  for kind in ("task-started", "task-succeeded")], "a chain goes one by one")
    started = [event["id"] for event in events if event.type == "node-started"]
    equal(started, [task["node"] for task in tasks[1::2]], "nodes that are started")
    equal(nodes_of(client), [(str(slot), "2", "running") for slot in range(3)], "nodes")


def down_to_nothing(client, watcher):
    reply, _ = update(client, watcher, "UPDATE 0 2")
    plan = plan_of(reply)
    equal(plan, ["0 [] shut_down_node slot 2, version 2", "1 [] shut_down_node slot 1, version 2",
                 "2 [] shut_down_node slot 0, version 2", "3 [0 1 2] do_nothing KillSome"],
          "plan of UPDATE 0 2")
    equal(nodes_of(client), [], "nodes at the end")
    equal([spec["revision"] for spec in client.ok("SPECS").records], ["1", "2", "3"], "SPECS")
    equal([graph["state"] for graph in client.ok("GRAPHS").records], ["succeeded"] * 3, "GRAPHS")
    everyone = client.ok("NODES all=yes").records
    equal({node["state"] for node in everyone}, {"shut_down"}, "states of ended nodes")
    equal(len(everyone), 6, "ended nodes that are kept")


def whole_session(client, watcher):
    begin_with_nothing(client)
    equal(watcher.ok("WATCH ALL").end.number("seq"), 0, "seq of WATCH ALL")
    first = three_nodes(client, watcher)
    chain_of_six(client, watcher, first)
    down_to_nothing(client, watcher)


@case
def the_session_through_the_socket():
    with Daemon(*QUICK) as imd:
        whole_session(imd.client(), imd.client())


@case
def the_session_through_socat():
    with Daemon(*QUICK) as imd:
        client, watcher = Socat(imd.path), Socat(imd.path)
        whole_session(client, watcher)
        equal(str(client.ask("QUIT")), "OK", "QUIT")
        equal(client.raw_line(), None, "what comes behind QUIT")
        client.close()
        watcher.close()


@case
def one_socat_a_request():
    with Daemon(*QUICK) as imd:
        for request, records in (("update 1 7", 3), ("Spec", 1), ("PING", 0)):
            socat = Socat(imd.path)
            socat.send(request + "\n")
            socat.process.stdin.close()
            equal(len(socat.reply().records), records, request)
            equal(socat.raw_line(), None, "behind " + request)
            equal(socat.process.wait(), 0, "exit status of socat")


# ---- plans ----------------------------------------------------------------------------------------

@case
def size_and_version_together():
    with Daemon(*QUICK) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        bounds, targets, events = {}, {}, []
        for request in ("UPDATE 3 1", "UPDATE 5 2", "UPDATE 2 3", "UPDATE 4 4 max-surge=2",
                        "UPDATE 6 5 max-surge=50% max-unavailable=0", "UPDATE 1 6",
                        "UPDATE 3 7 max-unavailable=100%", "UPDATE 0 8"):
            reply, more = update(client, watcher, request)
            bounds[reply.end["graph"]] = bounds_of(reply)
            targets["default", reply.end["revision"]] = target_of(request)
            events += more
            _, size, version = request.split()[:3]
            equal([node[1:] for node in nodes_of(client)], [(version, "running")] * int(size),
                  f"nodes after {request}")
        judge_bounds(events, targets, bounds)
        judge_ends(events)


@case
def growing_with_a_new_version_grows_first():
    with Daemon(*QUICK) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        update(client, watcher, "UPDATE 2 1")
        reply, _ = update(client, watcher, "UPDATE 3 2")
        equal(plan_of(reply), [
            "0 [] start_node slot 2, version 2", "1 [0] do_nothing StartNodes",
            "2 [1] shut_down_node slot 1, version 1", "3 [2] start_node slot 1, version 2",
            "4 [3] shut_down_node slot 0, version 1", "5 [4] start_node slot 0, version 2",
        ], "plan of UPDATE 3 2 over two nodes at 1")


@case
def the_same_again_is_a_graph_of_no_tasks():
    with Daemon(*QUICK) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        update(client, watcher, "UPDATE 3 1")
        reply, events = update(client, watcher, "UPDATE 3 1")
        equal(reply.of("TASK"), [], "tasks")
        equal(reply.one("GRAPH")["state"], "succeeded", "state of the graph in the reply")
        matches("revision=2 tasks=0 min-available=2 max-live=3$", str(reply.end), "end of the reply")
        equal([event.type for event in events], ["graph-started", "graph-succeeded"], "events")


PLANNED = ("graph", "id", "action", "node", "slot", "version", "description", "prereqs")


def planned(reply):
    return [tuple(task.get(key) for key in PLANNED) for task in reply.of("TASK")]


@case
def a_plan_is_what_the_update_does():
    with Daemon(*QUICK, "--max-surge=1") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL group=*")
        for what in ("3 1", "3 2", "5 3 max-surge=0", "5 3", "2 4 max-unavailable=50% max-surge=2",
                     "0 4", "3 5 group=other", "4 6 group=other", "12 7 group=other",
                     "3 7 group=other max-parallel=1 min-ready=1ms"):
            before = client.stat("events")
            preview = client.ok("PLAN " + what)
            expect(all(task["state"] == "waiting" for task in preview.of("TASK")), preview)
            equal(preview.one("GRAPH")["state"], "waiting", "state of a plan")
            equal(client.stat("events"), before, "events after a PLAN")
            reply, events = update(client, watcher, "UPDATE " + what)
            equal(planned(reply), planned(preview), f"tasks of UPDATE {what} against PLAN")
            equal(str(reply.end), str(preview.end), f"UPDATE {what} against PLAN")
            equal(reply.one("GRAPH")["id"], preview.one("GRAPH")["id"], "id of the graph")
            started = {event["id"] for event in events if event.type == "node-started"}
            equal(started, {task["node"] for task in preview.of("TASK")
                            if task["action"] == "start_node"}, f"nodes started by UPDATE {what}")


@case
def a_plan_changes_nothing():
    with Daemon(*QUICK) as imd:
        client = imd.client()
        client.ok("PLAN 3 1 group=new")
        client.fails("SPEC group=new", "not-found", "new")
        equal(len(client.ok("GROUPS").records), 1, "groups")
        client.ok("PLAN 3 1")
        begin_with_nothing(client)


@case
def quiet_leaves_the_tasks_out():
    with Daemon(*QUICK) as imd:
        client = imd.client()
        for verb in ("PLAN", "UPDATE"):
            reply = client.ok(f"{verb} 3 1 quiet=yes")
            equal([line.kind for line in reply.records], ["GRAPH"], f"records of {verb} quiet=yes")
            equal(reply.end["tasks"], "4", f"tasks= of {verb} quiet=yes")


# ---- specs and groups -----------------------------------------------------------------------------

@case
def a_spec_keeps_policy_user_and_note():
    with Daemon(*QUICK, "--max-unavailable=2", "--min-ready=2ms") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        update(client, watcher, 'UPDATE 2 9 max-surge=25% max-parallel=4 note="why \\"so\\""')
        spec = client.ok("SPEC").one("SPEC")
        equal(list(spec.keys), ["group", "revision", "size", "version", "max-surge",
                                "max-unavailable", "max-parallel", "min-ready", "created", "uid",
                                "user", "reason", "note"], "keys of SPEC")
        for key, value in (("max-surge", "25%"), ("max-unavailable", "2"), ("max-parallel", "4"),
                           ("min-ready", "2ms"), ("reason", "update"), ("note", 'why "so"')):
            equal(spec[key], value, key)
        update(client, watcher, "UPDATE 2 9")
        equal(client.ok("SPEC").one("SPEC")["max-surge"], "0", "max-surge where it is not given")


@case
def if_revision_guards_a_change():
    with Daemon(*QUICK) as imd:
        client = imd.client()
        client.fails("UPDATE 3 1 if-revision=1", "conflict", "revision 0")
        client.ok("UPDATE 3 1 if-revision=0")
        client.fails("UPDATE 3 2 if-revision=0", "conflict", "revision 1.*not 0")
        client.fails("PLAN 3 2 if-revision=0", "conflict")
        equal(client.ok("SPEC").one("SPEC")["version"], "1", "version after refused updates")


@case
def groups_are_apart():
    with Daemon(*QUICK, "--max-groups=3") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL group=*")
        update(client, watcher, "UPDATE 2 1 group=web")
        update(client, watcher, "UPDATE 1 5 group=a.b_c-d")
        client.fails("UPDATE 1 1 group=more", "too-many", "3")
        equal([spec["group"] for spec in client.ok("GROUPS").records], ["a.b_c-d", "default", "web"],
              "GROUPS, by name")
        equal(nodes_of(client), [], "nodes of default")
        equal(len(client.ok("NODES group=*").records), 3, "nodes of every group")
        equal(len(client.ok("GRAPHS group=*").records), 2, "graphs of every group")
        node = client.ok("NODES group=web").records[0]["id"]
        equal(client.ok(f"NODE {node}").one("NODE")["group"], "web", "a node found by id alone")
        client.ok(f"NODE {node} group=web")
        client.fails(f"NODE {node} group=default", "not-found", "default")
        graph = client.ok("GRAPHS group=web").records[0]["id"]
        client.ok(f"TASKS {graph}")
        client.fails(f"TASKS {graph} group=default", "not-found")
        for request in ("SPEC", "SPECS", "NODES", "GRAPHS", "WATCH ALL"):
            client.fails(request + " group=nobody", "not-found", "nobody")
        client.fails("UPDATE 1 1 group=*", "bad-argument", "group=\\*")


# ---- nodes that die, marks, cancelling --------------------------------------------------------------

@case
def a_killed_node_is_replaced():
    with Daemon(*QUICK) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        update(client, watcher, "UPDATE 3 1")
        victim = client.ok("NODES").records[1]["id"]
        client.ok(f"KILL {victim[:18]}")
        events = watcher.await_event("graph-succeeded")
        begun = [event for event in events if event.type == "graph-started"]
        equal([event["reason"] for event in begun], ["kill"], "reasons of graphs")
        ends = [event["state"] for event in events
                if event.type == "node-state" and event["node"] == victim]
        equal(ends[-1], "failed", "last state of the node that was killed")
        equal(nodes_of(client), [(str(slot), "1", "running") for slot in range(3)], "nodes")
        dead = client.ok(f"NODE {victim}").one("NODE")
        matches("^killed by ", dead["error"], "error of the node")
        equal(client.ok("SPEC").one("SPEC")["revision"], "1", "revision after KILL")
        client.fails(f"KILL {victim}", "conflict", "ended")


@case
def a_slot_that_dies_again_waits_for_its_turn():
    with Daemon(*QUICK) as imd:  # heal-delay is an hour
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        update(client, watcher, "UPDATE 2 1")
        client.ok(f"KILL {client.ok('NODES').records[0]['id']}")
        watcher.await_event("graph-succeeded")
        again = client.ok("NODES").records[0]["id"]
        client.ok(f"KILL {again}")
        watcher.await_event("node-state", node=again, state="failed")
        graph = client.ok("GRAPHS").records[-1]
        waits = {task.get("waits") for task in client.ok(f"TASKS {graph['id']}").records
                 if task["action"] == "start_node"}
        equal(waits, {"backoff"}, "what the second replacement waits for")
        equal([node[0] for node in nodes_of(client)], ["1"], "slots that live")
        update(client, watcher, "UPDATE 2 1")
        equal(len(nodes_of(client)), 2, "nodes after an UPDATE, which waits for nothing")


@case
def the_marked_one_goes_first():
    with Daemon(*QUICK) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        update(client, watcher, "UPDATE 3 1")
        node = client.ok("NODES").records[0]["id"]
        client.ok(f"MARK {node}")
        marked = client.ok(f"NODE {node}").one("NODE")
        equal(marked["marked"], "yes", "key marked")
        equal(client.ok("PLAN 2 1").of("TASK")[0]["node"], node, "first to go")
        client.ok(f"MARK {node} mark=no")
        equal(client.ok(f"NODE {node}").one("NODE").get("marked"), None, "key marked")
        equal(client.ok("PLAN 2 1").of("TASK")[0]["slot"], "2", "first to go without a mark")
        client.ok(f"MARK {node}")
        reply, _ = update(client, watcher, "UPDATE 2 1")
        equal(reply.of("TASK")[0]["node"], node, "what UPDATE shut down")
        client.fails(f"MARK {node}", "conflict", "ended")


@case
def a_graph_is_cancelled():
    with Daemon("--mock-delay=20ms") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        graph = client.ok("UPDATE 8 1 max-parallel=2").end["graph"]
        events = watcher.await_event("task-started")
        client.ok(f"CANCEL {graph[:8]}")
        equal(client.ok(f"GRAPH {graph}").of("GRAPH")[0]["state"], "cancelled", "state at once")
        events += watcher.await_end(graph)
        equal(events[-1].type, "graph-cancelled", "the last event")
        states = [task["state"] for task in client.ok(f"TASKS {graph}").records]
        expect("cancelled" in states and not {"waiting", "running"} & set(states), states)
        equal(len([event for event in events if event.type == "task-cancelled"]),
              states.count("cancelled"), "events of cancelled tasks")
        equal(len(nodes_of(client)), states.count("succeeded"), "nodes that were under way")
        client.fails(f"CANCEL {graph}", "conflict", "cancelled")
        update(client, watcher, "UPDATE 8 1")
        equal(len(nodes_of(client)), 8, "nodes after the next UPDATE")


@case
def max_parallel_bounds_what_runs():
    with Daemon("--mock-delay=1ms-4ms") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH TASKS")
        reply, events = update(client, watcher, "UPDATE 20 1 max-parallel=3")
        running, most = set(), 0
        for event in events:
            if event.type == "task-started":
                running.add(event["task"])
            running -= {event["task"]} if event.get("state") == "succeeded" and \
                event.type == "task-succeeded" else set()
            most = max(most, len(running))
        equal(most, 3, "tasks at once")


# ---- a bad release --------------------------------------------------------------------------------

BAD = ("--mock-fail-version=2,4", "--retry-delay=5ms", "--heal-delay=1h", "--heal-max=1h")


@case
def a_bad_release_is_retried_and_fails():
    with Daemon("--mock-delay=1ms", *BAD, "--retries=3") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        update(client, watcher, "UPDATE 3 1")
        graph = client.ok("UPDATE 3 2").end["graph"]
        events = watcher.await_end(graph)
        retried = [(event["task"], event["attempt"]) for event in events
                   if event.type == "task-retrying"]
        equal(retried, [("1", "1"), ("1", "2"), ("1", "3")], "attempts that were followed by another")
        failed = [event for event in events if event.type == "task-failed"]
        equal([(event["task"], event["attempt"], event["state"]) for event in failed],
              [("1", "4", "failed")], "task-failed")
        matches("fail", failed[0]["error"], "error of the event")
        equal(events[-1].type, "graph-failed", "the last event")
        matches("task 1.*fail", events[-1]["error"], "error of the graph names task and why")
        task = client.ok(f"TASKS {graph}").records[1]
        equal((task["state"], task["attempt"]), ("failed", "4"), "the task")
        equal(task["error"], failed[0]["error"], "error of the task")
        record = client.ok(f"GRAPH {graph}").of("GRAPH")[0]
        equal((record["state"], record["failed"], record["cancelled"]), ("failed", "1", "4"), "graph")
        equal(client.ok("SPEC").one("SPEC")["version"], "2", "the desired version stays")
        expect(len([node for node in nodes_of(client) if node[2] == "running"]) == 2, "two nodes run")
        repair(client, watcher, 3)


def repair(client, watcher, size):
    update(client, watcher, f"UPDATE {size} 3")
    equal([node[1:] for node in nodes_of(client)], [("3", "running")] * size, "after a good UPDATE")


@case
def a_graph_with_a_failed_task_is_running_errored():
    with Daemon("--mock-delay=5ms-300ms", *BAD, "--retries=0") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        states = []
        while "running_errored" not in states:
            expect(len(states) < 10, "never seen:", states)
            graph = client.ok("UPDATE 8 2").end["graph"]
            watcher.await_event("task-failed", graph=graph)
            states.append(client.ok(f"GRAPH {graph}").of("GRAPH")[0]["state"])
            events = watcher.await_end(graph)
            equal(events[-1].type, "graph-failed", "the end")
        update(client, watcher, "UPDATE 0 3")


@case
def nothing_new_starts_in_a_failed_graph():
    with Daemon("--mock-delay=1ms-10ms", *BAD, "--retries=1") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        update(client, watcher, "UPDATE 10 1")
        graph = client.ok("UPDATE 10 4 max-unavailable=3").end["graph"]
        events = watcher.await_end(graph)
        failed = next(i for i, event in enumerate(events) if event.type == "task-failed")
        later = [str(event) for event in events[failed:] if event.type == "task-started"]
        equal(later, [], "tasks that began after one had failed")
        repair(client, watcher, 10)


main()
