#!/usr/bin/env python3
"""Graphs that have ended and are not in memory any more are read from the state file: nobody sees a
difference."""

from imdtest import Daemon, case, equal, expect, main, matches, new_path

FEW = ("--mock-delay=0-1ms", "--keep-tasks=0", "--mock-fail-version=9", "--retry-delay=1ms")


def carry_out(client, watcher, *changes):
    """Returns the lines of all graphs, as they are when each has just ended."""
    shown = {}
    for change in changes:
        graph = client.ok(f"UPDATE {change}").end["graph"]
        watcher.await_end(graph)
        shown[graph] = lines(client.ok(f"GRAPH {graph}"))
    return shown


def lines(reply):
    return [str(line) for line in reply.records]


CHANGES = ("5 1", "5 2 max-unavailable=2", "3 3 max-surge=1", "3 9", "6 4", "6 4", "0 4", "2 5")


@case
def old_graphs_are_as_they_were():
    with Daemon(*FEW) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH GRAPHS")
        shown = carry_out(client, watcher, *CHANGES)
        equal([graph["id"] for graph in client.ok("GRAPHS").records], list(shown), "graphs")
        for graph, before in shown.items():
            equal(lines(client.ok(f"GRAPH {graph}")), before, "a graph")
            equal(lines(client.ok(f"TASKS {graph[:13]}")), before[1:], "tasks")
            watch = imd.client()
            equal(lines(watch.ok(f"WATCH TASKS {graph}")), before[1:], "a watch of tasks")
            watch.half_close()
            watch.expect_closed()
        states = [before[0].split(" state=")[1].split(" ")[0] for before in shown.values()]
        expect("failed" in states and "succeeded" in states, states)


@case
def old_graphs_outlive_the_daemon():
    path = new_path("state.db")
    with Daemon(*FEW, f"--state={path}") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH GRAPHS")
        shown = carry_out(client, watcher, *CHANGES)
    for options in (FEW, ("--mock-delay=0", "--keep-tasks=15"), ("--mock-delay=0",)):
        with Daemon(*options, f"--state={path}") as imd:
            client = imd.client()
            for graph, before in shown.items():
                equal(lines(client.ok(f"GRAPH {graph}")), before, "a graph", *options)


@case
def old_graphs_go_in_the_end():
    with Daemon(*FEW, "--keep-graphs=3") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH GRAPHS")
        shown = list(carry_out(client, watcher, *CHANGES))
        equal([graph["id"] for graph in client.ok("GRAPHS").records], shown[-3:], "graphs")
        client.fails(f"TASKS {shown[0]}", "not-found", "no graph has the id")


@case
def requests_behind_a_graph_that_is_read_wait_for_it():
    """Pipelined, by several clients at once, and with some that go before they are answered."""
    with Daemon(*FEW) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH GRAPHS")
        shown = carry_out(client, watcher, *CHANGES)
        crowd = [imd.client() for _ in range(20)]
        for one in crowd:
            one.send("".join(f"GRAPH {graph}\nPING\nTASKS {graph}\n" for graph in shown))
        for one in crowd[::2]:
            one.close()
        for one in crowd[1::2]:
            for before in shown.values():
                equal(lines(one.reply()), before, "a graph")
                equal(lines(one.reply()), [], "PING")
                equal(lines(one.reply()), before[1:], "tasks")
        client.ok("PING")


@case
def memory_alone_keeps_fewer():
    """Where there is no file, graphs go with their tasks, but for the latest."""
    with Daemon(*FEW, "--state=:memory:") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH GRAPHS")
        shown = list(carry_out(client, watcher, *CHANGES))
        equal([graph["id"] for graph in client.ok("GRAPHS").records], shown[-1:], "graphs")


@case
def the_memory_of_large_graphs_is_given_back():
    with Daemon("--mock-delay=0", "--keep-nodes=0") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH GRAPHS")
        sizes = []
        for version in range(1, 9):
            watcher.await_end(client.ok(f"UPDATE 20000 {version} max-unavailable=100% quiet=yes")
                              .end["graph"])
            sizes.append(imd.rss_kib())
        print(f"# {sizes} KiB")
        # Each has 40,000 tasks, 80 bytes a task and 8 an edge: 100,000 tasks are some 9 MiB.
        expect(sizes[-1] - sizes[3] < 20000, "memory grows with each graph:", sizes)
        equal(len(client.ok("GRAPHS").records), 8, "graphs")
        reply = client.ok(f"GRAPH {client.ok('GRAPHS').records[1]['id']}")
        equal(len(reply.records), 40001, "records")
        matches("state=succeeded", str(reply.records[-1]))


main()
