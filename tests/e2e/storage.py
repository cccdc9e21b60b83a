#!/usr/bin/env python3
"""The disk is full, or does not take what imd writes, and then does again: nothing is told that is not
stored, what was there is served, and what was under way goes on. It runs in mounts of its own where it
may have them."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

from imdmodel import bounds_of, judge_bounds, judge_ends, nodes_of, target_of, update
from imdtest import (IMD, Daemon, Skip, add_case, await_that, case, equal, expect, imctl, kill, main, matches,
                     need_imctl, new_path, run)

MARK = "IMD_TEST_PRIVATE_MOUNTS"
BLOCK = 4096


def go_private():
    """Runs this program again where it may mount, if that is possible. Not in a user namespace of its own: there
    the root directory belongs to nobody (user_namespaces(7)), and imd trusts no path."""
    if MARK in os.environ or not shutil.which("unshare"):
        return
    with tempfile.TemporaryDirectory(prefix="imd-test.") as folder:
        tried = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", folder],
                               capture_output=True, check=False)
    if tried.returncode == 0:
        os.environ[MARK] = "yes"
        os.execvp("unshare", ["unshare", "-m", sys.executable, *sys.argv])


class Disk:
    """A small file system in memory."""

    def __init__(self, size):
        if MARK not in os.environ:
            raise Skip("nothing can be mounted here")
        self.path = new_path("disk")
        self.ballast = os.path.join(self.path, "ballast")
        self.state = os.path.join(self.path, "imd.db")
        os.mkdir(self.path)
        status, _, err = run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", self.path)
        if status != 0:
            raise Skip(f"mount: {err}")

    def fill(self, leave=0):
        """Until there is no more room than so many bytes."""
        with open(self.ballast, "ab", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * BLOCK)
            except OSError as problem:
                equal(problem.errno, errno.ENOSPC, "what ends the filling")
            os.truncate(file.fileno(), max(0, os.fstat(file.fileno()).st_size - leave))

    def make_room(self):
        os.unlink(self.ballast)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        run("umount", "-l", self.path)


class Limit:
    """A limit of how large a file of the daemon may become, in place of a disk that is full. Its log has
    the same limit, so there is room for some lines."""

    def __init__(self):
        self.state = new_path("state.db")
        self.imd = None

    def fill(self, leave=0):
        size = max(os.path.getsize(self.state + suffix) for suffix in ("", "-wal"))
        self.imd.limit(resource.RLIMIT_FSIZE, size + leave if leave else BLOCK)

    def make_room(self):
        if self.imd.process.poll() is None:
            self.imd.limit(resource.RLIMIT_FSIZE, resource.prlimit(self.imd.pid, resource.RLIMIT_FSIZE)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def sound(path, pattern="sound"):
    status, out, err = run(IMD, f"--check-state={path}")
    equal((status, err), (0, ""), "--check-state")
    matches(pattern, out, "--check-state")


def start(disk, *options):
    imd = Daemon(f"--state={disk.state}", "--mock-delay=0-2ms", "--heal-delay=1ms", *options)
    disk.imd = imd
    return imd


def what_is_there(client):
    return [str(record) for request in ("SPECS", "NODES all=yes", "GRAPHS", "GROUPS")
            for record in client.ok(request).records]


def refuse_changes(disk, client, request, after=lambda reply: None):
    """Fills the disk, and what room there may be left in the log that SQLite writes ahead, until not even a small
    change is stored. One that fails gives back the room of the log."""
    for note in ("n" * 500, "n"):
        disk.fill()
        for number in range(100, 3000):
            reply = client.ask(f"{request.format(number)} note={note} quiet=yes")
            if reply.code is not None:
                equal(reply.code, "storage", "what is reported")
                matches("full|I/O error", reply.text, "what is reported")
                break
            after(reply)
        else:
            expect(False, "it takes all that is declared")
    disk.fill()


def update_until_it_fails(disk, client, watcher):
    refuse_changes(disk, client, "UPDATE 3 {}", lambda reply: watcher.await_end(reply.end["graph"]))


def unseen(watcher):
    """The events that a watcher has got by now and not taken."""
    watcher.ok("PING")
    events, watcher.events = watcher.events, []
    return events


def told_and_got_over(disk):
    with disk, start(disk) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        update(client, watcher, "UPDATE 3 1 note=before")
        node = client.ok("NODES").records[0]["id"]
        update_until_it_fails(disk, client, watcher)
        revision = client.ok("SPEC").one("SPEC").number("revision")
        there, seq = what_is_there(client), client.stat("events")
        for request in ("UPDATE 5 2 note=full", "UPDATE 0 1", f"KILL {node}", f"MARK {node}", "UPDATE 1 1 group=web"):
            reply = client.ask(request)
            if reply.code != "conflict":  # it may have ended meanwhile
                equal(reply.code, "storage", f"what is told of {request}")
            equal(what_is_there(client), there, f"what is there behind {request}")
        client.fails("SPEC group=web", "not-found")
        equal(client.ok("PLAN 3 9 quiet=yes").end.number("revision"), revision + 1, "revision of a plan")
        equal(client.stat("events"), seq, "the number of the last event")
        equal([str(event) for event in unseen(watcher)], [], "what a watcher sees")
        imd.manager.await_line("STATUS=Cannot store changes; groups: 1, nodes: 3, available: 3.*")
        matches("^<3>storage-failed error=", imd.log(), "the log")
        disk.make_room()
        imd.manager.await_line("STATUS=groups: 1, nodes: 3, available: 3")
        matches("^<5>storage-works ", imd.log(), "the log, before anybody asks for anything")
        equal(client.stat("events"), seq, "the number of the last event, when it works again")
        reply, events = update(client, watcher, "UPDATE 5 2 note=after")
        equal(reply.end.number("revision"), revision + 1, "the revision of the next UPDATE")
        equal(events[0].seq, int(seq) + 1, "the number of the next event")
        equal([node[1:] for node in nodes_of(client)], [("2", "running")] * 5, "nodes")
        expect(int(client.stat("commits-failed")) > 0, "commits-failed")
        there = what_is_there(client)
        imd.stop()
        sound(disk.state)
        with start(disk) as again:
            equal(what_is_there(again.client()), there, "what is there after a restart")


def while_it_fails(client):
    """What is there while one try after another fails. At first a small one may find room."""
    while True:
        worked, failed, there = client.stat("commits"), int(client.stat("commits-failed")), what_is_there(client)
        await_that(lambda: int(client.stat("commits-failed")) >= failed + 2, "it is tried again")
        if client.stat("commits") == worked:
            equal(what_is_there(client), there, "what is there while it fails")
            return there


def stands_still_and_goes_on(disk):
    """The state of the rollout is larger than the room that the log can give."""
    with disk:
        with start(disk) as imd, imd.client() as watcher:
            watcher.ok("WATCH ALL")
            watcher.await_end(imd.client().ok("UPDATE 1000 1 quiet=yes").end["graph"])
        stands_still(disk)


def stands_still(disk):
    with start(disk) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL initial=no")
        events, first = [], int(client.stat("events")) + 1

        def catch_up():
            while first + len(events) <= int(client.stat("events")):
                events.append(watcher.event())

        disk.fill(leave=60 * BLOCK)
        graph = client.ok("UPDATE 1000 2 max-surge=10 quiet=yes").end["graph"]
        imd.manager.await_line("STATUS=Cannot store changes; .*default to revision 2: .* tasks done")
        there = while_it_fails(client)
        catch_up()
        running = client.ok(f"GRAPH {graph}").one("GRAPH")
        equal(running["state"], "running", "the graph")
        expect(0 < running.number("succeeded") < running.number("tasks"), "it was not under way:", running)
        equal(while_it_fails(client), there, "what is there while it stands still")
        equal([str(event) for event in unseen(watcher)], [], "what a watcher sees while it stands still")
        disk.make_room()
        events += watcher.await_end(graph)
        equal(events[-1].type, "graph-succeeded", "the end of the graph")
        equal([event.seq for event in events], list(range(first, first + len(events))), "the numbers of the events")
        equal([node[1:] for node in nodes_of(client)], [("2", "running")] * 1000, "nodes")
        imd.stop()
        sound(disk.state, "live-nodes=1000 ")


def uses_the_room_of_the_log(disk):
    """A disk becomes full in the middle of a rollout, which goes on."""
    with disk, start(disk) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        events, bounds, targets = [], {}, {}
        for request in ("UPDATE 30 1 quiet=yes", "UPDATE 30 2 max-surge=1 quiet=yes"):
            reply = client.ok(request)
            bounds[reply.end["graph"]] = bounds_of(reply)
            targets["default", reply.end["revision"]] = target_of(request)
            events += watcher.await_end(reply.end["graph"])
            disk.fill(leave=40 * BLOCK)
        equal(events[-1].type, "graph-succeeded", "the end of the graph")
        judge_bounds(events, targets, bounds)
        judge_ends(events)
        equal(client.stat("commits-failed"), "0", "commits-failed")
        imd.stop()
        sound(disk.state, "live-nodes=30 ")


def killed_while_it_fails(disk):
    with disk, start(disk) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        update(client, watcher, "UPDATE 3 1 note=before")
        update_until_it_fails(disk, client, watcher)
        for number in range(5):
            client.fails(f"UPDATE {number} 2 note=full", "storage")
        there, seq = what_is_there(client), client.stat("events")
        disk.make_room()
        imd.process.send_signal(signal.SIGKILL)
        imd.process.wait()
        imd.manager.close()
        kill(imd.process)
        with start(disk) as again:
            client, watcher = again.client(), again.client()
            equal(what_is_there(client), there, "what is there after a kill")
            watcher.ok(f"WATCH ALL since={seq}")
            update(client, watcher, "UPDATE 2 3 note=after")
        imd.process.returncode = 0  # its end was wanted
        sound(disk.state)


def ends_while_it_fails(disk):
    with disk, start(disk) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        update(client, watcher, "UPDATE 3 1 note=before")
        update_until_it_fails(disk, client, watcher)
        there = what_is_there(client)
        imd.stop()
        disk.make_room()
        sound(disk.state, "live-nodes=3 ")
        with start(disk) as again:
            equal(what_is_there(again.client()), there, "what is there after a restart")


def states(client):
    return {node["state"] for node in client.ok("NODES").records}


def update_before_the_nodes_are_inspected(disk):
    """The driver has answered once that the nodes run, and the answer could not be stored. A new plan does not want
    these nodes any more, before they are inspected."""
    with disk:
        for delay in ("500ms", "5s", "50s"):  # the disk has to be full before the driver answers
            with Daemon(f"--state={disk.state}", f"--mock-delay={delay}") as imd, imd.client() as client:
                disk.imd = imd
                with imd.client() as watcher:
                    watcher.ok("WATCH ALL")
                    client.ok("UPDATE 3 1 quiet=yes")
                    refuse_changes(disk, client, "UPDATE 0 {} group=filler")
                    in_time = states(client) == {"starting"}
                    if in_time:
                        refused = int(client.stat("commits-failed"))
                        await_that(lambda: int(client.stat("commits-failed")) > refused, "what the driver answered")
                        client.fails("UPDATE 3 2", "storage")
                        equal(states(client), {"starting"}, "nodes")
                    disk.make_room()
                    client.ok("UPDATE 0 1 quiet=yes")
                    while nodes_of(client):
                        watcher.event()
            sound(disk.state, "live-nodes=0 ")
            if in_time:
                return
        expect(False, "the disk was not full in time")


for name, function in (("is-told-and-got-over", told_and_got_over),
                       ("does-not-make-a-node-stand-still", update_before_the_nodes_are_inspected),
                       ("stops-a-rollout-until-there-is-room", stands_still_and_goes_on),
                       ("does-not-stop-a-rollout-if-the-log-has-room", uses_the_room_of_the_log),
                       ("and-a-kill-leave-what-was-told", killed_while_it_fails),
                       ("and-the-end-leave-what-was-told", ends_while_it_fails)):
    add_case(f"a-full-disk-{name}", lambda function=function: function(Disk("16m")))
    add_case(f"a-file-too-large-{name}", lambda function=function: function(Limit()))


def update_often(client, watcher, count):
    for number in range(count):
        watcher.await_end(client.ok(f"UPDATE 3 {number} quiet=yes").end["graph"])


@case
def a_small_disk_takes_any_number_of_changes():
    """The log takes no more room than some part of it, and a restart finds all."""
    with Disk("3m") as disk:
        for life in range(2):
            with start(disk) as imd, imd.client() as client, imd.client() as watcher:
                watcher.ok("WATCH GRAPHS")
                update_often(client, watcher, 300)
                size = os.path.getsize(disk.state + "-wal")
                expect(size < 1536 * 1024, f"the log has {size} bytes")
                equal(client.ok("SPEC").one("SPEC")["revision"], str(300 * (life + 1)), "revision")
                equal(client.stat("commits-failed"), "0", "commits-failed")
        sound(disk.state, "live-nodes=3 ")


@case
def a_large_commit_does_not_leave_a_large_log():
    with Disk("64m") as disk, start(disk) as imd, imd.client() as client, imd.client() as watcher:
        watcher.ok("WATCH GRAPHS")
        watcher.await_end(client.ok("UPDATE 20000 1 quiet=yes").end["graph"])
        watcher.await_end(client.ok("UPDATE 0 1 quiet=yes").end["graph"])
        update_often(client, watcher, 2)
        size = os.path.getsize(disk.state + "-wal")
        expect(size < 5 << 20, f"the log has {size} bytes")


@case
def a_restart_on_a_full_disk_takes_changes():
    """The log that a daemon has left gives the room that they need."""
    with Disk("3m") as disk:
        imd = start(disk)
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH GRAPHS")
        update_often(client, watcher, 50)
        disk.fill()
        there = what_is_there(client)
        imd.process.kill()
        imd.process.wait()
        imd.manager.close()
        kill(imd.process)
        with start(disk) as again, again.client() as client, again.client() as watcher:
            equal(what_is_there(client), there, "what is there after a restart")
            watcher.ok("WATCH GRAPHS")
            update_often(client, watcher, 5)
        sound(disk.state, "live-nodes=3 ")


@case
def a_disk_that_is_full_at_the_start():
    with Disk("256k") as disk:
        disk.fill()
        status, out, err = run(IMD, f"--socket={new_path('sock')}", f"--state={disk.state}")
        equal((status, out, len(err.splitlines())), (1, "", 1), f"what is told: {err}")
        matches(rf"^<3>cannot-start .*{disk.state}.*full", err, "what is told")
        disk.make_room()
        with start(disk) as imd:
            imd.client().ok("UPDATE 2 1")
        disk.fill()
        with start(disk) as imd:  # what there is needs no room
            client = imd.client()
            equal(client.ok("SPEC").one("SPEC")["revision"], "1", "revision")
            equal(len(client.ok("NODES").records), 2, "nodes")
            disk.make_room()
            client.ok("UPDATE 3 1")
        sound(disk.state)


def remount(disk, how):
    return run("mount", "-o", f"remount,{how}", disk.path)


@case
def a_disk_that_is_read_only_at_the_start():
    with Disk("1m") as disk:
        with start(disk) as imd:
            imd.client().ok("UPDATE 2 1")
        status, _, err = remount(disk, "ro")
        if status != 0:
            raise Skip(f"mount: {err}")
        for name in ("imd.db", "other.db", "folder/imd.db"):
            path = os.path.join(disk.path, name)
            status, out, err = run(IMD, f"--socket={new_path('sock')}", f"--state={path}")
            equal((status, out, len(err.splitlines())), (1, "", 1), f"what is told of {path}: {err}")
            matches(rf"^<3>cannot-start .*{disk.path}.*([Rr]ead-only|written)", err, "what is told")
        expect(not os.path.exists(os.path.join(disk.path, "other.db")), "a file was made")
        sound(disk.state, "groups=1 revisions=1 ")
        remount(disk, "rw")
        with start(disk) as imd:
            equal(imd.client().ok("SPEC").one("SPEC")["revision"], "1", "revision")


@case
def a_disk_that_becomes_read_only():
    with Disk("1m") as disk, start(disk) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        update(client, watcher, "UPDATE 2 1")
        status, _, err = remount(disk, "ro")
        if status != 0:
            raise Skip(f"it cannot be made so while a process writes there: {err}")
        client.fails("UPDATE 3 1", "storage")
        remount(disk, "rw")
        update(client, watcher, "UPDATE 3 1")


@case
def there_is_no_room_for_a_copy():
    """Beside the state, or where imctl is to put it."""
    need_imctl()
    with Disk("32m") as disk, Disk("512k") as small, start(disk) as imd, imd.client() as client:
        with imd.client() as watcher:
            watcher.ok("WATCH GRAPHS")
            watcher.await_end(client.ok("UPDATE 5000 1 quiet=yes").end["graph"])
        before = what_is_there(client)
        disk.fill(leave=512 * 1024)
        client.fails("BACKUP", "storage", "cannot be written: database or disk is full")
        equal(sorted(os.listdir(disk.path)), ["ballast", "imd.db", "imd.db-wal"], "the directory of the state")
        equal(what_is_there(client), before, "what is there")
        disk.make_room()
        status, _, err = imctl(imd, "backup", f"{small.path}/copy.db")
        equal((status, err), (1, f'imctl: cannot write "{small.path}/copy.db": No space left on device\n'), "imctl")
        equal(os.listdir(small.path), [], "the directory that imctl was given")
        equal(imctl(imd, "backup", f"{disk.path}/copy.db"), (0, "", ""), "imctl, with room")
        sound(f"{disk.path}/copy.db", "live-nodes=5000 ")


go_private()
main()
