#!/usr/bin/env python3
"""One change upon another, and nodes that die: whatever comes in whatever phase of a rollout, there are
never too many nodes nor too few, and the last word counts."""

import random
import re

from imdmodel import Model, bounds_of, judge_bounds, judge_ends, nodes_of, target_of, update
from imdtest import END_EVENTS, UUID, Daemon, add_case, case, equal, expect, main

class Rollout:
    """A group whose upgrade is overtaken by a second change behind its `phase`th event, and that by a
    third where there is one."""

    def __init__(self, number, phase, policy, changes):
        self.group = f"g{number}"
        self.policy = policy
        self.phase = phase
        self.changes = list(changes)
        self.last = None
        self.graph = None
        self.seen = 0
        self.upgrading = False

    def request(self, what):
        return f"UPDATE {what} group={self.group} {self.policy}"


def overtake(client, watcher, rollouts):
    """Runs all of them at once. Returns the events, and what bounds them."""
    bounds, targets, events, ends = {}, {}, [], {}
    groups = {rollout.group: rollout for rollout in rollouts}

    def declare(rollout, what):
        reply = client.ok(rollout.request(what) + " quiet=yes")
        bounds[reply.end["graph"]] = bounds_of(reply)
        targets[rollout.group, reply.end["revision"]] = target_of(rollout.request(what))
        rollout.graph, rollout.last, rollout.seen = reply.end["graph"], what, 0

    for rollout in rollouts:
        declare(rollout, "4 1")
    left = len(rollouts)
    while left:
        event = watcher.event()
        events.append(event)
        rollout = groups[event["group"]]
        if event.type in END_EVENTS:
            ends[event["graph"]] = event
        while rollout.graph in ends and ends[rollout.graph].type == "graph-superseded":
            rollout.graph = ends[rollout.graph]["successor"]  # which may have ended before
        ended = rollout.graph in ends
        if not rollout.upgrading:
            if ended:
                rollout.upgrading = True
                declare(rollout, "4 2")
            continue
        rollout.seen += 1
        if rollout.changes and (ended or rollout.seen > rollout.phase):
            declare(rollout, rollout.changes.pop(0))
        elif ended and not rollout.changes:
            equal(ends[rollout.graph].type, "graph-succeeded", f"the end of {rollout.last}")
            left -= 1
    return events, targets, bounds


def check_overtaken(client, events, targets, bounds, rollouts):
    model = judge_bounds(events, targets, bounds, "min-ready" not in rollouts[0].policy)
    judge_ends(events)
    for rollout in rollouts:
        size, version = rollout.last.split()
        wanted = [(version, "running")] * int(size)
        equal([node[1:] for node in nodes_of(client, rollout.group)], wanted,
              f"{rollout.group} after {rollout.last}")
        equal(model.live(rollout.group), int(size), "live nodes by the events")
        graphs = client.ok(f"GRAPHS group={rollout.group}").records
        for one, following in zip(graphs, graphs[1:]):
            if one["state"] == "superseded":
                equal(one["successor"], following["id"], f"successor of {one}")
            else:
                equal(one["state"], "succeeded", f"state of {one}")
    superseded = [event for event in events if event.type == "graph-superseded"]
    expect(superseded, "no graph was superseded")
    expect(all(re.fullmatch(UUID, event["successor"]) for event in superseded), "successor")


def add_overtaking(name, policy, delay):
    def overtaking():
        seed = random.randrange(1 << 32)
        print(f"# seed {seed}")
        chance = random.Random(seed)
        targets = ("4 3", "2 3", "7 2", "4 1", "0 2", "1 4", "9 5")
        rollouts = [Rollout(i, i % 30, policy, chance.sample(targets, 1 + i % 2))
                    for i in range(90)]
        with Daemon(f"--mock-delay={delay}", f"--mock-seed={seed}") as imd:
            client, watcher = imd.client(), imd.client()
            client.ok("PING")
            watcher.ok("WATCH ALL group=*")
            check_overtaken(client, *overtake(client, watcher, rollouts), rollouts)

    add_case(name, overtaking)


add_overtaking("overtaken-in-every-phase", "", "2ms-9ms")
add_overtaking("overtaken-with-a-surge", "max-surge=1 max-unavailable=0", "2ms-9ms")
add_overtaking("overtaken-with-surge-and-lanes", "max-surge=50% max-unavailable=2", "0-12ms")
add_overtaking("overtaken-with-min-ready", "max-surge=1 min-ready=5ms", "0-5ms")


@case
def at_once_many_updates_of_one_group():
    """Pipelined: each supersedes the one before it, and the last one counts."""
    with Daemon("--mock-delay=0-3ms") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        chance = random.Random(5)
        wanted = [(chance.randrange(12), version) for version in range(1, 200)] + [(5, 777)]
        client.send("".join(f"UPDATE {size} {version} quiet=yes\n" for size, version in wanted))
        bounds, targets = {}, {}
        for number, (size, version) in enumerate(wanted):
            reply = client.reply()
            equal(reply.end["revision"], str(number + 1), "revision")
            bounds[reply.end["graph"]] = bounds_of(reply)
            targets["default", str(number + 1)] = target_of(f"UPDATE {size} {version}")
            last = reply.end["graph"]
        events = watcher.await_end(last)
        while events[-1].type == "graph-superseded":  # a start was quicker than its cancel
            events += watcher.await_end(events[-1]["successor"])
        judge_bounds(events, targets, bounds)
        judge_ends(events)
        equal([node[1:] for node in nodes_of(client)], [("777", "running")] * 5, "nodes")


@case
def killed_in_the_middle_of_an_upgrade():
    with Daemon("--mock-delay=1ms-5ms", "--heal-delay=1ms", "--heal-max=1ms") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        update(client, watcher, "UPDATE 5 1")
        model = Model()
        client.ok("UPDATE 5 2 max-unavailable=2")
        chance = random.Random(11)
        for record in client.ok("NODES").records:
            model.record(record)
        for _ in range(6):
            model.event(watcher.await_event("task-started")[-1])
            nodes = client.ok("NODES").records
            client.ask(f"KILL {chance.choice(nodes)['id']}")
        client.ok("UPDATE 5 2")
        while [node[1:] for node in nodes_of(client)] != [("2", "running")] * 5:
            watcher.await_event("graph-succeeded")


main()
