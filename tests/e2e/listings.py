#!/usr/bin/env python3
"""Long listings: made as the client reads, at no cost to the daemon's memory or to other clients."""

from imdtest import Daemon, await_that, case, equal, expect, kept, main, sanitized

SIZE = 40_000 if sanitized() else 200_000
WAITING_KIB = 256  # what may wait for one client

# One daemon for all: it takes a while to have so many nodes.
shared = {}


def daemon():
    if not shared:
        imd = Daemon("--mock-delay=0", "--keep-events=1000", "--keep-nodes=1000000",
                     "--keep-tasks=1000000")
        kept.append(imd.process)
        client = imd.client()
        shared["imd"] = imd
        shared["graph"] = carry_out(client, f"UPDATE {SIZE} 1 quiet=yes")
    return shared["imd"], shared["graph"]


def carry_out(client, request):
    """Until the graph has succeeded, which is asked for: with few events kept, a watcher may lag."""
    graph = client.ok(request).end["graph"]

    def ended():
        record = next(line for line in client.ok("GRAPHS group=*").records if line["id"] == graph)
        expect(record["state"] in ("running", "succeeded"), record)
        return record["state"] == "succeeded"

    await_that(ended, f"{request} is carried out")
    return graph


def begin(imd, request, wanted=1 << 17):
    """A client that has asked, and read a part of the answer."""
    client = imd.client()
    client.send(request + "\n")
    got = bytearray()
    while len(got) < wanted:
        got += client.socket.recv(1 << 15)
    return client, got


def read_rest(client, got):
    """The lines of the whole reply."""
    blocks = [bytes(got)]
    while True:
        block = client.socket.recv(1 << 20)
        expect(block, "the connection was closed within a listing")
        blocks.append(block)
        tail = (blocks[-2] + block)[-400:] if len(blocks) > 1 else block
        last = tail.rstrip(b"\n").rpartition(b"\n")[2]
        if tail.endswith(b"\n") and (last.startswith(b"OK") or last.startswith(b"ERR ")):
            return b"".join(blocks).split(b"\n")[:-1]


def numbers(lines, key):
    mark = b" " + key.encode() + b"="
    return [int(line.partition(mark)[2].partition(b" ")[0]) for line in lines]


def bounded(imd, before, clients=1, line_kib=0):
    """line_kib: how long the longest line is; it is made, and it waits, as a whole."""
    grown = imd.rss_kib() - before
    expect(sanitized() or grown < clients * (WAITING_KIB + 128) + 1024 + 3 * line_kib,
           f"{clients} listings cost {grown} KiB")


def slow_listing(request, kind, key, count, line_kib=0):
    imd, _ = daemon()
    other = imd.client()
    other.ok("PING")
    before = imd.rss_kib()
    client, got = begin(imd, request)
    for _ in range(20):
        other.ok("PING")
        equal(len(other.ok("SPEC").records), 1, "SPEC beside a listing")
        bounded(imd, before, 1, line_kib)
        got += client.socket.recv(1 << 16)
    lines = read_rest(client, got)
    bounded(imd, before, 1, line_kib)
    expect(lines[-1].startswith(b"OK"), lines[-1])
    expect(all(line.startswith(kind) for line in lines[:-1]), "other records")
    equal(numbers(lines[:-1], key), list(range(count)), f"{key} of {request}")
    client.ok("PING")
    client.close()


@case
def nodes_are_listed_slowly():
    slow_listing("NODES", b"NODE ", "slot", SIZE)


@case
def tasks_are_listed_slowly():
    _, graph = daemon()
    # The barrier at the end has one line with all prereqs.
    slow_listing(f"TASKS {graph}", b"TASK ", "id", SIZE + 1, 7 * SIZE // 1024)


@case
def a_plan_is_listed_slowly():
    imd, _ = daemon()
    other = imd.client()
    client, got = begin(imd, f"PLAN {SIZE} 2")
    other.ok("SPEC")
    lines = read_rest(client, got)
    equal(numbers(lines[1:-1], "id"), list(range(2 * SIZE)), "tasks")
    expect(lines[-1].startswith(b"OK graph=") and f"tasks={2 * SIZE}".encode() in lines[-1], lines[-1])
    other.ok("PING")


@case
def fifty_listings_at_once():
    imd, _ = daemon()
    other = imd.client()
    other.ok("PING")
    before = imd.rss_kib()
    clients = [begin(imd, "NODES", 1 << 12)[0] for _ in range(50)]
    other.ok("PING")
    bounded(imd, before, len(clients))
    equal(other.stat("clients"), str(len(clients) + 1), "clients")
    for client in clients:
        client.close()
    await_that(lambda: other.stat("clients") == "1", "the clients are gone")


@case
def clients_that_go_in_the_middle():
    imd, graph = daemon()
    other = imd.client()
    other.ok("PING")
    held = imd.descriptors()
    for request in ("NODES", f"TASKS {graph}", "NODES all=yes", "WATCH ALL", f"PLAN {SIZE // 4} 7",
                    f"GRAPH {graph}"):
        for pipelined in ("", "\nNODES\nNODES\nQUIT"):
            client, _ = begin(imd, request + pipelined, 1 << 12)
            client.close()
    await_that(lambda: other.stat("clients") == "1", "the clients are gone")
    equal(other.stat("watchers"), "0", "watchers")
    await_that(lambda: imd.descriptors() == held, "their descriptors are free")
    other.ok("PLAN 1 1 quiet=yes")


@case
def changes_during_a_listing():
    """What a watcher begins with may show more than its seq tells, yet it ends with the truth."""
    imd, _ = daemon()
    other = imd.client()
    watcher = imd.client()
    watcher.send("WATCH NODES\n")
    victim = other.ok("NODES").records[-1]["id"]  # the listing has not come to it yet
    other.ok(f"KILL {victim}")
    await_that(lambda: other.stat("graphs-active") == "0", "the node is replaced")
    known = {record["id"]: record["state"] for record in watcher.reply().records}
    for event in watcher.await_event("node-state", state="running"):
        known[event.get("id") or event["node"]] = event["state"]
    equal(known[victim], "failed", "state of the victim")
    live = {node: state for node, state in known.items() if state in ("running", "starting")}
    truth = {record["id"]: record["state"] for record in other.ok("NODES").records}
    equal(len(live), len(truth), "live nodes")
    equal(set(live) ^ set(truth), set(), "nodes that differ")
    watcher.close()


@case
def what_is_pruned_while_it_is_listed_is_gone():
    with Daemon("--mock-delay=0", "--keep-graphs=1", "--keep-events=1000") as imd:
        other = imd.client()
        graph = carry_out(other, "UPDATE 20000 1 quiet=yes")
        client, got = begin(imd, f"TASKS {graph}", 1 << 12)
        for size in (20001, 20002):
            carry_out(other, f"UPDATE {size} 1 quiet=yes")
        other.fails(f"TASKS {graph}", "not-found")
        lines = read_rest(client, got)
        expect(lines[-1].startswith(b"ERR gone "), lines[-1])
        client.ok("PING")


@case
def replies_larger_than_what_may_wait():
    """Pipelined listings, read late: all whole, and in order."""
    imd, _ = daemon()
    other, client = imd.client(), imd.client()
    other.ok("PING")
    before = imd.rss_kib()
    client.send("NODES\nPING\nSPEC\n" * 3)
    other.ok("PING")
    bounded(imd, before)
    for _ in range(3):
        for kind, count in (("NODE", SIZE), (None, 0), ("SPEC", 1)):
            seen = 0
            while True:
                raw = client.raw_line()
                expect(raw is not None, "the connection was closed")
                if raw == b"OK":
                    break
                seen += 1
            equal(seen, count, f"lines of {kind}")


@case
def the_daemon_ends_well():
    imd, _ = daemon()
    client, _ = begin(imd, "NODES")
    imd.stop()
    client.close()
    shared.clear()


main()
