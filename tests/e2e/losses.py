#!/usr/bin/env python3
"""Deaths and replacements: the lines of the log, the figures of STATS and those of METRICS are the same, and
are what a test did, at every moment of a rollout."""

import re

from imdtest import END_EVENTS, Daemon, case, equal, expect, main, matches, new_path


class Group:
    """The group default, and what happens to it, for who does things to it and waits for their end."""

    def __init__(self, imd):
        self.imd = imd
        self.client, self.watcher = imd.client(), imd.client()
        self.watcher.ok("WATCH ALL initial=no")
        self.running = set()  # graphs

    def event(self):
        event = self.watcher.event()
        if event.type == "graph-started":
            self.running.add(event["graph"])
        elif event.type in END_EVENTS:
            self.running.remove(event["graph"])
        return event

    def await_event(self, *types, **keys):
        while True:
            event = self.event()
            if event.type in types and all(event.get(key) == value for key, value in keys.items()):
                return event

    def update(self, words):
        """Until it has begun."""
        self.await_event("graph-started", graph=self.client.ok(f"UPDATE {words} quiet=yes").end["graph"])

    def rest(self):
        """Until no graph runs."""
        while self.running:
            self.event()

    def settle(self, words):
        self.update(words)
        self.rest()

    def kill(self, node):
        """Until it is gone. False where it had ended already."""
        reply = self.client.ask(f"KILL {node}")
        if reply.code is None:
            self.await_event("node-state", node=node, state="failed")
            return True
        equal(reply.code, "conflict", "KILL")
        return False

    def kill_twice(self, place):
        """A node and its successor, behind which the delay is too long to wait for."""
        for _ in range(2):
            self.rest()
            expect(self.kill(self.client.ok("NODES").records[place]["id"]), "it had ended")
        expect(self.running, "nothing is planned for the second one")

    def metrics(self):
        self.client.send("METRICS\n")
        lines = []
        while not lines or lines[-1] != "OK":
            lines.append(self.client.raw_line().decode())
        return "\n".join(lines)

    def expect_counts(self, died, replaced):
        metrics = self.metrics()
        lines = self.imd.log().splitlines()
        for name, count in (("died", died), ("replaced", replaced)):
            equal(int(self.client.stat(f"nodes-{name}")), count, f"nodes-{name} of STATS")
            matches(rf"^imd_nodes_{name}_total {count}$", metrics, f"nodes that {name}, of METRICS")
            told = [line for line in lines if re.match(rf"<[46]>node-{name} group=default node=", line)]
            equal(len(told), count, f"lines node-{name}: {told}")
            nodes = [re.search(r" node=(\S+)", line).group(1) for line in told]
            equal(len(set(nodes)), count, f"nodes of node-{name}")


@case
def one_that_is_killed_as_a_rollout_begins():
    """It alone is replaced, though the graph that does it also finishes the rollout."""
    with Daemon("--mock-delay=20ms", "--heal-delay=1ms") as imd:
        group = Group(imd)
        group.update("5 1 max-parallel=1")
        node = group.await_event("node-started")["id"]
        expect(group.kill(node), "it had ended")
        group.rest()
        group.expect_counts(1, 1)
        matches(rf"^<4>node-died group=default node={node} .* error=\"killed by ", imd.log(), "log")


@case
def one_at_every_moment_of_a_rollout():
    """The node of each event is killed in turn, whatever it is about to do."""
    with Daemon("--mock-delay=2ms", "--heal-delay=1ms") as imd:
        group = Group(imd)
        group.settle("4 1 max-unavailable=2")
        killed, version, moment = 0, 1, 0
        while True:
            version += 1
            group.update(f"4 {version} max-unavailable=2")
            nodes = []
            while group.running and len(nodes) <= moment:
                event = group.event()
                if event.type in ("node-started", "node-state"):
                    nodes.append(event.get("node") or event["id"])
            if len(nodes) <= moment:
                break
            killed += group.kill(nodes[-1])
            group.rest()
            group.expect_counts(killed, killed)
            moment += 1
        expect(killed >= 8, f"only {killed} were there to be killed in {moment} rollouts")


@case
def one_that_is_killed_between_two_attempts():
    with Daemon("--mock-delay=0", "--mock-fail-version=9", "--retries=1", "--retry-delay=1h",
                "--retry-max=1h", "--heal-delay=1ms") as imd:
        group = Group(imd)
        group.update("1 9")
        group.await_event("task-retrying")
        node = group.client.ok("NODES").records[0]["id"]
        expect(group.kill(node), "it had ended")
        group.expect_counts(1, 0)
        matches(rf"^<4>node-died group=default node={node} .* error=\"killed by ", imd.log(), "log")
        group.settle("1 1")
        group.expect_counts(1, 1)


@case
def one_that_could_not_be_started():
    """It has not died: its task has failed."""
    with Daemon("--mock-delay=0", "--mock-fail-version=9", "--retries=1", "--retry-delay=1ms") as imd:
        group = Group(imd)
        group.settle("2 9")
        group.expect_counts(0, 0)
        expect(int(group.client.stat("tasks-failed")) > 0, "no task has failed")
        group.settle("2 1")
        group.expect_counts(0, 0)


@case
def one_that_is_not_wanted_any_more():
    """Its slot is free when the group is made smaller, and what comes into it later replaces nobody."""
    with Daemon("--mock-delay=0", "--heal-delay=1h", "--heal-max=1h") as imd:
        group = Group(imd)
        group.settle("3 1")
        group.kill_twice(2)
        group.settle("2 1")
        group.settle("3 1")
        group.expect_counts(2, 1)


@case
def one_that_waits_for_its_successor_in_a_crash():
    state = new_path("state.db")
    options = (f"--state={state}", "--mock-delay=0", "--heal-delay=1h", "--heal-max=1h")
    imd = Daemon(*options)
    group = Group(imd)
    group.settle("3 1")
    group.kill_twice(2)
    group.expect_counts(2, 1)
    imd.process.kill()
    imd.process.wait()
    with Daemon(*options) as imd:
        group = Group(imd)
        client = imd.client()
        tasks = client.ok("WATCH TASKS").records  # of graphs that have not ended
        if tasks:
            client.await_end(tasks[0]["graph"])
        group.expect_counts(0, 1)


main()
