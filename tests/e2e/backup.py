#!/usr/bin/env python3
"""Copies of the state while the daemon is at work: whole, good to start on, and sent to the client: the daemon opens
no path that a client names, and nothing of a copy is left when it is over, however it ends."""

import os
import resource
import signal
import sqlite3

from imdmodel import nodes_of
from imdtest import (DATA_BYTES, IMD, Daemon, await_that, backup, case, copy_of, equal, expect, joined, main, matches,
                     new_path, run, sanitized)

NODES = 5000  # a state of a megabyte and more, which no socket takes at once


def check(path):
    status, out, err = run(IMD, f"--check-state={path}")
    equal(status, 0, "--check-state", err)
    matches(r": sound: groups=\d+ revisions=\d+ graphs=\d+ live-nodes=\d+ events=\d+$", out)


class Big(Daemon):
    """A daemon with a large state in a directory of its own."""

    def __init__(self, *options):
        self.folder = new_path("folder")
        os.mkdir(self.folder)
        super().__init__("--mock-delay=0", f"--state={self.folder}/imd.db", *options)
        self.before = self.descriptors()
        with self.client() as client, self.client() as watcher:
            watcher.ok("WATCH GRAPHS")
            watcher.await_end(client.ok(f"UPDATE {NODES} 1 quiet=yes").end["graph"])

    def names(self):
        return sorted(os.listdir(self.folder))

    def is_as_before(self):
        """Nothing of any copy is left, and the next one works."""
        def is_clean():
            return self.descriptors() == self.before and self.names() == ["imd.db", "imd.db-wal"]

        def what():
            return f"there are {self.before} descriptors, not {self.descriptors()}, and no file beside the state: " \
                f"{self.names()}"

        await_that(is_clean, what)
        with self.client() as client:
            copy_of(client)
        await_that(is_clean, what)


# ---- whole --------------------------------------------------------------------------------------------

@case
def a_copy_starts_elsewhere():
    path = new_path("copy.db")
    with Daemon("--mock-delay=0") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH GRAPHS")
        watcher.await_end(client.ok('UPDATE 5 1 note="of old"').end["graph"])
        backup(client, path)
        nodes, specs = nodes_of(client), [str(line) for line in client.ok("SPECS").records]
        graphs = [str(line) for line in client.ok("GRAPHS").records]
        watcher.await_end(client.ok("UPDATE 0 1").end["graph"])
    check(path)
    with Daemon("--mock-delay=0", f"--state={path}") as imd:
        client = imd.client()
        equal(nodes_of(client), nodes, "nodes of the copy")
        equal([str(line) for line in client.ok("SPECS").records], specs, "revisions of the copy")
        equal([str(line) for line in client.ok("GRAPHS").records], graphs, "graphs of the copy")


@case
def copies_in_the_middle_of_upgrades():
    """Each is the state at some moment, and a daemon that starts on it comes to the declared end."""
    paths = []
    with Daemon("--mock-delay=0-2ms", "--keep-graphs=5") as imd:
        client, other, watcher = imd.client(), imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        client.ok("UPDATE 40 1 quiet=yes")
        for version in range(2, 8):
            graph = client.ok(f"UPDATE 40 {version} max-unavailable=5 quiet=yes").end["graph"]
            watcher.event()
            paths.append(backup(other, new_path("copy.db")))
        watcher.await_end(graph)
    for path in paths:
        check(path)
        with Daemon("--mock-delay=0", f"--state={path}") as imd:
            client, watcher = imd.client(), imd.client()
            size, version = (client.ok("SPEC").records[0][key] for key in ("size", "version"))
            watcher.ok("WATCH GRAPHS")
            running = [graph["id"] for graph in client.ok("GRAPHS").records
                       if graph["state"] == "running"]
            if running:
                watcher.await_end(running[-1])
            expect(len(nodes_of(client)) == int(size), "nodes at the end")
            expect(all(node[1] == version for node in nodes_of(client)) or running,
                   "versions at the end")


@case
def a_copy_can_be_read_without_a_log():
    """By who may read the file alone: opening it makes no other."""
    folder = new_path("folder")
    os.mkdir(folder)
    with Daemon("--mock-delay=0") as imd:
        client = imd.client()
        client.ok("UPDATE 3 1 quiet=yes")
        path = backup(client, os.path.join(folder, "copy.db"))
    rows = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    equal(rows.execute("SELECT size FROM history").fetchall(), [(3,)], "the history")
    equal(os.listdir(folder), ["copy.db"], "the directory of the copy while it is read")
    equal(rows.execute("PRAGMA journal_mode").fetchall(), [("delete",)], "the journal")
    rows.close()


@case
def the_state_may_be_at_the_end_of_a_link():
    folder = new_path("folder")
    os.mkdir(folder)
    os.symlink(folder, f"{folder}.link")
    with Daemon("--mock-delay=0", f"--state={folder}.link/imd.db") as imd:
        client = imd.client()
        client.ok("UPDATE 3 1 quiet=yes")
        check(backup(client, new_path("copy.db")))


# ---- sent ---------------------------------------------------------------------------------------------

@case
def no_path_of_a_client_is_opened():
    folder = new_path("folder")
    os.mkdir(folder)
    path = os.path.join(folder, "copy.db")
    os.mkfifo(os.path.join(folder, "fifo"))
    with Daemon() as imd:
        client = imd.client()
        for words in (path, f"{folder}/fifo", f'"{path}"', "copy.db", "-", '""', f"{path} {path}"):
            client.fails(f"BACKUP {words}", "bad-argument", "takes no arguments, .*usage: BACKUP$")
        client.fails(f"BACKUP path={path}", "bad-argument", "no option path")
        copy_of(client)
    equal(os.listdir(folder), ["fifo"], "the directory that was named")


@case
def records_are_of_one_size():
    with Big() as imd, imd.client() as client:
        reply = client.ok("BACKUP")
        size = len(joined(reply))
        expect(size > 80 * DATA_BYTES, f"{size} bytes are not many records")
        equal(len(reply.records), -(-size // DATA_BYTES), "records")
        equal(size % 4096, 0, "a part of a page")
        equal([line for line in reply.records if '"' in str(line)], [], "quoted records")


@case
def requests_behind_it_wait():
    with Big() as imd, imd.client() as client:
        client.send("PING\nBACKUP\nPING\nBACKUP\nQUIT\n")
        equal(client.reply().records, [], "PING")
        first = joined(client.reply())
        equal(client.reply().records, [], "PING")
        equal(joined(client.reply()), first, "the second copy")
        equal(client.reply().code, None, "QUIT")
        client.expect_closed()


@case
def who_has_said_all_gets_it_too():
    with Big() as imd, imd.client() as client:
        client.send("BACKUP\n")
        client.half_close()
        path = new_path("copy.db")
        with open(path, "wb") as file:
            file.write(joined(client.reply()))
        client.expect_closed()
        check(path)


@case
def a_state_in_memory_is_not_copied():
    with Daemon("--state=:memory:") as imd:
        imd.client().fails("BACKUP", "conflict", "kept in memory only")


# ---- and over -----------------------------------------------------------------------------------------

@case
def who_does_not_read_holds_up_nobody():
    with Big() as imd:
        rss = imd.rss_kib()
        sleeper, client, watcher = imd.client(), imd.client(), imd.client()
        sleeper.send("BACKUP\n")
        sleeper.await_read()
        await_that(lambda: client.ask("BACKUP").code == "conflict", "the copy is begun")
        watcher.ok("WATCH GRAPHS group=*")
        for version in range(2, 12):
            watcher.await_end(client.ok(f"UPDATE {version} {version} group=web quiet=yes").end["graph"])
            equal(len(client.ok("NODES group=web").records), version, "nodes")
        client.fails("BACKUP", "conflict", "one at a time")
        equal(imd.names(), ["imd.db", "imd.db-wal"], "the directory of the state during a copy")
        expect(sanitized() or imd.rss_kib() < rss + 8192, f"memory: {rss} KiB and then {imd.rss_kib()}")
        copy = joined(sleeper.reply())
        expect(len(copy) > 80 * DATA_BYTES, "what it gets in the end")
        for each in (sleeper, client, watcher):
            each.close()
        imd.is_as_before()


@case
def who_does_not_read_for_too_long_is_dropped():
    with Big("--send-timeout=1s") as imd:
        sleeper, idle = imd.client(), imd.client()
        sleeper.send("BACKUP\n")
        await_that(lambda: "client-dropped" in imd.log(), "the client is dropped")
        while sleeper.receive():
            continue
        idle.ok("PING")
        idle.close()
        imd.is_as_before()
        equal(imd.log().count("client-dropped"), 1, "clients that were dropped")


def goes_at_once(client):
    client.close()


def goes_when_it_is_asked(client):
    client.await_read()
    client.close()


def goes_in_the_middle(client):
    for _ in range(20):
        client.line()
    client.close()


def goes_without_reading(client):
    """When its socket is full, so that imd waits for it."""
    client.await_read()
    client.socket.recv(1)
    client.close()


def goes_after_half_a_close(client):
    client.half_close()
    client.line()
    client.close()


def goes_after_half_a_close_at_once(client):
    client.half_close()
    client.close()


@case
def a_client_may_go_at_any_moment():
    with Big() as imd:
        for go in (goes_at_once, goes_when_it_is_asked, goes_in_the_middle, goes_without_reading,
                   goes_after_half_a_close, goes_after_half_a_close_at_once):
            client = imd.client()
            client.send("BACKUP\n")
            go(client)
            imd.is_as_before()


@case
def an_abandoned_copy_does_not_block_the_next_one():
    with Big() as imd:
        for reads, half in ((True, False), (True, True), (False, True)) * 10:
            client, other = imd.client(), imd.client()
            client.send("BACKUP\n")
            if reads:
                client.line()
            if half:
                client.half_close()
            client.close()
            copy_of(other)
            other.close()
        imd.is_as_before()


@case
def no_event_comes_between_the_records_of_a_copy():
    with Big() as imd, imd.client() as other:
        client = imd.client()
        client.ok("WATCH ALL initial=no")
        other.ok("WATCH GRAPHS initial=no")
        client.send("BACKUP\n")
        equal(client.line()["offset"], "0", "the first record")
        other.await_end(other.ok(f"UPDATE {NODES} 2 quiet=yes max-unavailable=100%").end["graph"])
        records = 1
        while (line := client.line()).kind == "DATA":
            records += 1
        equal(line.kind, "OK", f"what follows {records} records")
        client.await_event("graph-succeeded")


@case
def a_daemon_that_is_killed_leaves_nothing():
    imd = Big()
    client = imd.client()
    client.send("BACKUP\n")
    equal(client.line()["offset"], "0", "the first record")
    imd.process.kill()
    imd.process.wait()
    imd.manager.close()
    rest = b""
    while more := client.receive():
        rest += more
    expect(b"\nOK" not in rest, "the copy ended well:", rest[-100:])
    equal(imd.names(), ["imd.db", "imd.db-wal"], "the directory of the state")


@case
def a_daemon_that_is_to_end_finishes_the_copy():
    with Big() as imd, imd.client() as client:
        client.send("BACKUP\n")
        equal((first := client.line())["offset"], "0", "the first record")
        imd.process.send_signal(signal.SIGTERM)
        reply = client.reply()
        reply.records.insert(0, first)
        joined(reply)
        equal(client.reply().code, "shutting-down", "what comes after it")
        equal(imd.process.wait(), 0, "exit status")


@case
def a_file_that_may_not_grow_is_told():
    """As a full disk is, which storage.py has where it may mount one."""
    with Big() as imd:
        imd.limit(resource.RLIMIT_FSIZE, 512 * 1024)
        with imd.client() as client:
            client.fails("BACKUP", "storage", "copy of the state cannot be written")
            equal(len(client.ok("NODES").records), NODES, "nodes")
        equal(imd.names(), ["imd.db", "imd.db-wal"], "the directory of the state")
        imd.limit(resource.RLIMIT_FSIZE, resource.prlimit(imd.pid, resource.RLIMIT_FSIZE)[1])
        imd.is_as_before()


@case
def a_log_without_its_file_is_refused():
    path = new_path("state.db")
    with Daemon(f"--state={path}", "--mock-delay=0") as imd:
        imd.client().ok("UPDATE 3 1")
        imd.process.kill()
        imd.process.wait()
        imd.stop = lambda *_: None
    log = path + "-wal"
    expect(os.path.getsize(log) > 0, "there is a log")
    for make in (lambda: os.unlink(path), lambda: open(path, "wb").close()):
        make()
        size = os.path.getsize(log)
        for arguments in ((f"--state={path}", f"--socket={new_path('sock')}"), (f"--check-state={path}",)):
            status, _, err = run(IMD, *arguments)
            equal(status, 1, "exit status", err)
            matches("its log .*-wal exists", err, "what it says")
        equal(os.path.getsize(log), size, "the log is as it was")


main()
