#!/usr/bin/env python3
"""imd is killed at random instants, again and again, while several clients work. What they were told is
there when it comes back, and what they were not told is there wholly or not at all. Now and then the state is restored
from an earlier copy: then that is what is there, and who watches learns it.

    crash.py [--kills N] [--seed N] [case ...]"""

import argparse
import copy
import os
import random
import shutil
import sqlite3
import sys
import threading

from imdmodel import Model, target_of
from imdtest import (END_EVENTS, IMD, LIVE_STATES, Client, Daemon, Failed, add_case, await_that, equal, expect, kill,
                     main, matches, new_path, over, run, spawn)

GROUPS = ("default", "web")
SETTINGS = ("--heal-delay=1ms", "--heal-max=4ms", "--retry-delay=1ms", "--retry-max=2ms", "--retries=2",
            "--keep-graphs=300", "--keep-specs=1000")
SUFFIXES = ("", "-wal", "-journal")
STEPS_OF_NODES = {"starting": 0, "running": 1, "unhealthy": 1, "shutting_down": 1, "shut_down": 2, "failed": 2}


class Gone(Exception):
    """The daemon at the other end is dead."""


class Mortal(Client):
    """A client whose daemon may die under it. A line that is cut by that was not told."""

    def __init__(self, path):
        try:
            super().__init__(path)
        except (ConnectionRefusedError, ConnectionResetError, FileNotFoundError):
            raise Gone from None

    def receive(self):
        more = super().receive()
        if not more:
            raise Gone
        return more

    def send(self, data):
        try:
            super().send(data)
        except (BrokenPipeError, ConnectionResetError):
            raise Gone from None


class Attempt:
    """An UPDATE that was sent, and what became of it: asked, told (answered with OK), refused; and
    for one that got no answer there or lost, once the state was looked at."""

    def __init__(self, group, size, version, policy, note, extra=""):
        self.group = group
        self.size = size
        self.version = version
        self.note = note
        self.request = f"UPDATE {size} {version} group={group} {policy} note={note} quiet=yes{extra}"
        self.state = "asked"
        self.revision = None
        self.graph = None
        self.bounds = None

    def tell(self, reply, harmed=False):
        """`harmed`: somebody has done something to the state, so it may have been refused for that."""
        if reply.code is not None:
            expect(reply.code == "conflict" and "if-revision" in self.request or harmed and reply.code == "storage",
                   f"{self.request}: {reply}")
            self.state = "refused"
            return
        self.state = "told"
        self.revision = reply.end.number("revision")
        self.graph = reply.end["graph"]
        self.bounds = reply.end.number("min-available"), reply.end.number("max-live")

    def __str__(self):
        return f"{self.request!r} ({self.state})"


class Told:
    """What clients were told besides UPDATEs, and what they asked, over all lives of the daemon."""

    def __init__(self):
        self.attempts = {}   # by note
        self.killed = set()  # nodes whose KILL was answered with OK
        self.marked = set()
        self.cancelled = set()
        self.order = []      # of each client of this life, its UPDATEs as they were sent
        self.harmed = False  # something was done to the files in this life
        self.problems = []


# ---- clients at work ----------------------------------------------------------------------------------

class Worker(threading.Thread):
    """Asks for this and that until the daemon is dead."""

    def __init__(self, told, path, name, policies, chance):
        super().__init__(name=name, daemon=True)
        self.told = told
        self.path = path
        self.policies = policies
        self.chance = chance
        self.count = 0
        self.mine = []
        told.order.append(self.mine)

    def run(self):
        try:
            client = Mortal(self.path)
            while not over.is_set():
                self.chance.choices((self.declare, self.declare_if, self.touch_node, self.cancel, self.read),
                                    (60, 6, 22, 6, 6))[0](client)
        except Gone:
            pass
        except Exception as problem:  # the one who waits for this thread raises it
            self.told.problems.append(problem)

    def attempt(self, group, extra=""):
        self.count += 1
        attempt = Attempt(group, self.chance.randrange(7), self.chance.randrange(1, 6),
                          self.chance.choice(self.policies), f"{self.name}-{self.count}", extra)
        self.told.attempts[attempt.note] = attempt
        self.mine.append(attempt)
        return attempt

    def declare(self, client):
        attempts = [self.attempt(self.chance.choice(GROUPS))
                    for _ in range(self.chance.choice((1, 1, 1, 2, 5)))]
        client.send("".join(attempt.request + "\n" for attempt in attempts))
        for attempt in attempts:
            attempt.tell(client.reply(), self.told.harmed)

    def declare_if(self, client):
        group = self.chance.choice(GROUPS)
        reply = client.ask(f"SPEC group={group}")
        revision = reply.one("SPEC")["revision"] if reply.code is None else 0
        attempt = self.attempt(group, f" if-revision={revision}")
        client.send(attempt.request + "\n")
        attempt.tell(client.reply(), self.told.harmed)

    def touch_node(self, client):
        reply = client.ask(f"NODES group={self.chance.choice(GROUPS)}")
        if not reply.records:
            return
        node = self.chance.choice(reply.records)["id"]
        verb, told = self.chance.choice((("KILL", self.told.killed), ("MARK", self.told.marked)))
        reply = client.ask(f"{verb} {node}")
        if reply.code is None:
            told.add(node)
        else:
            expect(reply.code in ("conflict", "not-found") or self.told.harmed and reply.code == "storage",
                   f"{verb}: {reply}")

    def cancel(self, client):
        graphs = client.ok("GRAPHS group=*").records
        running = [graph["id"] for graph in graphs if graph["state"].startswith("running")]
        if running:
            graph = self.chance.choice(running)
            if client.ask(f"CANCEL {graph}").code is None:
                self.told.cancelled.add(graph)

    def read(self, client):
        client.ok(self.chance.choice(("PLAN 4 9 group=web", "NODES group=* all=yes", "STATS", "PING",
                                      "GRAPHS group=*")))


# ---- what is in the file ------------------------------------------------------------------------------

def copy_files(path, to):
    """Copies a state with its log."""
    for suffix in SUFFIXES:
        if os.path.exists(path + suffix):
            shutil.copyfile(path + suffix, to + suffix)


def backup_of(path):
    """A copy as BACKUP would have made it."""
    made = new_path("backup")
    copy_files(path, made)
    os.chmod(made, 0o600)
    rows = sqlite3.connect(made)
    rows.execute("UPDATE daemon SET incarnation = NULL, commits = commits + 1")
    rows.commit()
    equal(rows.execute("PRAGMA journal_mode = DELETE").fetchone()[0], "delete", "journal mode")
    rows.close()
    return made


class Stored:
    """The state file as a daemon left it, read by way of a copy."""

    def __init__(self, path, check):
        looked_at = new_path("copy")
        copy_files(path, looked_at)
        if check:
            copy_files(looked_at, looked_at + ".checked")
            sound(looked_at + ".checked")
        self.rows = sqlite3.connect(looked_at)
        self.rows.row_factory = sqlite3.Row
        self.made = bool(self.rows.execute("SELECT 1 FROM sqlite_schema WHERE name = 'daemon'").fetchone())
        if self.made:
            self.read()
        self.rows.close()
        for suffix in (*SUFFIXES, "-shm", ".checked", ".checked-wal"):
            if os.path.exists(looked_at + suffix):
                os.unlink(looked_at + suffix)

    def read(self):
        ask = self.rows.execute
        self.seq = ask("SELECT event_seq FROM daemon").fetchone()[0]
        self.nodes = {row["id"]: row for row in ask("SELECT * FROM nodes")}
        self.graphs = {row["id"]: row for row in ask("SELECT * FROM graphs")}
        self.tasks = {(row[0], str(row[1])): row[2] for row in ask(
            "SELECT graphs.id, tasks.id, tasks.state FROM tasks JOIN graphs ON serial = graph")}
        self.specs = {group: {} for group in GROUPS}
        for row in ask("SELECT * FROM specs ORDER BY group_name, revision"):
            self.specs[row["group_name"]][row["revision"]] = row
        equal(len(self.nodes), ask("SELECT count(*) FROM nodes").fetchone()[0], "nodes with ids of their own")
        equal(len(self.graphs), ask("SELECT count(*) FROM graphs").fetchone()[0], "graphs with ids of their own")
        equal(ask("SELECT count(*) FROM graphs LEFT JOIN plans ON graph = serial"
                  " WHERE graph IS NULL AND graphs.tasks > 0").fetchone()[0], 0, "graphs without a plan")

    def live(self):
        return {node: {"group": row["group_name"], "slot": str(row["slot"]), "version": str(row["version"]),
                       "state": row["state"]}
                for node, row in self.nodes.items() if row["state"] in LIVE_STATES}


def sound(path):
    status, out, err = run(IMD, f"--check-state={path}")
    equal((status, err), (0, ""), f"--check-state: {out}")
    matches(": sound: ", out, "what --check-state prints")


# ---- one state through many lives -----------------------------------------------------------------------

class World:
    """A state file, the daemons that come and go on it, and all that was seen of them."""

    # What was seen of the state, and goes back with it when it is restored.
    SEEN = ("told", "model", "seq", "ids", "dying", "ended_graphs", "ended_tasks", "specs", "bounds", "targets", "latest")

    def __init__(self, chance, policies, options, failures):
        self.chance = chance
        self.policies = policies
        self.options = options
        self.failures = failures
        self.state = new_path("state.db")
        self.path = new_path("sock")
        self.told = Told()
        self.model = Model()
        self.seq = 0             # of the last event seen
        self.incarnation = None  # that it belongs to
        self.incarnations = set()
        self.missed = None       # the position of a watcher that a restore has taken the state from
        self.saved = None        # a copy of the state, what was seen of it, and what was stored
        self.ids = set()         # of all nodes there ever were
        self.dying = set()       # of those that were seen being killed
        self.ended_graphs = {}
        self.ended_tasks = {}
        self.specs = {group: {} for group in GROUPS}  # revision: note
        self.bounds = {}         # graph: (min-available, max-live)
        self.targets = {}        # (group, revision): target_of()
        self.stored = None
        self.lives = self.restores = 0
        self.imd = self.watcher = None
        self.latest = {}         # the graph of a group that began last
        self.begin = None        # the nodes when the events of this life began,
        self.forces = {}         # and the graphs
        self.events = []

    def arguments(self, failures=True):
        return [*self.options, *(self.failures if failures else ()), *SETTINGS, f"--state={self.state}",
                f"--mock-seed={self.chance.getrandbits(64)}"]

    def start(self, failures=True):
        self.lives += 1
        self.imd = Daemon(*self.arguments(failures), path=self.path)

    def failed(self, problem):
        status = self.imd.process.poll()
        died = f"imd ended with {status}: {self.imd.log()[-2000:]}; " if status is not None else ""
        return Failed(f"{died}in life {self.lives}: {problem}") if died or isinstance(problem, Failed) else problem

    # ---- events

    def apply(self, event):
        equal(event.seq, self.seq + 1, f"the number of {event}")
        self.seq = event.seq
        self.events.append(event)
        if event.type == "node-started":
            expect(event["id"] not in self.ids, "the id of a node for the second time:", event)
            self.ids.add(event["id"])
            expect(not any(node["group"] == event["group"] and node["slot"] == event["slot"]
                           for node in self.model.nodes.values()), "a slot that is taken:", event)
        elif event.type == "node-state":
            expect(event["node"] in self.model.nodes, "an event of a node that does not live:", event)
            if event.get("error", "").startswith("killed by"):
                self.dying.add(event["node"])
            expect(event["node"] not in self.dying or event["state"] in ("shutting_down", "failed"),
                   "a node that was killed:", event)
        elif event.type.startswith("graph-"):
            expect(event["graph"] not in self.ended_graphs, "an event of a graph that has ended:", event)
            if event.type == "graph-started":
                self.latest[event["group"]] = event["graph"]
            if event.type in END_EVENTS:
                self.ended_graphs[event["graph"]] = event["state"]
        else:
            key = event["graph"], event["task"]
            expect(event["graph"] not in self.ended_graphs, "an event of a graph that has ended:", event)
            expect(key not in self.ended_tasks, "an event of a task that has ended:", event)
            if event["state"] in ("succeeded", "failed", "cancelled"):
                self.ended_tasks[key] = event["state"]
        self.model.event(event)

    def next_event(self):
        self.apply(self.watcher.event())

    def drain(self):
        """What the daemon had sent before it died."""
        try:
            while True:
                self.next_event()
        except Gone:
            self.watcher.close()

    def follow(self):
        """Goes on behind the last event seen, where that was the last one; else begins anew."""
        self.watcher = Mortal(self.path)
        last = self.stored.seq if self.stored else 0
        since = self.missed or self.position()
        reply = self.watcher.ask(f"WATCH ALL group=* since={since}")
        if self.missed:
            equal(reply.code, "gone", f"since={since}, and the state was restored: {reply}")
            matches("^incarnation=", reply.text, "which incarnation it is")
            self.missed = self.incarnation = None
            self.begin_anew()
        elif self.seq == last:
            equal(reply.code, None, f"since={self.seq}, which was the last event: {reply}")
            equal(reply.end.number("seq"), self.seq, "seq")
            self.note_incarnation(reply)
        else:
            equal(reply.code, "gone", f"since={self.seq}, the last event was {last}: {reply}")
            matches(rf" {last} to \d+ are", reply.text, "what is kept")
            self.begin_anew()
        self.events = []
        self.forces = dict(self.latest)
        self.begin = {node: dict(values) for node, values in self.model.nodes.items()}

    def position(self):
        return f"{self.seq}@{self.incarnation}" if self.incarnation else str(self.seq)

    def note_incarnation(self, reply):
        """It is the one that was known, or one that never was."""
        incarnation = reply.end["incarnation"]
        if self.incarnation is None:
            expect(incarnation not in self.incarnations, f"incarnation {incarnation} for the second time")
            self.incarnations.add(incarnation)
        else:
            equal(incarnation, self.incarnation, "the incarnation")
        self.incarnation = incarnation

    def listing(self, client):
        """A fresh watch: its reply, and what it lists."""
        killed, marked, cancelled = set(self.told.killed), set(self.told.marked), set(self.told.cancelled)
        reply = client.ok("WATCH ALL group=*")
        model = Model()
        for record in reply.records:
            model.record(record)
        live = [record for record in reply.of("NODE") if record["state"] in LIVE_STATES]
        equal(len(model.nodes), len(live), "ids of live nodes")
        equal(len({(node["group"], node["slot"]) for node in live}), len(live), "slots of live nodes")
        for node in live:
            expect(node["id"] not in marked or node.get("marked") == "yes", "a mark is lost:", node)
            expect(node["id"] not in killed or node["state"] == "shutting_down", "it was killed:", node)
        for graph in reply.of("GRAPH"):
            known = self.ended_graphs.get(graph["id"])
            expect(known in (None, graph["state"]), f"a graph that was {known}:", graph)
            expect(graph["id"] not in cancelled or graph["state"] == "cancelled", "it was cancelled:", graph)
        for task in reply.of("TASK"):
            known = self.ended_tasks.get((task["graph"], task["id"]))
            expect(known in (None, task["state"]), f"a task that was {known}:", task)
        return reply, model

    def begin_anew(self):
        reply, self.model = self.listing(self.watcher)
        self.seq = reply.end.number("seq")
        self.note_incarnation(reply)
        expect(self.seq >= self.stored.seq, "the number of the last event went back to", self.seq)
        self.ids.update(self.model.nodes)
        for graph in reply.of("GRAPH"):
            self.latest[graph["group"]] = graph["id"]
            if graph.get("finished"):
                self.ended_graphs[graph["id"]] = graph["state"]

    def audit(self):
        """A fresh listing is what the events come to, over all lives."""
        with Mortal(self.path) as auditor:
            reply, listed = self.listing(auditor)
        while self.seq < reply.end.number("seq"):
            self.next_event()
        equal(self.model.nodes, listed.nodes, f"live nodes at event {self.seq}")
        for graph, state in listed.graphs.items():
            if graph in self.ended_graphs:
                equal(state, self.ended_graphs[graph], f"graph {graph}")
        for key, state in listed.tasks.items():
            known = self.model.tasks.get(key)
            if known == "running" or key in self.ended_tasks:
                equal(state, known, f"task {key}")

    # ---- what is there after a death

    def look(self, check):
        """Compares what was told with what is stored."""
        self.stored = stored = Stored(self.state, check)
        if not stored.made:
            self.stored = None
            expect(self.seq == 0, "the state is gone")
            return
        expect(stored.seq >= self.seq, f"event {self.seq} was seen, and the last one stored is {stored.seq}")
        self.look_at_specs(stored)
        self.look_at_nodes(stored)
        self.look_at_graphs(stored)
        self.judge()

    def look_at_specs(self, stored):
        for group in GROUPS:
            specs = stored.specs[group]
            if specs:
                equal(list(specs), list(range(min(specs), max(specs) + 1)), f"revisions of {group}")
            for revision, row in specs.items():
                attempt = self.told.attempts.get(row["note"])
                expect(attempt is not None, f"a revision that nobody declared: {row['note']}")
                equal((attempt.group, attempt.size, attempt.version), (group, row["size"], row["version"]),
                      f"revision {revision} from {attempt}")
                equal(self.specs[group].setdefault(revision, row["note"]), row["note"], f"revision {revision}")
                expect(attempt.revision in (None, revision), f"twice: {attempt} at {revision}")
                expect(attempt.state not in ("refused", "lost"), f"revision {revision} of {group}: {attempt}")
                attempt.revision = revision
                if attempt.state == "asked":
                    attempt.state = "there"
                self.targets[group, str(revision)] = target_of(attempt.request)
        for attempt in self.told.attempts.values():
            if attempt.state == "told" and attempt.revision >= min(stored.specs[attempt.group], default=0):
                expect(attempt.revision in stored.specs[attempt.group], f"{attempt} is not there")
        for mine in self.told.order:  # what a client sent first was carried out first
            states = [attempt.state for attempt in mine if attempt.state in ("asked", "there")]
            equal(states, sorted(states, reverse=True), "what was carried out of a client's requests")
            for attempt in mine:
                if attempt.state == "asked":
                    attempt.state = "lost"
        self.told.order.clear()

    def look_at_nodes(self, stored):
        live = stored.live()
        equal(len({(node["group"], node["slot"]) for node in live.values()}), len(live), "slots of live nodes")
        if stored.seq == self.seq:
            equal(live, self.model.nodes, f"live nodes at event {self.seq}")
        for node, known in self.model.nodes.items():
            row = stored.nodes.get(node)
            expect(row is not None, f"node {node} is forgotten, which was {known['state']}")
            expect(STEPS_OF_NODES[row["state"]] >= STEPS_OF_NODES[known["state"]],
                   f"node {node} was {known['state']} and is {row['state']}")
        for node in self.told.killed & set(stored.nodes):
            state = stored.nodes[node]["state"]
            expect(state in ("shutting_down", "failed"), f"node {node} was killed and is {state}")
        for node in self.told.marked & set(stored.nodes):
            expect(stored.nodes[node]["marked"] == 1, f"the mark of node {node} is lost")
        self.ids.update(stored.nodes)

    def look_at_graphs(self, stored):
        for graph, row in stored.graphs.items():
            self.bounds[graph] = row["min_available"], row["max_live"]
            known = self.ended_graphs.get(graph)
            if known is not None:
                equal((row["state"], row["finished"] is not None), (known, True), f"graph {graph}")
            elif row["finished"] is not None:
                expect(stored.seq > self.seq, f"graph {graph} is {row['state']}, and nobody was told")
                self.ended_graphs[graph] = row["state"]
        for graph in self.told.cancelled & set(stored.graphs):
            equal(stored.graphs[graph]["state"], "cancelled", f"graph {graph}")
        for (graph, number), known in self.ended_tasks.items():
            if graph in stored.graphs:
                state = stored.tasks.get((graph, number))
                if state is None:
                    expect(known == "cancelled" and stored.graphs[graph]["dropped"],
                           f"task {number} of {graph} was {known} and is forgotten")
                else:
                    equal(state, known, f"task {number} of {graph}")
        for key, state in stored.tasks.items():
            if state != "running":
                self.ended_tasks[key] = state
        oldest = {group: min((row["revision"] for row in stored.graphs.values() if row["group_name"] == group),
                             default=0) for group in GROUPS}
        declared = {(row["group_name"], row["revision"]): graph for graph, row in stored.graphs.items()
                    if row["reason"] == "update"}
        for attempt in self.told.attempts.values():
            if attempt.revision is None or attempt.revision <= oldest[attempt.group]:
                continue
            graph = declared.get((attempt.group, attempt.revision))
            expect(graph is not None, f"{attempt} has no graph")
            if attempt.state == "told":
                equal((graph, self.bounds[graph]), (attempt.graph, attempt.bounds), f"the graph of {attempt}")

    def judge(self):
        """The bounds hold at every event of this life: those of the graph that began last."""
        if self.begin is None:
            return
        model, force = Model(), {}
        model.nodes, self.begin = self.begin, None
        for group, graph in self.forces.items():
            if graph in self.bounds:
                force[group] = self.bounds[graph]
        for event in self.events:
            group = event["group"]
            if event.type == "graph-started":
                ceiling, floor = self.targets[group, event["revision"]]
                wanted = max(0, min(model.available(group), floor)), max(model.live(group), ceiling)
                force[group] = self.bounds.get(event["graph"], wanted)
                equal(force[group], wanted, f"bounds of {event}")
            stops = event.type == "node-state" and event["state"] == "shutting_down" and "error" not in event.keys \
                and model.nodes[event["node"]]["state"] == "running"
            model.event(event)
            low, high = force.get(group, (0, 1 << 32))
            expect(model.live(group) <= high, f"{model.live(group)} of {group} live, {high} the most, at", event)
            expect(not stops or model.available(group) >= low,
                   f"{model.available(group)} of {group} available, {low} the fewest, at", event)

    # ---- restores

    def save(self):
        self.saved = backup_of(self.state), copy.deepcopy({name: getattr(self, name) for name in self.SEEN}), self.stored

    def restore(self):
        """The state goes back to the copy, and so does what was seen of it; but watchers come from where they were."""
        path, seen, self.stored = self.saved
        if self.incarnation:
            self.missed = self.position()
        for suffix in SUFFIXES:
            if os.path.exists(self.state + suffix):
                os.unlink(self.state + suffix)
        shutil.copyfile(path, self.state)
        os.chmod(self.state, 0o600)
        for name, value in copy.deepcopy(seen).items():
            setattr(self, name, value)
        self.begin = None
        self.restores += 1

    def restore_or_save(self):
        if self.saved and self.chance.random() < 0.15:
            self.restore()
        elif self.stored and self.chance.random() < 0.15:
            self.save()

    # ---- a life

    def check_specs(self):
        """SPECS is what is stored, before anybody declares more."""
        with Mortal(self.path) as client:
            for group in GROUPS:
                reply = client.ask(f"SPECS group={group}")
                stored = self.stored.specs[group] if self.stored else {}
                if reply.code == "not-found":
                    expect(not stored, f"group {group} is gone")
                    continue
                wanted = [(str(revision), str(row["size"]), str(row["version"]), row["max_surge"],
                           row["max_unavailable"], row["note"]) for revision, row in stored.items()]
                got = [tuple(record[key] for key in ("revision", "size", "version", "max-surge",
                                                     "max-unavailable", "note")) for record in reply.records
                       if record["revision"] != "0"]
                equal(got, wanted, f"SPECS of {group}")

    def declare_and_die(self, answered):
        """Dies at the very moment when an UPDATE was sent, or was answered."""
        worker = Worker(self.told, self.path, f"{self.lives}d", self.policies, self.chance)
        with Mortal(self.path) as client:
            for _ in range(self.chance.randrange(150)):
                self.next_event()
            attempt = worker.attempt(self.chance.choice(GROUPS))
            client.send(attempt.request + "\n")
            if answered:
                attempt.tell(client.reply())
            self.die()
            if not answered:
                try:
                    attempt.tell(client.reply())  # the answer may have been quicker
                except Gone:
                    pass

    def live_until(self, instant):
        """Up to the death, which is at an instant of this kind."""
        if instant in ("sent", "answered"):
            self.declare_and_die(instant == "answered")
            return
        if instant == "events":
            for _ in range(int(self.chance.expovariate(1 / 100))):
                self.next_event()
        elif instant == "bytes":
            self.read_bytes(self.chance.randrange(1, 30000))
        elif instant == "time":
            for _ in range(int(2 ** self.chance.uniform(0, 12))):
                os.sched_yield()
        elif instant == "harmed":
            for _ in range(self.chance.randrange(1, 50)):
                self.next_event()
            put_right = self.harm()
        self.die()
        if instant == "harmed":
            put_right()

    def harm(self):
        """Does something to the files under the daemon, and lets it see that. Returns what puts it right after the
        death, as an administrator would."""
        log, aside = self.state + "-wal", new_path("aside")
        self.told.harmed = True
        harm = self.chance.choice(("log removed", "log moved", "log replaced", "database moved"))
        path = self.state if harm.startswith("database") else log
        if harm == "log removed":
            os.unlink(log)
        else:
            os.rename(path, aside)
        if harm == "log replaced":
            with open(log, "xb"):
                pass
        await_that(lambda: "storage-failed" in self.imd.log(), f"it is seen: {harm}")
        return lambda: os.path.exists(aside) and os.rename(aside, path)

    def read_bytes(self, count):
        """Reads so many bytes, which end somewhere in a line, and nothing beyond."""
        while count > 0:
            more = self.watcher.socket.recv(count)
            expect(more, "the daemon closed")
            count -= len(more)
            self.watcher.buffer += more
        *lines, self.watcher.buffer = self.watcher.buffer.split(b"\n")
        self.watcher.ready = lines[::-1] + self.watcher.ready

    def die(self):
        status = self.imd.process.poll()
        expect(status is None, "it ended by itself")
        self.imd.process.kill()
        self.imd.process.wait()

    def bury(self, workers):
        for worker in workers:
            worker.join()
        self.drain()
        self.imd.manager.close()
        if self.told.problems:
            raise self.told.problems[0]
        kill(self.imd.process)
        for line in self.imd.log().splitlines():
            matches("^<[4-7]>|^<3>storage-failed " if self.told.harmed else "^<[4-7]>", line, "the log")
        self.told.harmed = False

    def die_while_starting(self):
        self.lives += 1
        process = spawn([IMD, f"--socket={self.path}", *self.arguments()], stderr=-1)
        for _ in range(int(2 ** self.chance.uniform(0, 13))):
            os.sched_yield()
        process.kill()
        _, err = process.communicate()
        kill(process)
        for line in err.decode().splitlines():
            matches("^<[4-7]>", line, "the log")
        self.begin = None
        self.look(False)

    def life(self):
        instant = self.chance.choice(("events", "events", "bytes", "sent", "answered", "time", "starting", "harmed"))
        if instant == "starting":
            self.die_while_starting()
            return
        self.start()
        workers = []
        try:
            self.follow()
            self.check_specs()
            workers = [Worker(self.told, self.path, f"{self.lives}{letter}", self.policies,
                              random.Random(self.chance.getrandbits(64))) for letter in "abc"]
            for worker in workers:
                worker.start()
            if self.chance.random() < 0.4:
                self.audit()
            self.live_until(instant)
            self.bury(workers)
            self.look(self.chance.random() < 0.2)
        except (Failed, Gone) as problem:
            raise self.failed(problem) from None

    # ---- the end

    def settled(self, client, declared):
        """Whether a group is at its spec. What has failed or was cancelled is declared once more."""
        good = True
        for group in GROUPS:
            reply = client.ask(f"SPEC group={group}")
            if reply.code == "not-found" or reply.one("SPEC")["revision"] == "0":
                continue
            spec = reply.one("SPEC")
            latest = client.ok(f"GRAPHS group={group}").records[-1]
            nodes = [(node["version"], node["state"]) for node in client.ok(f"NODES group={group}").records]
            if latest["state"] in ("failed", "cancelled") and group not in declared:
                declared.add(group)
                client.ok(f"UPDATE {spec['size']} {spec['version']} group={group} quiet=yes")
                good = False
            elif nodes != [(spec["version"], "running")] * int(spec["size"]) or latest["state"] != "succeeded":
                good = False
        return good

    def end(self):
        """Without failures from here on, all comes to what was declared."""
        self.start(failures=False)
        try:
            self.follow()
            with Mortal(self.path) as client:
                declared = set()
                while not self.settled(client, declared):
                    self.next_event()
            self.audit()
            self.watcher.close()
            self.imd.stop()
        except (Failed, Gone) as problem:
            raise self.failed(problem) from None
        expect(not os.path.exists(self.state + "-shm"), "shared memory was made")
        sound(self.state)


def add_lives(name, policies, options, failures=()):
    def lives():
        seed = arguments.seed if arguments.seed is not None else random.randrange(1 << 32)
        count = -(-arguments.kills // 4)
        print(f"# --kills={arguments.kills} --seed={seed}", flush=True)
        world = World(random.Random(f"{seed} {name}"), policies, options, failures)
        for _ in range(count):
            world.life()
            world.restore_or_save()
        world.end()
        states = [attempt.state for attempt in world.told.attempts.values()]
        print(f"# {count} kills, {world.restores} restores, {world.seq} events, {states.count('told')} updates told, "
              f"{states.count('there')} there all the same, {states.count('lost')} lost")

    add_case(name, lives)


add_lives("killed-one-node-at-a-time", ("",), ["--mock-delay=0-3ms"])
add_lives("killed-with-a-surge", ("max-surge=1 max-unavailable=0", "max-surge=2"), ["--mock-delay=0-2ms"])
add_lives("killed-with-lanes-and-failures", ("max-surge=50% max-unavailable=2", "max-parallel=2 max-surge=1", ""),
          ["--mock-delay=0-3ms"], ["--mock-flaky=0.15"])
add_lives("killed-with-no-delays", ("", "max-unavailable=50%"), ["--mock-delay=0"],
          ["--mock-flaky=0.05", "--mock-fail-version=3"])

parser = argparse.ArgumentParser()
parser.add_argument("--kills", type=int, default=int(os.environ.get("CRASH_KILLS", "200")))
parser.add_argument("--seed", type=int, default=os.environ.get("CRASH_SEED"))
arguments, sys.argv[1:] = parser.parse_known_args()
main(max(180, arguments.kills * 2))
