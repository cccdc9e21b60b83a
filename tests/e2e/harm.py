#!/usr/bin/env python3
"""Somebody removes, renames, replaces or cuts the files of the state while the daemon uses them: no change is answered
that a restart would not find, a backup saves all that was answered, and what is put back is used again."""

import os
import shutil

from imdtest import (IMD, TIMEOUT_S, Daemon, backup, case, add_case, equal, expect, kill, main, matches, new_path, run, write)
from statelib import checked, prints

OPTIONS = ("--mock-delay=0",)


class Place:
    """A directory of its own for a state."""

    def __init__(self):
        self.top = new_path("place")
        self.folder = os.path.join(self.top, "folder")
        self.aside = os.path.join(self.top, "aside")
        os.makedirs(self.folder, mode=0o700)
        os.mkdir(self.aside, mode=0o700)
        self.state = os.path.join(self.folder, "imd.db")
        self.log = self.state + "-wal"

    def daemon(self):
        return Daemon(f"--state={self.state}", *OPTIONS)


def move(path, place):
    os.rename(path, os.path.join(place.aside, os.path.basename(path)))


def move_back(path, place):
    os.rename(os.path.join(place.aside, os.path.basename(path)), path)


def replace(path, place):
    """By a copy that differs from it in nothing but its inode."""
    move(path, place)
    moved = os.path.join(place.aside, os.path.basename(path))
    shutil.copytree(moved, path) if os.path.isdir(moved) else shutil.copy2(moved, path)


def undo_replace(path, place):
    shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    move_back(path, place)


# What happens to a path, how it is undone, and what is reported.
HARMS = {"moved": (move, move_back, "is gone; move it back"),
         "replaced": (replace, undo_replace, "was replaced; move it back")}
PATHS = {"database": "state", "log": "log", "directory": "folder"}


def declare(client, watcher, request):
    return watcher.await_end(client.ok(request).end["graph"])


def what_is_there(client):
    return [str(record) for request in ("SPECS", "NODES all=yes", "GRAPHS") for record in client.ok(request).records]


def refuses(client, path, pattern):
    """Nothing is changed, whatever is requested, and however often."""
    there, seq = what_is_there(client), client.stat("events")
    node = client.ok("NODES").records[0]["id"]
    for request in ("UPDATE 5 2", f"KILL {node}", f"MARK {node}", "UPDATE 1 1 group=new", "UPDATE 5 2"):
        reply = client.fails(request, "storage", pattern)
        expect(path in reply.text, "the path is not named:", reply.text)
        equal(what_is_there(client), there, f"what is there after {request}")
    equal(client.stat("events"), seq, "the number of the last event")


def save(client, there):
    """A copy on which a daemon has all that was answered."""
    path = backup(client, new_path("copy.db"))
    checked(path, 0, "sound")
    with Daemon(f"--state={path}", *OPTIONS) as imd, imd.client() as other:
        equal(what_is_there(other), there, "what is there in the copy")


def stop_lost(imd, pattern):
    """Ends a daemon that cannot save what it has answered: it says so, and that is no success."""
    imd.process.terminate()
    equal(imd.process.wait(TIMEOUT_S), 1, "exit status of imd; its log: " + imd.log()[-2000:])
    imd.manager.close()
    matches(f"<3>state-lost error=.*{pattern}", imd.log(), "the log")


LOST = "what was answered is lost unless it is moved back before the next start"


def is_undone(kind, harm):
    place = Place()
    path = getattr(place, PATHS[kind])
    do, undo, pattern = HARMS[harm]
    with place.daemon() as imd, imd.client() as client, imd.client() as watcher:
        watcher.ok("WATCH GRAPHS")
        declare(client, watcher, "UPDATE 3 1")
        do(path, place)
        refuses(client, path, pattern)
        matches(f"<3>storage-failed error=.*{pattern}.*{path}", imd.log(), "the log")
        save(client, what_is_there(client))
        undo(path, place)
        imd.manager.await_line("STATUS=Cannot store changes; .*")
        imd.manager.await_line("STATUS=groups: .*")
        declare(client, watcher, "UPDATE 5 2")
        there = what_is_there(client)
    checked(place.state, 0, "sound")
    with place.daemon() as imd, imd.client() as client:
        equal(what_is_there(client), there, "what is there after a restart")


def ends(kind, harm):
    """Nothing is changed that is in the place of the files; and nothing is lost with what was moved."""
    place = Place()
    path = getattr(place, PATHS[kind])
    do, undo, pattern = HARMS[harm]
    with place.daemon() as imd, imd.client() as client, imd.client() as watcher:
        watcher.ok("WATCH GRAPHS")
        declare(client, watcher, "UPDATE 3 1")
        do(path, place)
        client.fails("UPDATE 5 2", "storage", pattern)
        there = what_is_there(client)
        before = {name: prints(os.path.join(place.folder, name)) for name in os.listdir(place.folder)} \
            if os.path.exists(place.folder) else None
        if kind == "log":
            imd.stop()
            expect("state-lost" not in imd.log(), "it is saved, but the log says:", imd.log())
        else:
            stop_lost(imd, f"{pattern.partition(';')[0]}; {LOST}: {path}")
    if kind == "log": # the database has taken what was in it
        del before[os.path.basename(place.state)]
        equal({name: prints(os.path.join(place.folder, name)) for name in before}, before, "the log after the end")
    elif before is not None:
        equal({name: prints(os.path.join(place.folder, name)) for name in os.listdir(place.folder)}, before,
              "the directory of the state after the end")
    if kind != "log":
        undo(path, place)
    with place.daemon() as imd, imd.client() as client:
        equal(what_is_there(client), there, "what is there after a restart")


for kind_name in PATHS:
    for harm_name in HARMS:
        add_case(f"a-{kind_name}-that-is-{harm_name}-and-put-back",
                 lambda kind=kind_name, harm=harm_name: is_undone(kind, harm))
        add_case(f"a-{kind_name}-that-is-{harm_name}-until-the-end",
                 lambda kind=kind_name, harm=harm_name: ends(kind, harm))


def die(imd):
    imd.process.kill()
    imd.process.wait()
    imd.manager.close()
    kill(imd.process)


@case
def a_log_that_is_removed_loses_nothing_that_was_answered():
    """Once the daemon has seen that, also if it is killed."""
    place = Place()
    imd = place.daemon()
    client, watcher = imd.client(), imd.client()
    watcher.ok("WATCH GRAPHS")
    declare(client, watcher, "UPDATE 3 1")
    os.unlink(place.log)
    refuses(client, place.log, "is gone")
    there = what_is_there(client)
    die(imd)
    with place.daemon() as imd, imd.client() as client:
        equal(what_is_there(client), there, "what is there after a kill")


@case
def a_log_that_is_replaced_by_another_file_loses_nothing_that_was_answered():
    """Neither with an end of the daemon nor if it is killed; and the other file is left alone."""
    for end in (Daemon.stop, die):
        place = Place()
        imd = place.daemon()
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH GRAPHS")
        declare(client, watcher, "UPDATE 3 1")
        move(place.log, place)
        write(place.log, "")
        foreign = os.stat(place.log)
        refuses(client, place.log, "was replaced")
        there = what_is_there(client)
        end(imd)
        equal(os.stat(place.log)[:-3], foreign[:-3], "the file at the path of the log") # but for its times
        with place.daemon() as imd, imd.client() as client:
            equal(what_is_there(client), there, f"what is there after {end.__name__}")


@case
def a_log_of_an_earlier_moment_is_refused():
    """It would take back what was answered since."""
    place = Place()
    with place.daemon() as imd, imd.client() as client, imd.client() as watcher:
        watcher.ok("WATCH GRAPHS")
        declare(client, watcher, "UPDATE 3 1")
        earlier = shutil.copy(place.log, place.aside)
        declare(client, watcher, "UPDATE 5 2")
        there = what_is_there(client)
        os.replace(earlier, place.log)
        client.fails("UPDATE 6 3", "storage", "was replaced")
    status, _, err = run(IMD, f"--state={place.state}", f"--socket={new_path('sock')}")
    equal(status, 1, "exit status of a start", err)
    matches("is not the log of imd.db: the file is newer", err, "what is said")
    os.unlink(place.log)
    with place.daemon() as imd, imd.client() as client:
        equal(what_is_there(client), there, "what is there without that log")


@case
def a_directory_that_is_removed_is_saved_by_a_backup():
    place = Place()
    with place.daemon() as imd, imd.client() as client, imd.client() as watcher:
        watcher.ok("WATCH GRAPHS")
        declare(client, watcher, "UPDATE 3 1")
        shutil.rmtree(place.folder)
        refuses(client, place.folder, "the directory of the state is gone")
        save(client, what_is_there(client))
        stop_lost(imd, f"the directory of the state is gone; {LOST}")
    expect(not os.path.exists(place.folder), "the directory was made again")


@case
def a_link_that_leads_elsewhere_is_a_directory_that_was_replaced():
    place = Place()
    link = os.path.join(place.top, "link")
    os.symlink(place.folder, link)
    with Daemon(f"--state={link}/imd.db", *OPTIONS) as imd, imd.client() as client, imd.client() as watcher:
        watcher.ok("WATCH GRAPHS")
        declare(client, watcher, "UPDATE 3 1")
        os.unlink(link)
        os.symlink(place.aside, link)
        refuses(client, link, "the directory of the state was replaced")
        os.unlink(link)
        os.symlink(place.folder, link)
        declare(client, watcher, "UPDATE 5 2")


@case
def a_log_that_is_cut_loses_nothing_that_was_answered():
    """The daemon has it in memory, and writes it again."""
    for size in (0, 31, 32, 4096, 10000):
        place = Place()
        imd = place.daemon()
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH GRAPHS")
        declare(client, watcher, "UPDATE 3 1")
        there, seq = what_is_there(client), client.stat("events")
        os.truncate(place.log, size)
        reply = client.fails("UPDATE 5 2", "storage", f"was cut to {size} of [0-9]+ bytes; try again")
        expect(place.log in reply.text, "the path is not named:", reply.text)
        equal((what_is_there(client), client.stat("events")), (there, seq), "what is there when it failed")
        matches("<3>storage-failed error=.* was cut to", imd.log(), "the log")
        save(client, there)
        declare(client, watcher, "UPDATE 5 2")
        there = what_is_there(client)
        die(imd)
        with place.daemon() as imd, imd.client() as client:
            equal(what_is_there(client), there, "what is there after a kill")


@case
def a_database_that_is_cut_is_reported():
    """What was in it is lost; nothing that is answered depends on it."""
    for size in (0, 1, 4096):
        place = Place()
        with place.daemon() as imd, imd.client() as client, imd.client() as watcher:
            watcher.ok("WATCH GRAPHS")
            declare(client, watcher, "UPDATE 3 1")
            os.truncate(place.state, size)
            for _ in range(3):
                client.fails("UPDATE 5 2", "storage", f"the state file was cut to {size} of [0-9]+ bytes; save the state with")
            stop_lost(imd, f"the state file was cut to {size} of [0-9]+ bytes; restore a copy")
            equal(os.path.getsize(place.state), size, "the size of the file")


@case
def a_rollout_stands_still_until_the_log_is_back():
    place = Place()
    with place.daemon() as imd, imd.client() as client, imd.client() as watcher:
        watcher.ok("WATCH ALL")
        graph = client.ok("UPDATE 500 1 max-parallel=1 quiet=yes").end["graph"]
        events = [watcher.event() for _ in range(20)]
        move(place.log, place)
        imd.manager.await_line("STATUS=Cannot store changes; .*")
        there, seq = what_is_there(client), int(client.stat("events"))
        while events[-1].seq < seq:
            events.append(watcher.event())
        save_path = backup(client, new_path("copy.db"))
        checked(save_path, 0, "sound")
        equal(what_is_there(client), there, "what is there while the log is gone")
        move_back(place.log, place)
        events += watcher.await_end(graph)
        equal([event.seq for event in events], list(range(1, len(events) + 1)), "the numbers of the events")
        equal(events[-1].type, "graph-succeeded", "the end of the graph")


@case
def an_end_says_what_nobody_has_seen_before():
    """The files are checked at the end, also if nothing was changed since they were removed."""
    place = Place()
    with place.daemon() as imd, imd.client() as client, imd.client() as watcher:
        watcher.ok("WATCH GRAPHS")
        declare(client, watcher, "UPDATE 3 1")
        shutil.rmtree(place.folder)
        stop_lost(imd, f"the directory of the state is gone; {LOST}: {place.folder}")


@case
def a_start_on_what_is_left_of_a_removed_directory():
    """The next start makes another state; a copy that was saved takes its place."""
    place = Place()
    with place.daemon() as imd, imd.client() as client, imd.client() as watcher:
        watcher.ok("WATCH GRAPHS")
        declare(client, watcher, "UPDATE 3 1")
        os.unlink(place.state)
        refuses(client, place.state, "the state file is gone")
        there = what_is_there(client)
        copy = backup(client, new_path("copy.db"))
        stop_lost(imd, f"the state file is gone; {LOST}")
    status, _, err = run(IMD, f"--state={place.state}", f"--socket={new_path('sock')}")
    equal(status, 1, "exit status of a start on a log alone", err)
    matches("but its log .*-wal exists: move the file back, or restore a copy with imd --restore=COPY", err,
            "what is said")
    expect("remove" not in err, "it says to remove what was answered:", err)
    os.unlink(place.log)
    shutil.copy(copy, place.state)
    os.chmod(place.state, 0o600)
    with place.daemon() as imd, imd.client() as client:
        equal(what_is_there(client), there, "what is there on the copy")


main()
