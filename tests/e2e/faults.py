#!/usr/bin/env python3
"""What goes wrong in daemons like this one: descriptors run out, clients misbehave or vanish, sockets are
left behind, memory ends. imd goes on."""

import contextlib
import os
import random
import resource
import shutil
import signal
import socket
import time

from imdtest import (IMD, Client, Daemon, Skip, await_that, case, environment, equal, expect, main,
                     matches, new_path, run, sanitized, spawn)
from users import need_root

CLOCK = ("--mock-delay=700ms",)  # an UPDATE of one node is the clock of a wait


def spends_little(imd, client, watcher, number, what):
    """Over the wait for a node to start, the daemon does next to nothing."""
    graph = client.ok(f"UPDATE 1 {number} group=clock").end["graph"]
    wall, cpu = time.monotonic(), imd.cpu_s()
    watcher.await_end(graph)
    wall, cpu = time.monotonic() - wall, imd.cpu_s() - cpu
    expect(cpu < max(0.1, wall / 4), f"{what}: {cpu:.2f} s of CPU in {wall:.2f} s")


# ---- descriptors ------------------------------------------------------------------------------------

@case
def more_clients_than_may_be():
    with Daemon("--max-clients=5", *CLOCK) as imd:
        clients = [imd.client() for _ in range(5)]
        for client in clients:
            client.ok("PING")
        clients[1].ok("WATCH GRAPHS group=*")
        held = imd.descriptors()
        for _ in range(50):
            extra = imd.client()
            line = extra.line()
            equal((line.kind, line.code), ("ERR", "too-many"), "what one more is told")
            extra.expect_closed()
        spends_little(imd, clients[0], clients[1], 1, "with as many clients as may be")
        equal(clients[0].stat("clients"), "5", "clients")
        await_that(lambda: imd.descriptors() == held, "the descriptors of the others are free")
        clients[4].close()
        await_that(lambda: clients[0].stat("clients") == "4", "one has left")
        imd.client().ok("PING")


@case
def no_more_clients_than_descriptors():
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    with Daemon(*CLOCK, preexec_fn=few) as imd:
        matches("^<4>.*64", imd.log(), "the log says that there are fewer")
        clients = []
        while True:
            extra = imd.client()
            with contextlib.suppress(BrokenPipeError):  # one that is shed is closed at once
                extra.send("PING\n")
            if extra.line().kind == "ERR":
                break
            clients.append(extra)
        expect(10 < len(clients) < 64, f"{len(clients)} clients with 64 descriptors")
        clients[1].ok("WATCH GRAPHS group=*")
        spends_little(imd, clients[0], clients[1], 1, "at the limit of clients")


@case
def out_of_descriptors():
    with Daemon(*CLOCK) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH GRAPHS group=*")
        client.ok("PING")
        imd.limit(resource.RLIMIT_NOFILE, imd.descriptors() + 2)
        held = [imd.client() for _ in range(2)]
        for one in held:
            one.ok("PING")
        shed = 0
        for _ in range(3):
            extra = imd.client()
            line = extra.line()
            equal(line.code, "too-many", "what is told without a descriptor")
            extra.expect_closed()
            shed += 1
        equal(client.stat("errors"), str(shed), "errors that clients were told")
        waiting = [imd.client() for _ in range(20)]
        spends_little(imd, client, watcher, 1, "without descriptors")
        equal(len(client.ok("SPEC").records), 1, "SPEC meanwhile")
        for one in [*waiting, held[0]]:
            one.close()
        again = []

        def served():
            again.append(imd.client())
            again[-1].send("PING\n")
            line = again[-1].line()
            return line is not None and line.kind == "OK"

        await_that(served, "a client is served again")
        spends_little(imd, client, watcher, 2, "with descriptors again")


# ---- clients that do not read -----------------------------------------------------------------------

@case
def a_client_that_sends_and_does_not_read():
    with Daemon(*CLOCK) as imd:
        client, watcher, deaf = imd.client(), imd.client(), imd.client()
        watcher.ok("WATCH GRAPHS group=*")
        before = imd.rss_kib()
        deaf.socket.setblocking(False)
        sent = 0
        for number in range(1, 4):
            try:
                while True:
                    sent += deaf.socket.send(b"HELP\n" * 200)
            except BlockingIOError:
                pass
            spends_little(imd, client, watcher, number, "with a client that does not read")
        grown = imd.rss_kib() - before
        expect(sanitized() or grown < 2048, f"a client that does not read costs {grown} KiB")
        expect(sent < 4 << 20, f"{sent} bytes were taken")
        deaf.socket.setblocking(True)
        whole, part = divmod(sent, 5)
        deaf.half_close()
        for _ in range(whole):
            expect(len(deaf.reply().records) > 15, "HELP")
        deaf.expect_closed()
        expect(part in range(5), part)


@case
def a_full_input_does_not_spin():
    """A line of almost all that is read at once, and then nothing."""
    with Daemon(*CLOCK) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH GRAPHS group=*")
        stuck = []
        for size in (4095, 4096, 4097, 4098, 16384, 65536):
            stuck.append(imd.client())
            stuck[-1].send("x" * size)
        spends_little(imd, client, watcher, 1, "with lines that do not end")
        for one in stuck:
            one.send("\nPING\n")
            one.reply()
            equal(str(one.reply().end), "OK", "PING")


# ---- clients that vanish ----------------------------------------------------------------------------

def vanish_idle(client, _):
    client.ok("PING")


def vanish_at_once(_, __):
    pass


def vanish_in_a_line(client, _):
    client.send("UPDATE 3 ")


def vanish_in_a_long_line(client, _):
    client.send("x" * 20000)


def vanish_watching(client, chance):
    client.ok("WATCH ALL group=*" + chance.choice(("", " initial=no")))


def vanish_watching_half_closed(client, _):
    client.ok("WATCH ALL group=*")
    client.half_close()


def vanish_before_the_answer(client, chance):
    client.send(chance.choice(("UPDATE 40 3 group=x\n", "NODES group=*\n", "PLAN 5000 9\n",
                               "UPDATE 0 1 group=x\nUPDATE 9 2 group=x\nNODES group=x\nSPEC\n")))


def vanish_in_a_listing(client, _):
    client.send("NODES group=big\n")
    client.socket.recv(1000)


def vanish_before_the_listing_of_a_watch(client, _):
    client.send("WATCH ALL group=*\nPING\nNODES group=big\n")
    client.socket.recv(1000)


def vanish_with_replies_unread(client, _):
    client.send("HELP\n" * 500)


def vanish_behind_quit(client, _):
    client.send("WATCH ALL\nQUIT\nPING\n")


def vanish_with_all_requests(client, chance):
    requests = ["WATCH NODES", "UNWATCH", "UPDATE 3 1 group=x", "NODES group=big", "KILL ffff", "x" * 5000,
                "QUIT", "PLAN 100 3 group=big", "SPECS", "HELP", "\0", "GRAPHS group=*"]
    client.send("".join(chance.choice(requests) + "\n" for _ in range(20)))


def vanish_paused(client, _):
    """Watches, is blocked, and has another reply to get."""
    client.send("WATCH ALL group=*\n" + "NODES group=big\n" * 3)


STATES = [function for name, function in list(globals().items()) if name.startswith("vanish_")]


@case
def clients_vanish_in_every_state():
    seed = random.randrange(1 << 32)
    print(f"# seed {seed}")
    chance = random.Random(seed)
    with Daemon("--mock-delay=0-1ms", "--keep-graphs=3") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH GRAPHS group=*")
        watcher.await_end(client.ok("UPDATE 3000 1 group=big quiet=yes").end["graph"])
        watcher.ok("UNWATCH")
        held = imd.descriptors()
        for number in range(12 * len(STATES)):
            state = STATES[number % len(STATES)]
            one = imd.client()
            state(one, chance)
            if number % 3 == 0:
                client.ok(f"UPDATE {chance.randrange(50)} {number} group=y quiet=yes")
            elif number % 3 == 1:  # so that something has been answered and is not read
                client.ok("NODES group=y")
            one.close()
            equal(str(client.ok("PING").end), "OK", state.__name__)
        await_that(lambda: client.stat("clients") == "2" and imd.descriptors() == held,
                   lambda: f"all have left: {client.stat('clients')} clients, "
                   f"{imd.descriptors() - held} descriptors more")
        equal(client.stat("watchers"), "0", "watchers")
        watcher.ok("WATCH ALL group=*")
        # In a group of its own: what is in flight in another may end otherwise than planned.
        graph = client.ok("UPDATE 4 9999 group=z").end["graph"]
        equal(watcher.await_end(graph)[-1].type, "graph-succeeded", "a change after all that")


@case
def a_watch_that_begins_when_the_client_is_gone():
    with Daemon() as imd:
        client = imd.client()
        for _ in range(50):
            one = imd.client()
            one.send("HELP\nSPECS\nWATCH NODES\n")
            one.close()
        client.ok("PING")
        await_that(lambda: client.stat("clients") == "1",
                   lambda: f"all have left: {client.stat('clients')} clients")


@case
def a_process_that_is_killed_while_it_watches():
    if not shutil.which("socat"):
        raise Skip("socat is not installed")
    with Daemon(*CLOCK) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH GRAPHS group=*")
        processes = []
        for _ in range(3):
            processes.append(spawn(["socat", "-u", f"UNIX:{imd.path}", "OPEN:/dev/null"]))
            processes.append(spawn(["socat", "-", f"UNIX:{imd.path}"], stdin=-1, stdout=-1))
            processes[-1].stdin.write(b"WATCH ALL\n")
            processes[-1].stdin.flush()
        await_that(lambda: client.stat("watchers") == "4" and client.stat("clients") == "8",
                   "they are there")
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait()
        await_that(lambda: client.stat("clients") == "2", "they are gone")
        spends_little(imd, client, watcher, 1, "after clients were killed")


@case
def sigpipe_is_nothing():
    with Daemon("--mock-delay=0") as imd:
        client = imd.client()
        for _ in range(20):
            os.kill(imd.pid, signal.SIGPIPE)
            client.ok("PING")
            one = imd.client()
            one.send("WATCH ALL\n" + "HELP\n" * 1000)
            one.close()
        client.ok("UPDATE 3 1")


@case
def under_the_sanitizer_all_that_is_freed():
    """Frees in every order, for AddressSanitizer to see: callbacks behind a free, and the like."""
    if not sanitized():
        raise Skip("imd is built without AddressSanitizer")
    chance = random.Random(3)
    with Daemon("--mock-delay=0-1ms", "--keep-events=200", "--keep-graphs=1", "--keep-nodes=5",
                "--keep-specs=2", "--keep-tasks=10", "--mock-flaky=0.2", "--retry-delay=1ms",
                "--heal-delay=1ms", "--heal-max=1ms") as imd:
        client, others = imd.client(), []
        for number in range(400):
            others.append(imd.client())
            chance.choice(STATES)(others[-1], chance) if number % 2 else None
            if len(others) > 10:
                others.pop(chance.randrange(10)).close()
            client.ok(f"UPDATE {chance.randrange(9)} {chance.randrange(4)} "
                      f"group=g{chance.randrange(4)} quiet=yes")
            for node in client.ok("NODES group=*").records[:1]:
                client.ask(chance.choice(("KILL ", "MARK ", "NODE ")) + node["id"])
            for graph in client.ok("GRAPHS group=*").records[-1:]:
                client.ask(chance.choice(("CANCEL ", "TASKS ", "WATCH TASKS ")) + graph["id"])
            client.ok("UNWATCH")


# ---- memory -----------------------------------------------------------------------------------------

@case
def a_plan_for_which_there_is_no_memory():
    if sanitized():
        raise Skip("the sanitizer maps what it likes")
    with Daemon("--mock-delay=0") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        watcher.await_end(client.ok("UPDATE 3 1").end["graph"])
        with open(f"/proc/{imd.pid}/statm", encoding="ascii") as file:
            mapped = int(file.read().split()[0]) * resource.getpagesize()
        imd.limit(resource.RLIMIT_AS, mapped + (24 << 20))
        for request in ("UPDATE 1000000 2 quiet=yes", "PLAN 1000000 2", "PLAN 900000 1 max-surge=3"):
            reply = client.ask(request)
            equal(reply.code, "internal", f"{request}: {reply}")
            matches("memory", reply.text, request)
        equal(client.ok("SPEC").one("SPEC")["revision"], "1", "revision")
        equal(len(client.ok("NODES").records), 3, "nodes")
        watcher.await_end(client.ok("UPDATE 5 2").end["graph"])
        equal(len(client.ok("NODES").records), 5, "nodes after a smaller change")


# ---- sockets ----------------------------------------------------------------------------------------

def refused(path, pattern, *options):
    """imd must say in one line why it cannot listen, and end with 1."""
    status, out, err = run(IMD, f"--socket={path}", "--mock-delay=0", *options)
    equal((status, out), (1, ""), f"status and output of imd at {path}: {err}")
    equal(len(err.splitlines()), 1, f"lines of {err!r}")
    matches(pattern, err, path)
    matches(r"^<3>", err, path)


@case
def a_stale_socket_is_replaced():
    path = new_path("stale")
    left = socket.socket(socket.AF_UNIX)
    left.bind(path)
    left.close()
    with Daemon(path=path) as imd:
        imd.client().ok("PING")
    expect(not os.path.exists(path), "the socket file is left")


@case
def what_has_become_of_another_is_left_alone():
    path = new_path("taken")
    with Daemon(path=path) as first:
        first.client().ok("PING")
        os.unlink(path)
        os.unlink(path + ".lock")
        with Daemon(path=path) as second:
            first.stop()
            second.client().ok("PING")


@case
def a_killed_daemon_is_replaced():
    path = new_path("killed")
    first = Daemon(path=path)
    first.client().ok("PING")
    first.process.kill()
    first.process.wait()
    expect(os.path.exists(path), "a killed daemon left no socket, so nothing is tried")
    with Daemon(path=path) as imd:
        imd.client().ok("PING")


@case
def a_socket_that_lives_is_left_alone():
    path = new_path("living")
    other = socket.socket(socket.AF_UNIX)
    other.bind(path)
    other.listen()
    identity = os.stat(path)
    refused(path, "another daemon")
    found = os.stat(path)
    equal((found.st_ino, found.st_mode, found.st_mtime_ns), (identity.st_ino, identity.st_mode, identity.st_mtime_ns),
          "the socket file of another")
    Client(path).close()


@case
def root_makes_no_socket_where_another_user_decides():
    need_root()
    theirs, ours = new_path("theirs"), new_path("ours")
    for folder in (theirs, ours):
        os.mkdir(folder)
    os.symlink(ours, f"{theirs}/link")
    os.lchown(f"{theirs}/link", 61001, 61001)
    os.chown(theirs, 61001, 61001)
    for path in (f"{theirs}/sock", f"{theirs}/link/sock"):
        refused(path, f"{theirs} belongs to user 61001; it must belong to root")
    equal((os.listdir(theirs), os.listdir(ours)), (["link"], []), "what was made")


@case
def what_is_no_socket_is_left_alone():
    path = new_path("file")
    with open(path, "w", encoding="ascii") as file:
        file.write("mine\n")
    refused(path, "not a socket")
    with open(path, encoding="ascii") as file:
        equal(file.read(), "mine\n", "the file")
    folder = new_path("directory")
    os.mkdir(folder)
    refused(folder, "not a socket")
    expect(os.path.isdir(folder), "the directory is gone")
    link = new_path("link")
    os.symlink(path, link)
    refused(link, "not a socket")
    expect(os.path.islink(link), "the link is gone")


@case
def two_daemons_at_one_path():
    with Daemon("--mock-delay=0") as imd:
        client = imd.client()
        client.ok("UPDATE 2 1")
        for _ in range(3):
            refused(imd.path, "another daemon")
        equal(client.ok("SPEC").one("SPEC")["revision"], "1", "revision")
        Client(imd.path).ok("PING")
    with Daemon(path=imd.path) as imd:
        imd.client().ok("PING")


@case
def a_crowd_of_daemons_at_one_path():
    """One of them serves; the others say so and end with 1."""
    path = new_path("crowd")
    crowd = [spawn([IMD, f"--socket={path}"], stderr=-1, env=environment()) for _ in range(8)]
    await_that(lambda: sum(process.poll() is None for process in crowd) <= 1, "the others end")
    ended = [process for process in crowd if process.poll() is not None]
    equal([process.returncode for process in ended], [1] * 7, "exit statuses")
    for process in ended:
        matches("another daemon", process.stderr.read().decode(), "the message")
    Client(path).ok("PING")
    expect(len(crowd) - len(ended) == 1, "none serves")


@case
def wall_time_decides_nothing():
    raise Skip("the clock cannot be set here without harm to others; the simulation has its own clocks")


main()
