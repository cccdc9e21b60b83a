#!/usr/bin/env python3
"""imd as a process: options and their errors, paths that will not do, signals, what it tells a service
manager and its log, and what it costs when idle."""

import os
import re
import shutil
import signal
import socket
import stat

from imdtest import (IMD, STAMP, TIMEOUT_S, Client, Daemon, Failed, Skip, await_that, case, environment, equal,
                     expect, main, matches, new_path, reload, run, sanitized, spawn)


def refused(status, pattern, *arguments, **options):
    """imd must say one line that matches, and end with this status."""
    got, out, err = run(IMD, *arguments, **options)
    equal(got, status, f"exit status of imd {arguments}: {err!r}")
    equal(out, "", f"standard output of imd {arguments}")
    equal(len(err.splitlines()), 1, f"lines of {err!r}")
    matches(pattern, err, f"imd {arguments}")


# ---- options ----------------------------------------------------------------------------------------

NUMBERS = {"max-clients": (1, 1000000), "max-clients-per-user": (0, 1000000),
           "max-parallel": (0, 1000000), "retries": (0, 1000),
           "keep-events": (1, 100000000), "keep-graphs": (1, 1000000), "keep-tasks": (0, (1 << 32) - 1),
           "keep-specs": (1, 1000000), "keep-nodes": (0, 1000000), "max-groups": (1, 1000000),
           "mock-seed": (0, (1 << 64) - 1)}
DURATIONS = ("send-timeout", "min-ready", "retry-delay", "retry-max", "heal-delay", "heal-max", "heal-reset")
OTHERS = {
    "mock-delay": ("", "x", "3s-", "-3s", "3s-1s", "1-2-3", "25h", "1s-25h", "1.5s"),
    "mock-fail-version": ("", "x", "1,", ",1", "1,,2", "-1", "9223372036854775808", "1 2"),
    "mock-flaky": ("", "2", "-0.1", "1.1", "x", "0.1234567", "1e-1", "50%"),
    "max-surge": ("", "-1", "x", "1.5", "1001%", "%"),
    "max-unavailable": ("", "-1", "101%", "5%%"),
    "socket-mode": ("", "8", "rw", "01000", "-1", "0x1ff"),
    "log-level": ("", "loud", "INFO", "7"),
    "admin-group": ("no-such-group", " "), "read-group": ("no-such-group", " "),
    "config": ("",), "state": ("",), "check-state": ("",),
    "driver": ("", "docker", "MOCK"),
    "socket": ("",),
}


@case
def options_that_are_wrong():
    for name, (low, high) in NUMBERS.items():
        for value in ("", "x", "-1", "+1", "1.5", "0x1", " 1", str(high + 1), *([str(low - 1)] * (low > 0))):
            refused(2, rf"^imd: --{name} must be .*{low} to {high}", f"--{name}={value}")
    for name in DURATIONS:
        for value in ("", "x", "-1s", "1.5s", "1d", "25h", "3 s"):
            refused(2, rf"^imd: --{name} must be .*24h", f"--{name}={value}")
    for name, values in OTHERS.items():
        for value in values:
            refused(2, rf"^imd: --{name}(: no such group:| must )", f"--{name}={value}")


@case
def options_that_are_unknown_or_twice():
    refused(2, "unknown option --colour", "--colour")
    refused(2, "unknown option --colour", "--colour=red")
    refused(2, "unknown option -x", "-x")
    refused(2, "unknown option -x", "-xs", "/nowhere")
    refused(2, "--socket needs a value", "--socket")
    refused(2, "--socket needs a value", "-s")
    refused(2, "--help takes no value", "--help=yes")
    refused(2, "--socket is given twice", "-s", "/a", "--socket=/b")
    for name in [*NUMBERS, *DURATIONS]:
        refused(2, f"--{name} is given twice", f"--{name}=1", f"--{name}=1")
    refused(2, "options only.*3", "3", "1")
    refused(2, "retry-max", "--retry-delay=2s", "--retry-max=1s")
    refused(2, "heal-max", "--heal-delay=2s", "--heal-max=1s")


@case
def help_and_version():
    for option in ("-h", "--help"):
        status, out, err = run(IMD, option)
        equal((status, err), (0, ""), option)
        matches("^usage: imd", out, option)
        for name in [*NUMBERS, *DURATIONS, *OTHERS]:
            matches(rf"--{name}=", out, option)
    for option in ("-V", "--version"):
        status, out, err = run(IMD, option)
        equal((status, err), (0, ""), option)
        matches(r"\Aimd [0-9]+\.[0-9]+\.[0-9]+\n\Z", out, option)


@case
def options_take_effect():
    with Daemon("--mock-delay=0", "--max-surge=50%", "--max-unavailable=0", "--max-parallel=7",
                "--min-ready=1500ms", "--socket-mode=0600") as imd:
        equal(stat.S_IMODE(os.stat(imd.path).st_mode), 0o600, "mode of the socket")
        client = imd.client()
        client.ok("UPDATE 0 1")
        spec = client.ok("SPEC").one("SPEC")
        equal([spec[key] for key in ("max-surge", "max-unavailable", "max-parallel", "min-ready")],
              ["50%", "0", "7", "1500ms"], "policy")
    with Daemon() as imd:
        equal(stat.S_IMODE(os.stat(imd.path).st_mode), 0o660, "mode of the socket by default")


# ---- paths ------------------------------------------------------------------------------------------

@case
def paths_that_will_not_do():
    refused(1, "No such file", "-s", new_path("nowhere") + "/sock")
    refused(1, "bytes", "-s", "/tmp/" + "x" * 200)
    plain = new_path("plain")
    with open(plain, "w", encoding="ascii"):
        pass
    refused(1, "Not a directory", "-s", plain + "/sock")


@case
def no_permission():
    folder = new_path("closed")
    os.mkdir(folder)
    options = {}
    if os.getuid() == 0:
        options = {"user": 65534, "group": 65534, "extra_groups": []}
        os.chmod(os.path.dirname(folder), 0o755)
        os.chmod(folder, 0o755)
        try:
            run(IMD, "--version", **options)
        except PermissionError:
            raise Skip("another user cannot run the program that was built here") from None
    else:
        os.chmod(folder, 0o500)
    refused(1, "Permission denied", "-s", os.path.join(folder, "sock"), **options)
    equal(os.listdir(folder), [], "what is left")


# ---- signals ----------------------------------------------------------------------------------------

def ends_by(number):
    imd = Daemon("--mock-delay=1h")
    clients = [imd.client() for _ in range(4)]
    clients[0].ok("PING")
    clients[1].ok("WATCH ALL")
    clients[0].ok("UPDATE 3 1")
    clients[1].await_event("node-started")
    clients[2].send("UPDATE 3 ")
    clients[2].await_read()
    clients[3].ok("PING")
    imd.process.send_signal(number)
    for client in clients:
        while True:
            line = client.line()
            expect(line is not None, "a client was closed and not told")
            if line.kind != "EVENT":
                break
        equal(line.code, "shutting-down", "what a client is told")
        client.expect_closed()
    equal(imd.manager.await_line("STOPPING=1"), "STOPPING=1", "what the manager is told")
    equal(imd.process.wait(TIMEOUT_S), 0, f"exit status after {number.name}")
    expect(not os.path.exists(imd.path), "the socket file is left")
    expect(not os.path.exists(imd.path + ".lock"), "the lock file is left")
    matches(rf"^<6>stopping signal={number.name[3:]}$", imd.log(), "the log")


@case
def sigterm_ends_it():
    ends_by(signal.SIGTERM)


@case
def sigint_ends_it():
    ends_by(signal.SIGINT)


@case
def sighup_does_not_end_it():
    with Daemon() as imd:
        client = imd.client()
        reload(imd)
        client.ok("PING")


@case
def signals_in_a_storm_of_requests():
    for number in range(5):
        imd = Daemon("--mock-delay=0")
        clients = [imd.client() for _ in range(5)]
        for client in clients:
            client.send(f"WATCH ALL\nUPDATE 200 {number}\nNODES\n" * 20)
        clients[0].line()
        imd.process.send_signal(signal.SIGTERM)
        imd.process.send_signal(signal.SIGINT)
        equal(imd.process.wait(TIMEOUT_S), 0, "exit status")
        expect(not os.path.exists(imd.path), "the socket file is left")


# ---- the service manager ----------------------------------------------------------------------------

@case
def it_is_ready_when_it_says_so():
    for _ in range(20):
        with Daemon() as imd:  # waits for READY=1
            imd.client().ok("PING")


@case
def the_status_is_told():
    with Daemon("--mock-delay=0") as imd:
        imd.client().ok("UPDATE 4 1")
        imd.manager.await_line(r"STATUS=.*nodes: 4, available: 4.*")


@case
def the_status_tells_the_rollout():
    with Daemon("--mock-fail-version=2", "--mock-delay=0", "--retry-delay=1h",
                "--retry-max=1h") as imd:
        imd.client().ok("UPDATE 2 2 group=web")
        imd.manager.await_line(
            "STATUS=groups: 2, nodes: .*; web to revision 1: 0 of 3 tasks done")


@case
def standard_descriptors_may_be_closed():
    path = new_path("sock")
    process = spawn(["/bin/sh", "-c", f'exec "{IMD}" --socket="{path}" --mock-delay=0 <&- >&- 2>&-'],
                    env=environment())
    await_that(lambda: process.poll() is not None or os.path.exists(path), lambda: "the socket")
    client = None
    while client is None:
        expect(process.poll() is None, "it ended")
        try:
            client = Client(path)
        except (FileNotFoundError, ConnectionRefusedError):
            continue
    equal(client.ok("UPDATE 3 1").end["max-live"], "3", "UPDATE")
    process.terminate()
    equal(process.wait(TIMEOUT_S), 0, "exit status")


@case
def the_watchdog_is_served():
    with Daemon(env={"WATCHDOG_USEC": "100000"}) as imd:
        for _ in range(4):
            imd.manager.await_line("WATCHDOG=1")
    with Daemon(env={"WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}) as imd:
        imd.client().ok("PING")
        expect("WATCHDOG=1" not in imd.manager.seen, "a watchdog that is meant for another")


def hand_over(listener, path, *options):
    """imd with the socket as descriptor 3 and LISTEN_PID its own, by a shell that becomes it."""
    def place():
        os.dup2(listener.fileno(), 3)

    script = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
    return Daemon(path=path, preexec_fn=place, pass_fds=(3, listener.fileno()),
                  arguments=["/bin/sh", "-c", script, "sh", IMD, f"--socket={path}.not-this",
                             *options])


@case
def a_socket_is_handed_over():
    path = new_path("handed")
    # 3 is kept free for the child: the socket must not be there by chance.
    spare = [os.open("/dev/null", os.O_RDONLY) for _ in range(8)]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    for descriptor in spare:
        os.close(descriptor)
    early = Client(path)
    early.send("SPEC\n")
    identity = os.stat(path).st_ino
    with hand_over(listener, path, "--mock-delay=0") as imd:
        matches(rf"ready .*socket={re.escape(path)} ", imd.log(), "what the log says of the socket")
        equal(len(early.reply().records), 1, "who was there before the daemon")
        Client(path).ok("UPDATE 1 1")
    equal(os.stat(path).st_ino, identity, "the socket file, which is not the daemon's to remove")
    with hand_over(listener, path):
        equal(Client(path).ok("SPEC").one("SPEC")["revision"], "0", "a second daemon on that socket")
    listener.close()


@case
def what_is_begun_is_answered_before_the_end():
    """Told to end under load it tells every client how far it has got, and that is what is stored."""
    state, answered = new_path("state"), {}
    for life, number in enumerate([signal.SIGTERM, signal.SIGINT] * 6):
        with Daemon("--mock-delay=0", f"--state={state}") as imd:
            clients = {f"life-{life}-{index}": imd.client() for index in range(20)}
            for group, client in clients.items():
                client.ok(f"UPDATE 1 1 quiet=yes group={group}")
                client.send("".join(f"UPDATE 1 {version} quiet=yes group={group}\n" for version in range(2, 50)))
            next(iter(clients.values())).reply()
            imd.process.send_signal(number)
            for group, client in clients.items():
                told = 1 + (group == next(iter(clients)))
                while True:
                    line = client.line()
                    expect(line is not None, f"{group} was not told that it ends, behind {told} answers")
                    if line.kind == "ERR":
                        break
                    told += line.kind == "OK"
                equal(line.code, "shutting-down", f"what {group} is told")
                client.expect_closed()
                answered[group] = told
            equal(imd.process.wait(TIMEOUT_S), 0, f"exit status after {number.name}")
    expect(min(answered.values()) < 49, "all was done before it was to end")
    with Daemon("--mock-delay=0", f"--state={state}") as imd:
        client = imd.client()
        equal({group: int(client.ok(f"SPEC group={group}").one("SPEC")["revision"]) for group in answered}, answered,
              "revisions that are stored, and that were answered")


@case
def who_does_not_read_holds_up_the_end_until_it_is_asked_for_again():
    state = new_path("state")
    with Daemon("--mock-delay=0", f"--state={state}") as imd:
        slow, client = imd.client(), imd.client()
        client.ok("UPDATE 2 1")
        slow.send("PLAN 100000 1\n")
        slow.line()
        imd.process.send_signal(signal.SIGTERM)
        equal(client_end(client), "shutting-down", "what an idle client is told")
        imd.process.send_signal(signal.SIGTERM)
        equal(imd.process.wait(TIMEOUT_S), 0, "exit status")
        expect(not os.path.exists(imd.path), "the socket file is left")
    matches("^<4>unanswered clients=1$", imd.log(), "the log")
    equal(run(IMD, f"--check-state={state}")[0], 0, "the state")


@case
def systemd_socket_activate_starts_it():
    if not shutil.which("systemd-socket-activate"):
        raise Skip("systemd-socket-activate is not installed")
    path = new_path("activated")
    process = spawn(["systemd-socket-activate", "-l", path, IMD, f"--socket={path}", "--mock-delay=0",
                     f"--state={new_path('state')}"], stderr=-1, env=environment())
    await_that(lambda: os.path.exists(path), "it listens")
    client = None
    while client is None:
        expect(process.poll() is None, "it ended")
        try:
            client = Client(path)
        except ConnectionRefusedError:
            continue
    client.ok("UPDATE 2 1")
    process.send_signal(signal.SIGTERM)
    equal(client_end(client), "shutting-down", "what the client is told")
    equal(process.wait(TIMEOUT_S), 0, "exit status")
    expect(os.path.exists(path), "the socket that was handed over is gone")


def client_end(client):
    line = client.line()
    if line is None:
        raise Failed("the client was closed and not told")
    return line.code


@case
def sockets_that_are_not_one_are_refused():
    """What LISTEN_FDS=1 hands over here is a pipe."""
    ends = os.pipe()
    script = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" 3<&0'
    got = spawn(["/bin/sh", "-c", script, IMD], stdin=ends[0], stderr=-1, env=environment())
    _, err = got.communicate(timeout=TIMEOUT_S)
    equal(got.returncode, 1, f"exit status: {err!r}")
    matches("^<3>.*socket", err.decode(), "the message")
    for end in ends:
        os.close(end)


# ---- log and cost -----------------------------------------------------------------------------------

@case
def the_log_has_priorities_and_no_requests():
    imd = Daemon("--mock-delay=0", "--mock-seed=42")
    client = imd.client()
    client.ok("UPDATE 3 1")
    for line in ("NONSENSE", "\1", "x" * 5000, 'HELP "\\n"'):
        client.ask(line)
    imd.stop()
    log = imd.log().splitlines()
    matches(r"^<6>ready version=\S+ socket=\S+ state=\S+ driver=mock mock-seed=42\b", log[0], "log")
    equal(log[-1], "<6>stopping signal=TERM", "the last line of the log")
    expect(not re.search("NONSENSE|UPDATE|unknown-command", imd.log()), "requests are logged:", log)


@case
def what_is_of_note_is_logged():
    with Daemon("--mock-delay=0", "--mock-fail-version=9", "--retries=0") as imd:
        client = imd.client()
        client.ok("WATCH GRAPHS group=* initial=no")
        client.await_end(client.ok("UPDATE 2 1 group=web").end["graph"])
        node = client.ok("NODES group=web").records[0]["id"]
        client.ok(f"KILL {node}")
        client.await_event("graph-succeeded")
        failed = client.ok("UPDATE 2 9 group=web").end["graph"]
        client.await_end(failed)
    events = [re.sub(r"^<(.)>(\S+) group=web .*", r"\1 \2", line) for line in imd.log().splitlines()[1:-1]]
    equal(events, ["6 graph-succeeded", "4 node-died", "6 node-replaced", "6 graph-succeeded",
                   "4 graph-failed"], "events")
    matches(f"^<4>node-died group=web node={node} slot=. version=1 error=\"killed by .*\"$", imd.log(), "log")
    matches(f"^<4>graph-failed group=web graph={failed} revision=2 reason=update tasks=4 took-ms=\\d+ error=",
            imd.log(), "log")


@case
def the_state_is_logged_when_it_is_asked_for():
    with Daemon("--mock-delay=1h") as imd:
        client = imd.client()
        graph = client.ok("UPDATE 3 1 group=web").end["graph"]
        imd.process.send_signal(signal.SIGUSR1)
        await_that(lambda: "state-graph" in imd.log(), "the state is in the log")
        client.ok("PING")
    matches(r"^<5>state version=\S+ groups=2 clients=1 watchers=0 requests=1 last-event=\d+ ring-events=\d+ "
            r"ring-bytes=\d+ store=sqlite commits=\d+ commits-failed=0$", imd.log(), "the daemon")
    matches("^<5>state-group group=web revision=1 size=3 version=1 available=0 starting=3 running=0 "
            "unhealthy=0 shutting-down=0 in-flight=3 graphs=1$", imd.log(), "the group")
    matches(f"^<5>state-graph group=web graph={graph} revision=1 reason=update state=running tasks=4 "
            "waiting=1 running=3 succeeded=0 failed=0 cancelled=0$", imd.log(), "the graph")


@case
def the_log_level_is_obeyed():
    with Daemon("--log-level=err") as imd:
        imd.client().ok("PING")
    equal(imd.log(), "", "the log of errors")


@case
def idle_it_is_small():
    """With its state in memory; in a file it has SQLite's code and pages besides. The code that looks users up, which
    the first request needs, is there from the start."""
    for options, limit_kib in (("--state=:memory:",), 4352), ((), 6144):
        with Daemon(*options) as imd:
            imd.client().ok("PING")
            size = imd.rss_kib()
        if sanitized():
            raise Skip("the sanitizer keeps memory of its own")
        print(f"# {size} KiB")
        expect(size < limit_kib, f"{size} KiB when idle", *options)


@case
def idle_it_does_nothing():
    """Over a second, told by the watchdog's ticks, a daemon without work takes no CPU to speak of."""
    with Daemon(env={"WATCHDOG_USEC": "400000"}) as imd:
        clients = [imd.client() for _ in range(20)]
        for client in clients:
            client.ok("WATCH ALL")
        before = imd.cpu_s()
        for _ in range(5):
            imd.manager.await_line("WATCHDOG=1")
        expect(imd.cpu_s() - before < 0.1, f"{imd.cpu_s() - before} s of CPU in a second of nothing")


@case
def no_descriptor_is_for_a_program_that_it_would_start():
    state = new_path("state")
    os.mkdir(state, 0o700)
    with Daemon(f"--state={state}/imd.db", "--mock-delay=0", env={"WATCHDOG_USEC": "1000000"}) as imd:
        clients = [imd.client() for _ in range(3)]
        clients[0].ok("WATCH ALL")
        clients[1].ok("UPDATE 3 1")
        for number in os.listdir(f"/proc/{imd.pid}/fdinfo"):
            with open(f"/proc/{imd.pid}/fdinfo/{number}", encoding="ascii") as file:
                flags = int(re.search(r"^flags:\s+(\d+)", file.read(), re.M).group(1), 8)
            what = os.readlink(f"/proc/{imd.pid}/fd/{number}")
            expect(int(number) <= 2 or flags & os.O_CLOEXEC, f"descriptor {number} is not close-on-exec: {what}")


@case
def times_are_in_utc():
    with Daemon("--mock-delay=0", env={"TZ": "Asia/Kathmandu"}) as imd:
        client = imd.client()
        client.ok("UPDATE 0 1")
        created = client.ok("SPEC").one("SPEC")["created"]
        matches(rf"\A{STAMP}\Z", created, "created")
        _, hour, _ = run("date", "-u", "+%Y-%m-%dT%H")
        expect(created[:10] == hour[:10] or hour[11:13] == "00", f"{created} at {hour}")


main()
