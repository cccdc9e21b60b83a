#!/usr/bin/env python3
"""Copies of the state while the daemon is at work: whole, sound, and good to start on."""

import os
import stat
import subprocess

from imdmodel import nodes_of
from imdtest import IMD, IMCTL, Daemon, case, equal, expect, main, matches, need_imctl, new_path, run


def check(path):
    status, out, err = run(IMD, f"--check-state={path}")
    equal(status, 0, "--check-state", err)
    matches(r": sound: groups=\d+ revisions=\d+ graphs=\d+ live-nodes=\d+ events=\d+$", out)


@case
def a_copy_starts_elsewhere():
    path = new_path("copy.db")
    with Daemon("--mock-delay=0") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH GRAPHS")
        watcher.await_end(client.ok('UPDATE 5 1 note="of old"').end["graph"])
        client.ok(f"BACKUP {path}")
        nodes, specs = nodes_of(client), [str(line) for line in client.ok("SPECS").records]
        graphs = [str(line) for line in client.ok("GRAPHS").records]
        watcher.await_end(client.ok("UPDATE 0 1").end["graph"])
    equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "the mode of the copy")
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
            paths.append(new_path("copy.db"))
            other.ok(f"BACKUP {paths[-1]}")
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
def what_is_there_is_never_written_over():
    path = new_path("mine")
    with open(path, "w", encoding="ascii") as file:
        file.write("mine")
    with Daemon() as imd:
        client = imd.client()
        client.fails(f"BACKUP {path}", "conflict", "File exists")
        client.fails(f"BACKUP {new_path('nowhere')}/copy.db", "storage", "No such file")
        client.fails("BACKUP copy.db", "bad-argument", "must begin with /")
        client.fails("BACKUP", "bad-argument", "takes 1 argument")
    with open(path, encoding="ascii") as file:
        equal(file.read(), "mine", "what was there")


@case
def nothing_beside_it_is_touched():
    """Neither files that SQLite would name so, nor what a link of that name leads to."""
    directory = new_path("directory")
    os.mkdir(directory)
    path = os.path.join(directory, "copy.db")
    for name in ("copy.db-wal", "copy.db-journal", "copy.db-copy", "elsewhere"):
        with open(os.path.join(directory, name), "w", encoding="ascii") as file:
            file.write(name)
    os.symlink("elsewhere", os.path.join(directory, "link"))
    os.symlink("nowhere", os.path.join(directory, "dangling"))
    with Daemon() as imd:
        client = imd.client()
        client.ok(f"BACKUP {path}")
        for link in ("link", "dangling"):
            client.fails(f"BACKUP {os.path.join(directory, link)}", "conflict", "File exists")
    for name in ("copy.db-wal", "copy.db-journal", "copy.db-copy", "elsewhere"):
        with open(os.path.join(directory, name), encoding="ascii") as file:
            equal(file.read(), name, "what was beside it")
    equal(sorted(os.listdir(directory)), ["copy.db", "copy.db-copy", "copy.db-journal", "copy.db-wal",
                                          "dangling", "elsewhere", "link"], "names")


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
            matches("its log .*-wal is there", err, "what it says")
        equal(os.path.getsize(log), size, "the log is as it was")


@case
def a_client_that_asks_and_goes_is_no_harm():
    path = new_path("copy.db")
    with Daemon("--mock-delay=0") as imd:
        client = imd.client()
        client.ok("UPDATE 2000 1 quiet=yes")
        leaver = imd.client()
        leaver.send(f"BACKUP {path}\n")
        leaver.close()
        client.ok("PING")
        second = new_path("copy.db")
        while client.ask(f"BACKUP {second}").code:  # the first is still being made
            pass
    check(second)


@case
def imctl_makes_paths_absolute():
    need_imctl()
    directory = new_path("directory")
    os.mkdir(directory)
    with Daemon() as imd:
        done = subprocess.run([IMCTL, "-s", imd.path, "backup", "copy.db"], cwd=directory,
                              capture_output=True, text=True, check=False)
        equal((done.returncode, done.stdout, done.stderr), (0, "", ""), "imctl backup")
        done = subprocess.run([IMCTL, "-s", imd.path, "backup", "copy.db"], cwd=directory,
                              capture_output=True, text=True, check=False)
        equal(done.returncode, 1, "imctl backup onto a file")
    check(os.path.join(directory, "copy.db"))


main()
