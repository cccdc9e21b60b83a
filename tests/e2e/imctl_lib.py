"""What the tests of imctl share: running it, a daemon that says what a test wants it to say, and
one line of result for each case."""

import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

IMCTL = os.path.abspath(os.environ.get("IMCTL", "./imctl"))
IMD = os.path.abspath(os.environ.get("IMD", "./imd"))
TIMEOUT = 60  # seconds after which a program hangs; none is expected to take long

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
TIME = r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d"


class Results:
    """Counts, and prints a line for each case."""

    def __init__(self):
        self.passed = self.failed = 0

    def case(self, name, good, detail=""):
        print(f"{'ok' if good else 'not ok'} {name}", flush=True)
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print("".join(f"#   {line}\n" for line in str(detail).splitlines()), end="")
        return good

    def equal(self, name, got, wanted):
        return self.case(name, got == wanted, f"wanted {wanted!r}\ngot    {got!r}")

    def matches(self, name, pattern, text):
        return self.case(name, re.search(pattern, text, re.M) is not None,
                         f"wanted /{pattern}/ in\n{text}")

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed or not self.passed else 0


def environment(**more):
    env = {key: value for key, value in os.environ.items() if key not in ("IMD_SOCKET", "NO_COLOR")}
    env.update(LC_ALL="C.UTF-8", TZ="UTC", **more)
    return env


class Client:
    """imctl, as it is called with one socket."""

    def __init__(self, path):
        self.path = path

    def arguments(self, args):
        return [IMCTL, "-s", self.path, *args]

    def run(self, *args, **options):
        options.setdefault("env", environment())
        return subprocess.run(self.arguments(args), stdin=subprocess.DEVNULL, capture_output=True,
                              encoding="utf-8", errors="surrogateescape", timeout=TIMEOUT,
                              check=False, **options)

    def json(self, *args):
        """Standard output as one JSON value."""
        return json.loads(self.run("--json", *args).stdout)

    def json_lines(self, *args):
        return [json.loads(line) for line in self.run("--json", *args).stdout.splitlines()]

    def start(self, *args, **options):
        options.setdefault("stdout", subprocess.PIPE)
        return subprocess.Popen(self.arguments(args), stdin=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True, env=environment(), **options)


def read_until(process, pattern, messages=False):
    """Reads lines of a process's output, or of its messages, up to one that matches; what was read,
    joined."""
    lines = []
    for line in process.stderr if messages else process.stdout:
        lines.append(line)
        if re.search(pattern, line):
            break
    return "".join(lines)


def finish(process, signal_number=None):
    """The rest of the output, the messages and the exit status."""
    if signal_number is not None:
        process.send_signal(signal_number)
    out, err = process.communicate(timeout=TIMEOUT)
    return out, err, process.returncode


def run_on_terminal(arguments, columns=80, **env):
    """What a program writes to a terminal, and its exit status."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(arguments, stdin=follower, stdout=follower, stderr=follower,
                               env=environment(**{"TERM": "xterm", "COLUMNS": str(columns), **env}),
                               start_new_session=True)
    os.close(follower)
    output = b""
    while select.select([leader], [], [], TIMEOUT)[0]:
        try:
            data = os.read(leader, 65536)
        except OSError:  # the last one closed its end
            break
        if not data:
            break
        output += data
    os.close(leader)
    return output.decode().replace("\r\n", "\n"), process.wait(TIMEOUT)


class Connection:
    """The daemon's end of a connection."""

    def __init__(self, sock):
        self.sock = sock
        self.file = sock.makefile("rb")

    def request(self):
        """The next request without its LF; "" when the client is gone."""
        try:
            return self.file.readline().decode("utf-8", "surrogateescape").rstrip("\n")
        except ConnectionError:
            return ""

    def say(self, *lines):
        self.send("".join(line + "\n" for line in lines))

    def send(self, data):
        if isinstance(data, str):
            data = data.encode("utf-8", "surrogateescape")
        try:
            self.sock.sendall(data)
        except OSError:
            pass

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.file.close()
        self.sock.close()


class FakeDaemon:
    """Listens on a socket of its own, or at a path where no other does, and hands each connection, in
    turn, to `serve`."""

    def __init__(self, serve, path=None):
        self.directory = tempfile.mkdtemp(prefix="imctl-test.")
        self.path = path or os.path.join(self.directory, "sock")
        self.serve = serve
        self.requests = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        number = 0
        servants = []
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                break
            number += 1
            servants.append(threading.Thread(target=self.attend, args=(Connection(sock), number),
                                             daemon=True))
            servants[-1].start()
        for servant in servants:
            servant.join(TIMEOUT)

    def attend(self, connection, number):
        try:
            self.serve(self, connection, number)
        finally:
            connection.close()

    def next_request(self, connection):
        request = connection.request()
        if request:
            self.requests.append(request)
        return request

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(TIMEOUT)
        os.unlink(self.path)
        shutil.rmtree(self.directory)


def answers(*replies):
    """A `serve` that answers each request with the next of these texts, and then waits until the
    client is gone."""
    def serve(daemon, connection, _):
        for reply in replies:
            if not daemon.next_request(connection):
                return
            connection.send(reply)
        while daemon.next_request(connection):
            pass
    return serve


# What these daemons tell of: a graph of two nodes and a barrier.

NODE_A = "11111111-1111-4111-8111-111111111111"
NODE_B = "22222222-2222-4222-8222-222222222222"
GRAPH = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
OTHER = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
STAMP = "2019-03-11T18:05:45.000001Z"
LOCAL = "2019/03/11 18:05:45"

GRAPH_LINE = f"GRAPH id={GRAPH} group=default revision=1 state=running tasks=3 waiting=1 running=2 " \
    f"succeeded=0 failed=0 cancelled=0 reason=update created={STAMP} started={STAMP}\n"
TASK_LINES = \
    f"TASK graph={GRAPH} id=0 action=start_node node={NODE_A} slot=0 version=7 state=running " \
    f"attempt=1 started={STAMP}\n" \
    f"TASK graph={GRAPH} id=1 action=start_node node={NODE_B} slot=1 version=7 state=running " \
    f"attempt=1 started={STAMP}\n" \
    f"TASK graph={GRAPH} id=2 action=do_nothing description=StartNodes prereqs=0,1 state=waiting " \
    "waits=prereqs\n"
GRAPH_OK = f"OK graph={GRAPH} revision=1 tasks=3 min-available=0 max-live=2\n"
PLAN_REPLY = GRAPH_LINE + TASK_LINES + GRAPH_OK
NODE_LINES = \
    f"NODE id={NODE_A} group=default slot=0 version=7 state=running revision=1 created={STAMP} " \
    f"started={STAMP}\n" \
    f"NODE id={NODE_B} group=default slot=10 version=7 state=failed revision=1 created={STAMP} " \
    "marked=yes error=\"it broke\"\n"


def event(seq, kind, keys, graph=GRAPH):
    return f"EVENT {seq} {kind} graph={graph} {keys} group=default at={STAMP}\n"


def task_event(seq, kind, task, graph=GRAPH, more=""):
    return event(seq, f"task-{kind}", f"task={task} action=start_node node={NODE_A} {more}", graph)


EVENTS = event(11, "graph-started", "revision=1 tasks=3 reason=update state=running") + \
    "".join(task_event(12 + task, "started", task) for task in range(2)) + \
    "".join(task_event(14 + task, "succeeded", task) for task in range(2)) + \
    event(16, "task-started", "task=2 action=do_nothing state=running") + \
    event(17, "task-succeeded", "task=2 action=do_nothing state=succeeded")
SUCCEEDED = event(18, "graph-succeeded", "state=succeeded")


def ask(replies, *args):
    """Runs imctl against these replies: what it did, and the requests that it made."""
    with FakeDaemon(answers(*replies)) as daemon:
        return Client(daemon.path).run(*args), daemon.requests


class Daemon:
    """The real imd, on a socket of its own or at a path where no other is."""

    def __init__(self, *options, path=None):
        self.directory = tempfile.mkdtemp(prefix="imctl-test.")
        self.path = path or os.path.join(self.directory, "sock")
        self.log = open(os.path.join(self.directory, "log"), "w+", encoding="utf-8")
        ready_path = os.path.join(self.directory, "ready")
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ready.bind(ready_path)
        ready.settimeout(TIMEOUT)
        env = environment(NOTIFY_SOCKET=ready_path, STATE_DIRECTORY=self.directory)
        self.process = subprocess.Popen([IMD, "-s", self.path, *options], stderr=self.log, env=env)
        with ready:
            while b"READY=1" not in ready.recv(4096):
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.log.close()
        shutil.rmtree(self.directory)

    def stop(self, signal_number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        return self.process.wait(TIMEOUT)


def need(*programs):
    """Ends the test as skipped where a program is missing."""
    for program in programs:
        if not os.access(program, os.X_OK):
            print(f"SKIP: {program} is not there")
            sys.exit(77)
