#!/usr/bin/env python3
"""Memory is refused: at one allocation after another, by a limit from the start, and by one that comes later. imd lives
on, answers OK or ERR or closes the connection, changes nothing of what it refuses, and shrinks and cancels."""

import mmap
import os
import random
import re
import resource
import signal
import struct

from imdtest import (IMCTL, IMD, Client, Daemon, Failed, Skip, await_that, case, equal, expect, imctl, main, matches,
                     need_imctl, new_path, reload, run, sanitized)

MIB = 1024 * 1024
SHIM = os.path.join(os.environ.get("top_builddir", "."), "tests", "e2e", "allocfault.so")


def need_plain_allocator():
    if sanitized():
        raise Skip("the sanitizer has its own allocator, and maps what it likes")


def outcome(client, request):
    """The code of the answer, "OK", or "closed". Records and events before it are read; a connection may be closed
    in the middle of a line."""
    data = b""
    try:
        client.send(request + "\n")
        while True:
            more = client.receive()
            if not more:
                return "closed"
            *lines, data = (data + more).split(b"\n")
            for line in lines:
                words = line.decode("latin-1").split(" ")
                if words[0] in ("OK", "ERR"):
                    return "OK" if words[0] == "OK" else words[1]
    except (BrokenPipeError, ConnectionResetError):
        return "closed"


def mapped(imd):
    with open(f"/proc/{imd.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def lives(imd):
    expect(imd.process.poll() is None, f"imd ended with {imd.process.returncode}: {imd.log()[-2000:]}")
    with imd.client() as client:
        client.ok("PING")


def restart(imd, *options, **popen):
    """As after a crash, with what is stored."""
    imd.process.kill()
    imd.process.wait()
    imd.manager.close()
    return Daemon(*options, path=imd.path, **popen)


# ---- one allocation after another ---------------------------------------------------------------

class Fault:
    """The file by which an allocation of a daemon is made to fail."""

    def __init__(self):
        if not os.path.exists(SHIM):
            raise Skip(f"{SHIM} is not built: make check builds it")
        self.path = new_path("fault")
        with open(self.path, "wb+") as file:
            file.truncate(24)
            self.memory = mmap.mmap(file.fileno(), 24)
        self.env = {"LD_PRELOAD": SHIM, "IMD_TEST_ALLOCFAULT": self.path}

    def failed(self):
        return struct.unpack_from("Q", self.memory, 8)[0]

    def arm(self, number):
        """The allocation of this number from now on fails; 0: none does."""
        struct.pack_into("Q", self.memory, 0, number)

    def arm_every(self, number):
        """One of so many allocations fails; 0: none does."""
        struct.pack_into("Q", self.memory, 16, number)
        self.arm(number)

    def run(self, number, action):
        """Whether an allocation failed while the action ran."""
        before = self.failed()
        self.arm(number)
        try:
            action()
        finally:
            self.arm(0)
        return self.failed() > before


class Trial:
    """A daemon whose group "default" is at rest and whose group "slow" never comes to its end."""

    OPTIONS = ("--mock-delay=0", "--heal-delay=1ms", "--heal-max=1ms", "--keep-events=400")

    def __init__(self):
        need_plain_allocator()
        self.fault = Fault()
        self.state = new_path("db")
        self.revision = 0
        self.imd = Daemon(*self.options(), env=self.fault.env)
        self.client = self.imd.client()

    def options(self):
        return (*self.OPTIONS, f"--state={self.state}")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.fault.arm(0)
        self.imd.__exit__(*error)

    def prepare(self):
        """Something to kill, and something to cancel."""
        self.client.ok("UPDATE 3 1 quiet=yes")
        self.client.ok(f"UPDATE 2 {self.revision % 7 + 1} group=slow min-ready=1h quiet=yes")
        self.await_rest()
        self.revision = self.client.ok("SPEC").one("SPEC").number("revision")

    def await_rest(self):
        """Until the group has what it wants, which may take a heal."""
        await_that(self.at_rest, lambda: f"the group is at rest: {self.client.ok('GRAPHS')}")

    def at_rest(self):
        graphs = self.client.ok("GRAPHS").records
        nodes = self.client.ok("NODES").records
        size = self.client.ok("SPEC").one("SPEC").number("size")
        return all("finished" in graph.keys for graph in graphs) and \
            [node["state"] for node in nodes] == ["running"] * size

    def words(self, usage):
        """Arguments for a usage: "NODE node [group=NAME]"."""
        examples = {
            "size": "4", "version": "2", "verb": "PING",
            "node": lambda: self.client.ok("NODES").records[0]["id"],
            "graph": lambda: [graph["id"] for graph in self.client.ok("GRAPHS group=slow").records
                              if graph["state"] == "running"][-1],
        }
        out = []
        for word in re.sub(r"\[[^]]*\]", "", usage).split()[1:]:
            if "|" in word:
                out.append(word.rpartition("|")[2])
            elif word in examples:
                example = examples[word]
                out.append(example() if callable(example) else example)
            else:
                raise Failed(f"no example of {word!r}: {usage}")
        return out

    def check_change(self, request, answer):
        """An UPDATE is made wholly, or not at all, and what was answered holds."""
        revision = self.client.ok("SPEC").one("SPEC").number("revision")
        made = revision - self.revision
        if not request.startswith("UPDATE") or answer not in ("OK", "closed"):
            equal(made, 0, f"{request}, answered {answer}: changes")
        elif answer == "OK":
            equal(made, 1, f"{request}: changes")

    def check_restart(self):
        """What is in memory is what is stored."""
        self.prepare()
        shown = self.shown()
        self.imd = restart(self.imd, *self.options(), env=self.fault.env)
        self.client = self.imd.client()
        self.await_rest()
        equal(self.shown(), shown, "the state after a restart")

    def shown(self):
        return [[str(record) for record in self.client.ok(request).records]
                for request in ("SPECS", "SPECS group=slow", "GRAPHS", "NODES")]

    def check_shrink(self):
        self.client.ok("UPDATE 1 1 quiet=yes")
        self.client.ok(f"CANCEL {self.words('CANCEL graph')[0]}")
        self.await_rest()
        equal(len(self.client.ok("NODES").records), 1, "nodes of a smaller group")


def verbs():
    """Names and usages of all requests there are."""
    with Daemon() as imd:
        return [(record["name"], record["usage"]) for record in imd.client().ok("HELP").records]


def try_every_allocation(trial, what, attempt):
    """attempt(number) makes allocation `number` fail and returns whether there was one. Until there was none."""
    number = 1
    while attempt(number):
        lives(trial.imd)
        number += 1
        expect(number < 5000, f"{what}: there is no end of allocations")
    print(f"# {what}: {number - 1} allocations", flush=True)


def try_verb(trial, usage):
    def attempt(number):
        trial.prepare()
        request = " ".join([usage.split()[0], *trial.words(usage)])
        answers = []
        with trial.imd.client() as client:
            failed = trial.fault.run(number, lambda: answers.append(outcome(client, request)))
        expect(answers[0] in ("OK", "internal", "storage", "closed"), f"{request}, allocation {number}: {answers}")
        trial.check_change(request, answers[0])
        expect(failed or answers[0] == "OK", f"{request} without a failure: {answers}")
        return failed

    try_every_allocation(trial, usage.split()[0], attempt)


@case
def every_request_survives_a_failed_allocation():
    with Trial() as trial:
        for _, usage in verbs():
            try_verb(trial, usage)
            trial.check_restart()
        trial.check_shrink()


@case
def a_client_that_connects_survives_a_failed_allocation():
    with Trial() as trial:
        def attempt(number):
            def connect():
                with Client(trial.imd.path) as client:
                    outcome(client, "PING " + "x" * 6000)
                    outcome(client, "PING")
            return trial.fault.run(number, connect)

        try_every_allocation(trial, "connect", attempt)
        trial.prepare()
        trial.check_shrink()


@case
def a_rollout_survives_a_failed_allocation():
    with Trial() as trial:
        def attempt(number):
            trial.prepare()
            node = trial.words("NODE node")[0]

            def roll():
                for request in (f"KILL {node}", "UPDATE 5 3 max-surge=2 quiet=yes"):
                    with trial.imd.client() as client:
                        outcome(client, request)
                trial.await_rest()
            return trial.fault.run(number, roll)

        try_every_allocation(trial, "rollout", attempt)
        trial.check_restart()
        trial.check_shrink()


@case
def signals_survive_a_failed_allocation():
    with Trial() as trial:
        def dump():
            trial.imd.process.send_signal(signal.SIGUSR1)
            trial.client.ok("PING")

        trial.prepare()
        for what, action in (("SIGUSR1", dump), ("SIGHUP", lambda: reload(trial.imd))):
            try_every_allocation(trial, what, lambda number, action=action: trial.fault.run(number, action))
        trial.check_shrink()


class Lives:
    """A daemon that is killed again and again while allocations fail, and what it has answered: of each group, the
    notes of updates that it took, and of those that it refused."""

    def __init__(self, chance):
        need_plain_allocator()
        self.chance = chance
        self.fault = Fault()
        self.path = new_path("sock")
        self.options = (f"--state={new_path('db')}", "--mock-delay=0-3ms", "--retry-delay=1ms", "--heal-delay=1ms",
                        "--mock-flaky=0.1", "--keep-specs=10000")
        self.taken, self.refused = {"a": [], "b": []}, set()
        self.requests = 0

    def ask(self, client, request):
        answer = outcome(client, request)
        expect(answer in ("OK", "conflict", "not-found", "internal", "storage", "closed"), f"{request}: {answer}")
        return answer

    def update(self, client):
        group = self.chance.choice("ab")
        self.requests += 1
        note = f"n{self.requests}"
        answer = self.ask(client, f"UPDATE {self.chance.randrange(12)} {self.chance.randrange(3)} group={group} "
                          f"note={note} max-surge={self.chance.randrange(3)} quiet=yes")
        if answer == "OK":
            self.taken[group].append(note)
        elif answer != "closed":
            self.refused.add(note)
        return answer

    def change(self, client):
        """Something that may meet a node or graph that has ended."""
        for request in ("NODES group=*", "GRAPHS group=*"):
            client.send(request + "\n")
            records = client.reply().records
            if records:
                verb = self.chance.choice(("KILL", "MARK") if "NODES" in request else ("CANCEL", "TASKS"))
                self.ask(client, f"{verb} {records[-1]['id']}")

    def life(self):
        imd = Daemon(*self.options, path=self.path, env=self.fault.env)
        self.check(imd)
        self.fault.arm_every(self.chance.choice((3, 7, 20, 50, 100)))
        client = imd.client()
        for _ in range(self.chance.randrange(60)):
            try:
                if self.update(client) == "closed":
                    raise ConnectionResetError
                self.change(client)
            except (Failed, BrokenPipeError, ConnectionResetError):
                expect(imd.process.poll() is None, f"imd ended with {imd.process.returncode}: {imd.log()[-2000:]}")
                client = imd.client()
        self.fault.arm_every(0)
        lives(imd)
        imd.process.kill()
        imd.process.wait()
        imd.manager.close()

    def check(self, imd):
        with imd.client() as client:
            for group, taken in self.taken.items():
                reply = client.ask(f"SPECS group={group}")
                notes = {record.get("note") for record in reply.records}
                expect(set(taken) <= notes, f"group {group}: lost are {set(taken) - notes}")
                expect(not notes & self.refused, f"group {group}: made all the same are {notes & self.refused}")


@case
def answers_hold_if_allocations_fail_and_the_daemon_is_killed():
    seed = int(os.environ.get("MEMORY_SEED", random.randrange(1 << 32)))
    print(f"# MEMORY_SEED={seed}", flush=True)
    world = Lives(random.Random(seed))
    for _ in range(25):
        world.life()
    print(f"# {world.requests} updates, {world.fault.failed()} failed allocations", flush=True)
    expect(world.fault.failed() > 0, "no allocation failed")
    imd = Daemon(*world.options, path=world.path, env=world.fault.env)
    world.check(imd)
    imd.stop()


# ---- a limit from the start ---------------------------------------------------------------------

def limited(bytes_):
    return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_))}


def running_graph(client):
    return [graph["id"] for graph in client.ok("GRAPHS").records if graph["state"] == "running"]


def try_sizes(limit, sizes, *options):
    """In each size a group is refused, or can be made smaller, cancelled, and loaded again. Returns those accepted."""
    accepted = []
    for size in sizes:
        options_here = (*options, f"--state={new_path('db')}")
        imd = Daemon(*options_here, **limited(limit))
        with imd.client() as client:
            reply = client.ask(f"UPDATE {size} 1 quiet=yes")
        if reply.code is not None:
            equal(reply.code, "internal", f"UPDATE {size} 1")
            matches("not enough memory", reply.text, f"UPDATE {size} 1")
        else:
            accepted.append(size)
        for requests in (["UPDATE 3 1 quiet=yes"], ["UPDATE 2 1 quiet=yes"], []):
            with imd.client() as client:
                for request in requests:
                    client.ok(request)
                for graph in running_graph(client):
                    reply = client.ask(f"CANCEL {graph}")
                    expect(reply.code in (None, "conflict"), f"CANCEL in a group of {size}: {reply}")
            imd = restart(imd, *options_here, **limited(limit))
        imd.stop()
    return accepted


@case
def a_group_too_large_for_the_memory_is_refused_or_can_be_undone():
    need_plain_allocator()
    limit = 200000 * 1024
    accepted = try_sizes(limit, (1000000, 60000, 40000, 36000, 32000, 28000, 20000, 3), "--mock-delay=1h")
    expect(3 in accepted and 1000000 not in accepted, "accepted are", accepted)
    accepted = try_sizes(limit, (1000000, 40000, 32000, 20000), "--mock-delay=0-5ms")
    expect(1000000 not in accepted, "accepted are", accepted)


@case
def refused_requests_take_no_memory_from_others():
    need_plain_allocator()
    with Daemon("--mock-delay=1h", **limited(120 * MIB)) as imd:
        clients = [imd.client() for _ in range(100)]
        for client in clients:
            client.ok("PING")
        imd.process.send_signal(signal.SIGSTOP)  # so that all of them come in one pass
        for client in clients:
            client.send("UPDATE 9000 1 if-revision=99\n")
        imd.process.send_signal(signal.SIGCONT)
        for client in clients:
            equal(client.reply().code, "conflict", "UPDATE with another revision")


@case
def imctl_is_told_of_too_large_a_group():
    need_plain_allocator()
    need_imctl()
    with Daemon("--mock-delay=1h", **limited(200000 * 1024)) as imd:
        status, _, err = imctl(imd, "update", "1000000", "1", "--detach")
        equal(status, 1, f"status of imctl: {err}")
        matches("^imctl: internal: not enough memory: the request and undoing it may need up to [0-9]+ MiB", err,
                "message of imctl")
        equal(imctl(imd, "update", "3", "1", "--detach")[0], 0, "status of a smaller update")
        lives(imd)


@case
def a_daemon_without_enough_memory_says_so():
    need_plain_allocator()
    state = new_path("db")
    with Daemon("--mock-delay=1h", f"--state={state}") as imd:
        imd.client().ok("UPDATE 300000 1 quiet=yes")
    try:
        Daemon("--mock-delay=1h", f"--state={state}", **limited(50 * MIB))
    except Failed as failed:
        matches(r"imd ended with 1: <3>cannot-start .*not enough memory", str(failed), "its log")
    else:
        raise Failed("300000 nodes were loaded into 50 MiB")


@case
def a_daemon_says_why_it_cannot_start_with_any_limit():
    need_plain_allocator()
    said = 0
    for kib in range(4000, 80000, 250):
        status, _, err = run(IMD, f"--socket={new_path('sock')}", "--state=/proc/nosuch/db", **limited(kib * 1024))
        if status == 127:  # the libraries could not be loaded
            continue
        equal(status, 1, f"status of imd with {kib} KiB, which says {err!r}")
        matches("^<3>cannot-start error=", err, f"log with {kib} KiB")
        if "nosuch" in err:  # there was memory for all before that
            break
        said += 1
    expect("nosuch" in err, "no limit was high enough:", err)
    expect(said > 0, "every imd had enough memory")


@case
def imctl_without_memory_says_so():
    need_plain_allocator()
    need_imctl()
    said = 0
    with Daemon("--mock-delay=0") as imd:
        imd.client().ok("UPDATE 20000 1 quiet=yes")
        for kib in range(4000, 80000, 250):
            status, out, err = run(IMCTL, "-s", imd.path, "--json", "nodes", "ls", **limited(kib * 1024))
            if status == 127:  # the libraries could not be loaded
                continue
            if status == 0:
                break
            equal(status, 1, f"status of imctl with {kib} KiB, which says {err!r}")
            expect(out or err, f"imctl with {kib} KiB says nothing")
            said += err.endswith("imctl: out of memory\n")
    equal(status, 0, "status of imctl with enough memory")
    expect(said > 0, "no imctl was out of memory")


# ---- a limit that comes later -------------------------------------------------------------------

def squeeze(imd):
    """From now on the daemon gets no more addresses than it has."""
    imd.limit(resource.RLIMIT_AS, mapped(imd))


@case
def no_request_ends_a_daemon_that_gets_no_more_memory():
    need_plain_allocator()
    with Daemon("--mock-delay=1h", f"--state={new_path('db')}") as imd:
        client, watcher, other = imd.client(), imd.client(), imd.client()
        client.ok("UPDATE 20000 1 quiet=yes")
        watcher.ok("WATCH ALL initial=no")
        squeeze(imd)
        graph, = running_graph(client)
        node = client.ok("NODES").records[0]["id"]
        examples = {"size": "30000", "version": "2", "node": node, "graph": graph}
        for name, usage in verbs():
            words = [examples.get(word, word.rpartition("|")[2]) for word in
                     re.sub(r"\[[^]]*\]", "", usage).split()[1:]]
            with imd.client() as asker:
                outcome(asker, " ".join([name, *words]))
            lives(imd)
        with imd.client() as asker:
            outcome(asker, "UPDATE 1000000 3 quiet=yes")
            outcome(asker, "PING " + "x" * 100000)
        client.ok("UPDATE 3 1 quiet=yes")
        client.ok(f"CANCEL {running_graph(client)[-1]}")
        imd.process.send_signal(signal.SIGUSR1)
        reload(imd)
        outcome(other, "NODES all=yes")
        lives(imd)


@case
def clients_that_do_not_read_take_no_memory_from_others():
    need_plain_allocator()
    with Daemon("--mock-delay=0", "--max-clients=300") as imd:
        client = imd.client()
        client.ok("UPDATE 5000 1 quiet=yes")
        await_that(lambda: not running_graph(client), "the group has started")
        squeeze(imd)
        idle = [imd.client() for _ in range(200)]
        for number, one in enumerate(idle):
            one.send("NODES\n" * 20 if number % 2 else "WATCH ALL\n")
        client.ok("PING")
        for size in (4000, 3000, 3):
            client.ok(f"UPDATE {size} 1 quiet=yes")
        await_that(lambda: not running_graph(client), "the group has stopped")
        equal(len(client.ok("NODES").records), 3, "nodes")


if __name__ == "__main__":
    main(600)
