#!/usr/bin/env python3
"""Who did it: each graph names the user who asked for it and the one who cancelled it, and each marked node the
one who marked it, on the wire, in imctl, in the state file and in the log; after a restart and a crash, too."""

import json
import shutil
import sqlite3

from imdtest import (IMCTL, IMD, await_that, backup, case, environment, equal, expect, main, matches, need_imctl,
                     new_path, run, spawn)
from users import As, UserDatabase, path_for_all

ALICE, BOB, CAROL = "alice", "bob", "carol"
ADMINS, ADMIN_GID = "imadm", 62001
USERS = {"root": (0, 0), ALICE: (61001, ADMIN_GID), BOB: (61002, ADMIN_GID), CAROL: (61003, ADMIN_GID)}
NAMELESS = 61200  # a dynamic user, whose groups are those of its process

QUICK = ("--mock-delay=0",)
SLOW = ("--mock-delay=1h",)


def uid_of(name):
    return USERS[name][0]


class House:
    """A daemon that can be left in several ways, and goes on with its file; and who comes to it."""

    def __init__(self, *options):
        self.database = UserDatabase(USERS, {ADMINS: (ADMIN_GID, [])})
        self.path, self.state = path_for_all(), new_path("state.db")
        self.start(*options)

    def start(self, *options):
        self.imd = self.database.daemon(*options, f"--state={self.state}", f"--admin-group={ADMINS}",
                                        path=self.path)
        self.root = self.imd.client()
        self.watcher = self.imd.client()
        self.watcher.ok("WATCH ALL group=*")

    def again(self, *options):
        self.imd.stop()
        self.start(*options)

    def crash(self, *options):
        self.imd.process.kill()
        self.imd.process.wait()
        self.start(*options)

    def user(self, name):
        return As(self.path, uid_of(name))

    def update(self, name, request):
        """Carried out to its end; the id of the graph."""
        graph = self.user(name).ok(request).end["graph"]
        self.watcher.await_end(graph)
        return graph

    def kill(self, name, number=0):
        """Kills a node, waits for the end of what that made; the id of the graph."""
        node = self.root.ok("NODES").records[number]["id"]
        self.user(name).ok(f"KILL {node}")
        begun = self.watcher.await_event("graph-started")[-1]
        equal((begun["reason"], begun["user"], begun["uid"]), ("kill", name, str(uid_of(name))), "graph-started")
        self.watcher.await_end(begun["graph"])
        return begun["graph"]

    def who(self, graph):
        """(reason, who asked, who cancelled) by the record, whose numbers and names must be of one user."""
        record = self.root.ok(f"GRAPH {graph}").one("GRAPH")
        for number, name in (("uid", "user"), ("cancelled-uid", "cancelled-by")):
            expected = None if record.get(name) is None else str(uid_of(record[name]))
            equal(record.get(number), expected, f"{number} of {record}")
        return record["reason"], record.get("user"), record.get("cancelled-by")

    def history(self):
        """graph: the same by the view, in a copy of the state."""
        rows = sqlite3.connect(backup(self.root, new_path("copy.db")))
        found = rows.execute("SELECT graph, reason, user, cancelled_by FROM history").fetchall()
        rows.close()
        return {graph: tuple(rest) for graph, *rest in found}

    def expect(self, wanted):
        """graph: (reason, who asked, who cancelled), of all graphs that there are."""
        equal({graph: self.who(graph) for graph in wanted}, wanted, "GRAPH")
        equal(self.history(), wanted, "the view history")
        listed = {record["id"]: (record["reason"], record.get("user"), record.get("cancelled-by"))
                  for record in self.root.ok("GRAPHS group=*").records}
        equal(listed, wanted, "GRAPHS")

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.imd.__exit__(*problem)


@case
def a_kill_is_of_who_killed():
    with House(*QUICK) as house:
        wanted = {house.update("root", "UPDATE 3 1"): ("update", "root", None)}
        wanted[house.kill(CAROL)] = ("kill", CAROL, None)
        house.expect(wanted)
        house.again(*QUICK, "--keep-tasks=0")
        house.expect(wanted)
        wanted[house.kill(BOB, 2)] = ("kill", BOB, None)
        house.crash(*QUICK)
        house.expect(wanted)
        wanted[house.update(ALICE, "UPDATE 3 1")] = ("update", ALICE, None)
        house.expect(wanted)
        equal([spec["user"] for spec in house.root.ok("SPECS").records], ["root", ALICE], "who declared")


@case
def a_kill_in_flight_is_of_who_killed():
    with House(*QUICK) as house:
        wanted = {house.update(ALICE, "UPDATE 2 1"): ("update", ALICE, None)}
        house.again(*SLOW)
        node = house.root.ok("NODES").records[0]["id"]
        house.user(CAROL).ok(f"KILL {node}")
        graph = house.watcher.await_event("graph-started")[-1]["graph"]
        wanted[graph] = ("kill", CAROL, None)
        house.expect(wanted)
        house.crash(*SLOW)
        house.expect(wanted)


@case
def a_cancel_is_of_who_cancelled():
    with House(*QUICK) as house:
        wanted = {house.update("root", "UPDATE 2 1"): ("update", "root", None)}
        house.again(*SLOW)
        graph = house.user(ALICE).ok("UPDATE 4 2 quiet=yes").end["graph"]
        house.user(CAROL).ok(f"CANCEL {graph}")
        wanted[graph] = ("update", ALICE, CAROL)
        house.expect(wanted)
        house.user(BOB).fails(f"CANCEL {graph}", "conflict")
        expect("graph-cancelled" not in house.imd.log(), "it has not ended, and is said to have")
        house.expect(wanted)
        house.crash(*SLOW)
        house.expect(wanted)
        house.again(*QUICK)
        await_that(lambda: house.root.ok(f"GRAPH {graph}").one("GRAPH").get("finished"), "it comes to its end")
        await_that(lambda: "graph-cancelled" in house.imd.log(), "it is logged")
        matches(f"^<5>graph-cancelled .* graph={graph} .* user={CAROL} ", house.imd.log(), "the log")
        house.expect(wanted)
        house.again(*QUICK, "--keep-tasks=0")
        house.expect(wanted)


@case
def a_watcher_is_told_who_cancelled():
    with House("--mock-delay=0-3ms") as house:
        # One after another: they are not through before the next request.
        graph = house.user(ALICE).ok("UPDATE 300 1 max-parallel=1 quiet=yes").end["graph"]
        house.user(CAROL).ok(f"CANCEL {graph}")
        end = house.watcher.await_end(graph)[-1]
        equal((end.type, end["cancelled-uid"], end["cancelled-by"]), ("graph-cancelled", str(uid_of(CAROL)), CAROL),
              "the last event")


@case
def what_is_superseded_stays_of_who_asked():
    with House(*SLOW) as house:
        first = house.user(ALICE).ok("UPDATE 3 1 quiet=yes").end["graph"]
        second = house.user(BOB).ok("UPDATE 3 2 quiet=yes").end["graph"]
        wanted = {first: ("update", ALICE, None), second: ("update", BOB, None)}
        house.expect(wanted)
        house.crash(*QUICK)
        await_that(lambda: house.root.stat("graphs-active") == "0", "all comes to its end")
        for graph, who in wanted.items():
            equal(house.who(graph), who, "behind the end")
        for graph, who in house.history().items():
            equal(who, wanted.get(graph, (who[0], None, None)), "what imd planned by itself")


@case
def what_imd_does_by_itself_is_of_nobody():
    with House(*QUICK) as house:
        wanted = {house.update(ALICE, "UPDATE 3 1"): ("update", ALICE, None)}
        house.again(*QUICK, "--mock-fail-version=1", "--retries=0", "--heal-delay=1ms")
        wanted[house.kill(CAROL)] = ("kill", CAROL, None)  # the replacement fails, and is tried again
        heal = house.watcher.await_event("graph-started")[-1]
        equal((heal.get("uid"), heal.get("user")), (None, None), "graph-started")
        heal = heal["graph"]
        wanted[heal] = ("heal", None, None)
        house.crash(*QUICK)
        await_that(lambda: house.root.stat("graphs-active") == "0", "all comes to its end")
        history = house.history()
        for graph, who in wanted.items():
            equal((house.who(graph), history[graph]), (who, who), "who asked")
        equal({who for graph, who in history.items() if graph not in wanted} - {("heal", None, None)}, set(),
              "what imd planned by itself")


@case
def a_plan_is_of_who_asks():
    with House(*QUICK) as house:
        equal(house.user(BOB).ok("PLAN 3 1").one("GRAPH")["user"], BOB, "PLAN")
        nameless = As(house.path, NAMELESS, ADMIN_GID)
        graph = nameless.ok("UPDATE 1 1").one("GRAPH")
        equal((graph["uid"], graph["user"]), (str(NAMELESS), str(NAMELESS)), "one without a name")


def marks(house):
    """slot: who marked the node there, of those that are marked."""
    out = {}
    for node in house.root.ok("NODES").records:
        who = tuple(node.get(key) for key in ("marked", "marked-uid", "marked-by"))
        equal(str(house.root.ok(f"NODE {node['id']}").one("NODE")), str(node), "NODE")
        if who != (None, None, None):
            equal(who[:2], ("yes", str(uid_of(who[2]))), f"the mark of {node}")
            out[int(node["slot"])] = who[2]
    return out


@case
def a_mark_is_of_who_marked_last():
    with House(*QUICK) as house:
        house.update("root", "UPDATE 4 1")
        ids = [node["id"] for node in house.root.ok("NODES").records]
        house.user(ALICE).ok(f"MARK {ids[0]}")
        house.user(BOB).ok(f"MARK {ids[1]}")
        house.user(BOB).ok(f"MARK {ids[2]}")
        equal(marks(house), {0: ALICE, 1: BOB, 2: BOB}, "marks")
        house.user(CAROL).ok(f"MARK {ids[1]}")
        house.user(CAROL).ok(f"MARK {ids[2]} mark=no")
        wanted = {0: ALICE, 1: CAROL}
        equal(marks(house), wanted, "marks that others have changed")
        house.again(*QUICK)
        equal(marks(house), wanted, "marks after a restart")
        house.crash(*QUICK)
        equal(marks(house), wanted, "marks after a crash")
        house.update("root", "UPDATE 3 1")
        ended = house.root.ok("NODES all=yes").records[-1]
        equal((ended["id"], ended["state"], ended["marked-by"]), (ids[1], "shut_down", CAROL), "an ended node")
        house.again(*QUICK)
        equal(house.root.ok(f"NODE {ids[1]}").one("NODE")["marked-by"], CAROL, "an ended node after a restart")


@case
def a_mark_without_its_user_or_its_node_is_refused():
    """Nothing in the file is believed."""
    with House(*QUICK) as house:
        house.update("root", "UPDATE 2 1")
        house.user(ALICE).ok(f"MARK {house.root.ok('NODES').records[0]['id']}")
        house.imd.stop()
        for change, why in (("marked = 0", "somebody marked a node that is not marked"),
                            ("marked_uid = NULL", "marked_uid"), ("marked_by = NULL", "marked_by"),
                            ("marked_uid = -1", "marked_uid"), (f"marked_by = '{'x' * 33}'", "marked_by")):
            path = new_path("odd.db")
            shutil.copyfile(house.state, path)
            rows = sqlite3.connect(path)
            rows.execute(f"UPDATE nodes SET {change} WHERE marked")
            rows.commit()
            rows.close()
            status, out, err = run(IMD, f"--check-state={path}")
            equal((status, out), (1, ""), f"--check-state with {change}: {err}")
            matches(why, err, f"--check-state with {change}")
        house.start(*QUICK)


@case
def imctl_tells_who_marked():
    need_imctl()
    with House(*QUICK) as house:
        house.update("root", "UPDATE 2 1")

        def imctl(*arguments):
            status, out, err = run(IMCTL, "-s", house.path, *arguments)
            equal(status, 0, err)
            return out

        expect("MARKED" not in imctl("nodes", "ls"), "a column without anybody")
        node = house.root.ok("NODES").records[0]["id"]
        house.user(ALICE).ok(f"MARK {node}")
        matches(rf" MARKED MARKED-BY\n{node} .* yes +{ALICE} *\n", imctl("nodes", "ls"), "nodes ls")
        matches(rf"^marked-by +{ALICE}$", imctl("nodes", "get", node), "nodes get")
        for record in (json.loads(imctl("--json", "nodes", "ls"))[0], json.loads(imctl("--json", "nodes", "get", node))):
            equal(tuple(record[key] for key in ("marked", "marked-uid", "marked-by")), (True, uid_of(ALICE), ALICE),
                  "JSON")


@case
def imctl_tells():
    need_imctl()
    with House(*SLOW) as house:
        graph = house.user(ALICE).ok("UPDATE 2 1 quiet=yes").end["graph"]

        def imctl(*arguments):
            status, out, err = run(IMCTL, "-s", house.path, *arguments)
            equal(status, 0, err)
            return out

        matches(rf"^ID .* REASON USER +TASKS .*\n{graph} .* update {ALICE} ", imctl("graphs", "ls"), "graphs ls")
        expect("CANCELLED-BY" not in imctl("graphs", "ls"), "a column without anybody")
        house.user(CAROL).ok(f"CANCEL {graph}")
        out = imctl("graphs", "ls")
        matches(rf" CANCELLED-BY *\n.* {CAROL}$", out.rstrip(), "graphs ls")
        out = imctl("graphs", "get", graph)
        matches(rf"^user +{ALICE}$", out, "graphs get")
        matches(rf"^cancelled-by +{CAROL}$", out, "graphs get")
        process = spawn([IMCTL, "-s", house.path, "graphs", "stream"], stdout=-1, env=environment())
        line = process.stdout.readline().decode()
        process.kill()
        matches(f"^graph {graph} cancelled by {CAROL}, revision 1, tasks 3, reason update, user {ALICE}$", line,
                "graphs stream")
        wanted = (uid_of(ALICE), ALICE, uid_of(CAROL), CAROL)
        for record in (json.loads(imctl("--json", "graphs", "ls"))[0],
                       json.loads(imctl("--json", "graphs", "get", graph))["graph"]):
            equal(tuple(record[key] for key in ("uid", "user", "cancelled-uid", "cancelled-by")), wanted, "JSON")


main()
