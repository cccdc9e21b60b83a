#!/usr/bin/env python3
"""Watching is exact: whoever joins whenever and watches whatever gets the records as of then and every
event after, none lost and none twice."""

import random
import selectors

from imdmodel import Model, judge_ends
from imdtest import (END_EVENTS, LIVE_STATES, TIMEOUT_S, Client, Daemon, Failed, Line, await_that, case,
                     equal, expect, main, matches, sanitized)

BUSY = ("--mock-delay=0-2ms", "--heal-delay=1ms", "--heal-max=1ms", "--retry-delay=1ms",
        "--mock-fail-version=13", "--retries=1", "--keep-graphs=10000")


def passes(event, kind, group, graph=None):
    """Whether a watcher of this kind, group and graph gets an event; proto.txt says so."""
    if group != "*" and event["group"] != group:
        return False
    if graph is not None and event.get("graph") != graph:
        return False
    head = event.type.partition("-")[0]
    if kind == "TASKS":
        return head == "task" or event.type in END_EVENTS
    return kind == "ALL" or head == {"NODES": "node", "GRAPHS": "graph"}[kind]


class Tap:
    """A watcher that keeps all it gets, and is looked at when all is over."""

    def __init__(self, path, kind, group="*", options=""):
        self.path, self.kind, self.group = path, kind, group
        self.first = None  # the seq of its first OK
        self.records = []
        self.events = b""  # complete lines, of earlier connections too
        self.connect(f"WATCH {kind} group={group} {options}")

    def connect(self, request):
        self.client = Client(self.path)
        self.data = bytearray()
        self.begun = False  # the reply has been read
        self.client.send(request + "\n")
        self.client.socket.setblocking(False)

    def read(self):
        """Takes what is there. False where there was nothing."""
        try:
            more = self.client.socket.recv(1 << 20)
        except BlockingIOError:
            return False
        if not more:
            raise Failed(f"a watcher of {self.kind} was closed: {bytes(self.data[-300:])!r}")
        self.data += more
        if not self.begun:
            self.begin()
        return True

    def begin(self):
        while not self.begun:
            raw, mark, rest = bytes(self.data).partition(b"\n")
            if not mark:
                return
            line = Line(raw)
            expect(line.kind not in ("EVENT", "ERR"), "in the reply to WATCH:", line)
            del self.data[:len(raw) + 1]
            if line.kind == "OK":
                self.begun = True
                self.first = line.number("seq") if self.first is None else self.first
            else:
                self.records.append(line)

    def whole(self):
        """All complete lines of events so far."""
        return self.events + bytes(self.data[:self.data.rfind(b"\n") + 1]) if self.begun \
            else self.events

    def resume(self):
        """Goes, and comes back with since= the last event that it has in full."""
        self.events = self.whole()
        self.client.close()
        last = Line(self.events.rstrip(b"\n").rpartition(b"\n")[2]).seq if self.events else self.first
        self.connect(f"WATCH {self.kind} group={self.group} since={last}")


class Log:
    """The reference: a watcher of everything, read as it goes."""

    def __init__(self, path):
        self.tap = Tap(path, "ALL")
        self.events = []
        self.parsed = 0
        self.active = set()
        self.ended = {}
        pump(self, [], lambda: self.tap.begun)

    def take(self):
        while self.tap.read():
            pass
        if not self.tap.begun:
            return
        end = self.tap.data.rfind(b"\n") + 1
        for raw in bytes(self.tap.data[self.parsed:end]).split(b"\n")[:-1]:
            event = Line(raw)
            equal(event.seq, len(self.events) + 1, "seq")
            self.events.append(event)
            if event.type == "graph-started":
                self.active.add(event["graph"])
            elif event.type in END_EVENTS:
                self.active.discard(event["graph"])
                self.ended[event["graph"]] = event.type
        self.parsed = end


def under_way(log):
    """The graphs that have not ended, and their tasks, for a message."""
    client = Client(log.tap.path)
    shown = [f"events={client.stat('events')}, of which {len(log.events)} have come",
             f"tasks-in-flight={client.stat('tasks-in-flight')}"]
    for graph in log.active:
        records = client.ok(f"GRAPH {graph}").records
        spec = client.ok(f"SPEC group={records[0]['group']}").records
        nodes = client.ok(f"NODES group={records[0]['group']}").records
        shown += [str(line) for line in [*spec, *nodes, *records]]
    return shown


def pump(log, taps, until):
    """Reads from all until the condition holds."""
    with selectors.DefaultSelector() as selector:
        for tap in taps:
            selector.register(tap.client.socket, selectors.EVENT_READ, tap)
        selector.register(log.tap.client.socket, selectors.EVENT_READ, log.tap)
        while True:
            log.take()
            for tap in taps:
                tap.read()
            if until():
                return
            if not selector.select(TIMEOUT_S):
                raise Failed(f"nothing came for {TIMEOUT_S} s; what is under way: {under_way(log)}")


class Load:
    """Random changes of some groups."""

    def __init__(self, imd, chance, groups=("default", "a", "b")):
        self.client = imd.client()
        self.chance = chance
        self.groups = groups
        self.log = Log(imd.path)
        for group in groups:
            self.client.ok(f"UPDATE 3 1 group={group} quiet=yes")

    def change(self):
        group = self.chance.choice(self.groups)
        if self.chance.random() < 0.3:
            nodes = self.client.ok(f"NODES group={group}").records
            if nodes:
                self.client.ask(f"KILL {self.chance.choice(nodes)['id']}")
            return
        size, version = self.chance.randrange(12), self.chance.choice((1, 2, 3, 13))
        policy = self.chance.choice(("", "max-surge=2", "max-unavailable=50%", "max-parallel=2"))
        self.client.ok(f"UPDATE {size} {version} group={group} quiet=yes {policy}")

    def some_events(self, taps, most):
        """Until some events have come, or none will."""
        wanted = len(self.log.events) + self.chance.randrange(most)
        pump(self.log, taps, lambda: not self.log.active or len(self.log.events) >= wanted)

    def finish(self, taps):
        last = [self.client.ok(f"UPDATE 4 99 group={group} quiet=yes").end["graph"]
                for group in self.groups]
        pump(self.log, taps, lambda: not self.log.active and all(
            graph in self.log.ended for graph in last))
        events = int(self.client.stat("events"))
        pump(self.log, taps, lambda: len(self.log.events) >= events)


def check_tap(tap, log):
    """The bytes that it got are those of the reference."""
    pump(log, [tap], lambda: tap.begun)
    wanted = b"".join(event.raw + b"\n" for event in log.events[tap.first:]
                      if passes(event, tap.kind, tap.group))
    pump(log, [tap], lambda: len(tap.whole()) >= len(wanted))
    if tap.whole() == wanted:
        return
    for number, (got, line) in enumerate(zip(tap.whole().split(b"\n"), wanted.split(b"\n"))):
        equal(got, line, f"event {number} of WATCH {tap.kind} group={tap.group} from {tap.first} on")
    raise Failed(f"events behind the last one: {tap.whole()[len(wanted):][:300]!r}")


def check_model(tap, client):
    """Records and events together are the state at the end."""
    model = Model()
    for record in tap.records:
        model.record(record)
    for raw in tap.whole().split(b"\n")[:-1]:
        model.event(Line(raw))
    where = f"by WATCH {tap.kind} group={tap.group} from {tap.first} on"
    if tap.kind in ("NODES", "ALL"):
        truth = Model()
        for record in client.ok(f"NODES group={tap.group}").records:
            truth.record(record)
        equal(model.nodes, truth.nodes, "nodes " + where)
    if tap.kind in ("GRAPHS", "ALL"):
        for graph in client.ok(f"GRAPHS group={tap.group}").records:
            equal(model.graphs.get(graph["id"]), graph["state"], f"state of {graph} {where}")
    if tap.kind in ("TASKS", "ALL"):
        graphs = {graph for graph, _ in model.tasks}
        for graph in sorted(graphs)[:20]:
            for task in client.ok(f"TASKS {graph}").records:
                state = model.tasks.get((graph, task["id"]))
                equal(state, task["state"], f"state of {task} {where}")


KINDS = ("NODES", "GRAPHS", "TASKS", "ALL")


def say_seed():
    seed = random.randrange(1 << 32)
    print(f"# seed {seed}")
    return random.Random(seed)


@case
def joining_at_any_moment():
    chance = say_seed()
    with Daemon(*BUSY, f"--mock-seed={chance.randrange(1000)}") as imd:
        load, taps = Load(imd, chance), []
        for number in range(120):
            load.change()
            if number % 2 == 0:
                kind, group = KINDS[number // 2 % 4], chance.choice(("*", "*", "default", "a", "b"))
                taps.append(Tap(imd.path, kind, group))
            load.some_events(taps, 25)
        load.finish(taps)
        judge_ends(load.log.events)
        for tap in taps:
            check_tap(tap, load.log)
        for tap in taps[::2]:
            check_model(tap, load.client)
        types = {event.type for event in load.log.events}
        expect(len(types) == 11 or len(types) == 12, "events of too few types:", types)


@case
def coming_back_with_since():
    chance = say_seed()
    with Daemon(*BUSY) as imd:
        load = Load(imd, chance)
        taps = [Tap(imd.path, kind, group, "initial=no")
                for kind in KINDS for group in ("*", "a")]
        pump(load.log, taps, lambda: all(tap.begun for tap in taps))
        for _ in range(80):
            load.change()
            load.some_events(taps, 20)
            for tap in chance.sample(taps, 2):
                if tap.begun:
                    tap.resume()
        load.finish(taps)
        for tap in taps:
            check_tap(tap, load.log)


@case
def from_every_event_on():
    with Daemon("--mock-delay=0") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        for version in (1, 2):
            events = watcher.await_end(client.ok(f"UPDATE 3 {version}").end["graph"])
        last = events[-1].seq
        equal(client.stat("events"), str(last), "events in STATS")
        for seq in range(last + 1):
            other = imd.client()
            equal(other.ok(f"WATCH ALL since={seq}").end.number("seq"), seq, "seq")
            equal([other.event().seq for _ in range(last - seq)], list(range(seq + 1, last + 1)),
                  f"events since {seq}")
            other.ok("PING")
            equal(other.events, [], "further events")
            other.close()


@case
def gone_is_what_is_not_kept():
    with Daemon("--mock-delay=1ms", "--keep-events=10") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        for version in range(1, 9):
            last = watcher.await_end(client.ok(f"UPDATE 1 {version}").end["graph"])[-1].seq
        other = imd.client()
        for seq in (0, 1, last - 11, last + 1, last + 1000, (1 << 63) - 1):
            other.fails(f"WATCH ALL since={seq}", "gone", rf"\b{last - 10}\b.*\b{last}\b")
        equal(client.stat("watchers"), "1", "watchers after errors")
        other.ok(f"WATCH ALL since={last - 10}")
        equal([other.event().seq for _ in range(10)], list(range(last - 9, last + 1)), "the kept ones")


def carry_out(client, size):
    """An update to its end, of which no watcher tells: that one might lag itself."""
    graph = client.ok(f"UPDATE {size} 1 quiet=yes").end["graph"]
    await_that(lambda: client.ok("GRAPHS").records[-1]["state"] == "succeeded", f"{graph} ends")


@case
def who_does_not_read_has_lagged():
    with Daemon("--mock-delay=0", "--keep-events=20000") as imd:
        client, slow = imd.client(), imd.client()
        slow.ok("WATCH ALL")
        for size in (3000, 0, 3000, 0, 3000):
            carry_out(client, size)
        last = int(client.stat("events"))
        seen = 0
        while True:
            line = slow.line()
            if line.kind == "ERR":
                break
            equal(line.seq, seen + 1, "seq")
            seen = line.seq
        equal(line.code, "lagged", "error")
        matches(r"^seq=\d+\b", line.text, "ERR lagged")
        told = int(line.text.split()[0].partition("=")[2])
        expect(told in (seen, last), f"ERR lagged tells {told}; seen was {seen}, the last is {last}")
        slow.expect_closed()
        equal(client.stat("watchers"), "0", "watchers")
        again = imd.client()
        again.fails(f"WATCH ALL since={seen}", "gone")
        again.ok(f"WATCH ALL since={last}")


@case
def slow_watchers_cost_nothing():
    count = 60
    with Daemon("--mock-delay=0", "--keep-events=20000", "--keep-tasks=0", "--keep-nodes=0",
                "--state=:memory:") as imd:
        client = imd.client()
        for size in (2500, 0, 2500, 0):  # so that all that is kept is kept already
            carry_out(client, size)
        slow = [imd.client() for _ in range(count)]
        for one in slow:
            one.ok("WATCH ALL")
        before = imd.rss_kib()
        for size in (2500, 0, 2500, 0, 2500, 0):
            carry_out(client, size)
        grown = imd.rss_kib() - before
        equal(client.stat("watchers"), str(count), "watchers")
        expect(sanitized() or grown < 10 * count + 256, f"{count} watchers that do not read: {grown} KiB")


@case
def unwatch_and_watch_again():
    with Daemon("--mock-delay=0") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("UNWATCH")
        watcher.ok("WATCH NODES")
        watcher.fails("WATCH NODES", "conflict", "UNWATCH")
        watcher.fails("WATCH ALL initial=no", "conflict")
        graph = client.ok("UPDATE 3 1").end["graph"]
        for _ in range(3):
            watcher.await_event("node-state", state="running")
        watcher.ok("UNWATCH")
        watcher.events.clear()
        client.ok("UPDATE 2 2")
        watcher.ok("PING")
        equal(watcher.events, [], "events after UNWATCH")
        reply = watcher.ok(f"WATCH TASKS {graph}")
        equal([line["graph"] for line in reply.of("TASK")], [graph] * 4, "tasks")


@case
def in_the_middle_of_pipelined_requests():
    chance = say_seed()
    with Daemon(*BUSY) as imd:
        load = Load(imd, chance)
        client = imd.client()
        for _ in range(60):
            load.change()
            kind = chance.choice(KINDS)
            inside = [chance.choice(("PING", "NODES group=*", "SPEC", "GRAPHS", "HELP", "WATCH ALL"))
                      for _ in range(30)]
            requests = [f"WATCH {kind} group=*", *inside, "UNWATCH", "NODES", "PING", "GRAPHS", "SPEC"]
            client.send("".join(request + "\n" for request in requests))
            last = client.reply().end.number("seq")
            for request in inside:
                equal(client.reply().code, "conflict" if request == "WATCH ALL" else None, request)
            equal(str(client.reply().end), "OK", "UNWATCH")
            for event in client.events:
                expect(event.seq > last, f"seq {event.seq} behind {last}")
                last = event.seq
            client.events.clear()
            for _ in range(4):
                client.reply()
            equal(client.events, [], "events after UNWATCH")
            load.some_events([], 10)
        load.finish([])


@case
def two_hundred_watchers():
    with Daemon("--mock-delay=0-1ms") as imd:
        client, log = imd.client(), Log(imd.path)
        taps = [Tap(imd.path, KINDS[number % 4]) for number in range(200)]
        pump(log, taps, lambda: log.tap.begun and all(tap.begun for tap in taps))
        equal(client.stat("watchers"), "201", "watchers")
        last = None
        for size, version in ((40, 1), (30, 2), (0, 2)):
            last = client.ok(f"UPDATE {size} {version} quiet=yes max-unavailable=20%").end["graph"]
            pump(log, taps, lambda: last in log.ended)
        for tap in taps:
            check_tap(tap, log)
            tap.client.close()


@case
def tasks_of_one_graph():
    """The graph does not end by itself, so that it is watched in time; an UPDATE supersedes it."""
    with Daemon("--mock-delay=1h") as imd:
        client, other, watcher = imd.client(), imd.client(), imd.client()
        graph = client.ok("UPDATE 8 1 group=a max-parallel=1").end["graph"]
        noise = client.ok("UPDATE 8 1 group=b").end["graph"]
        reply = watcher.ok(f"WATCH TASKS {graph[:18]}")
        equal([task["graph"] for task in reply.records], [graph] * 9, "records")
        other.ok("UPDATE 0 1 group=b")
        client.ok("UPDATE 0 1 group=a")
        events = watcher.await_end(graph)
        expect(all(event["graph"] == graph for event in events), "events of another graph")
        equal(events[-1].type, "graph-superseded", "the last event")
        states = {task["id"]: task["state"] for task in reply.records}
        states.update((event["task"], event["state"]) for event in events[:-1])
        equal(set(states.values()), {"cancelled"}, "states at the end")
        client.ok("UPDATE 0 1 group=a")
        watcher.ok("PING")
        equal(watcher.events, [], "events behind the end of the graph that is watched")
        expect(noise != graph, "two graphs, one id")


@case
def tasks_of_a_graph_that_has_ended():
    with Daemon("--mock-delay=0") as imd:
        client, watcher, late = imd.client(), imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        graph = client.ok("UPDATE 3 1").end["graph"]
        last = watcher.await_end(graph)[-1].seq
        reply = late.ok(f"WATCH TASKS {graph}")
        equal([task["state"] for task in reply.records], ["succeeded"] * 4, "tasks")
        equal(reply.end.number("seq"), last, "seq of the end of the reply")
        watcher.await_end(client.ok("UPDATE 3 2").end["graph"])
        late.ok("PING")
        equal(late.events, [], "events")
        late.ok("WATCH GRAPHS initial=no")  # the other watch is over


@case
def a_watch_of_a_graph_is_over_with_it():
    """A client that has shut its sending side is closed then, for nothing more will come."""
    with Daemon("--mock-delay=1h") as imd:
        client, during, behind = imd.client(), imd.client(), imd.client()
        graph = client.ok("UPDATE 2 1").end["graph"]
        during.ok(f"WATCH TASKS {graph}")
        during.half_close()
        client.ok("UPDATE 0 1")
        during.await_end(graph)
        equal(during.line(), None, "behind the end of the graph")
        behind.ok(f"WATCH TASKS {graph} initial=no")
        behind.half_close()
        equal(behind.line(), None, "behind a watch of an ended graph")


@case
def what_each_kind_begins_with():
    with Daemon("--mock-delay=0") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL group=*")
        for group in ("default", "web"):
            watcher.await_end(client.ok(f"UPDATE 2 1 group={group}").end["graph"])
        watcher.await_end(client.ok("UPDATE 1 1 group=web").end["graph"])
        watcher.ok("UNWATCH")
        for kind, group, records in (
                ("NODES", "*", {"NODE": 3}), ("NODES", "web", {"NODE": 1}), ("NODES", "", {"NODE": 2}),
                ("GRAPHS", "*", {"GRAPH": 3}), ("GRAPHS", "", {"GRAPH": 1}), ("TASKS", "*", {}),
                ("ALL", "*", {"NODE": 3, "GRAPH": 3})):
            request = f"WATCH {kind}" + (f" group={group}" if group else "")
            reply = client.ok(request)
            found = {name: len(reply.of(name)) for name in ("NODE", "GRAPH", "TASK") if reply.of(name)}
            equal(found, records, request)
            client.ok("UNWATCH")
            equal(client.ok(request + " initial=no").records, [], request + " initial=no")
            client.ok("UNWATCH")


@case
def the_record_in_an_event_is_the_record():
    with Daemon("--mock-delay=0") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH NODES")
        client.ok("UPDATE 1 1")
        started = watcher.await_event("node-started")[-1]
        running = watcher.await_event("node-state")[-1]
        node = client.ok("NODES").one("NODE")
        for key in ("id", "group", "slot", "version", "revision", "created"):
            equal(started[key], node[key], key)
        equal(running["at"], node["started"], "when it ran")
        expect(started["state"] in LIVE_STATES, started)
        equal(list(running.keys), ["node", "group", "slot", "state", "at"], "keys of node-state")


main()
