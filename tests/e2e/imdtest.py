"""What the end-to-end tests of imd share: a daemon, a client that speaks the protocol by its own
reading of it, cases with one line of result each, and an end for whatever hangs."""

import atexit
import base64
import faulthandler
import fcntl
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import traceback

IMD = os.path.abspath(os.environ.get("IMD", "./imd"))
IMCTL = os.path.abspath(os.environ.get("IMCTL", "./imctl"))
SOURCE = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

# What a test writes is for imd to trust, whatever the umask of its user.
os.umask(0o022)

# No answer takes so long; what does, hangs. Nothing is expected of time otherwise.
TIMEOUT_S = 60

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"

KINDS = ("SPEC", "NODE", "GRAPH", "TASK", "STAT", "COMMAND", "DATA")
DATA_BYTES = 12288  # of a copy in a record
LIVE_STATES = ("starting", "running", "unhealthy", "shutting_down")
END_EVENTS = ("graph-failed", "graph-succeeded", "graph-superseded", "graph-cancelled")


class Failed(Exception):
    """What a case expected and did not find."""


class Skip(Exception):
    """Why a case cannot be tried here."""


def lacking(why, variable):
    """Skips a case, or fails it where a variable of the environment says that all such are wanted."""
    raise Failed(why) if os.environ.get(variable) else Skip(why)


def expect(good, *what):
    if not good:
        raise Failed(" ".join(str(part) for part in what) or "not so")


def equal(got, wanted, *what):
    if got != wanted:
        raise Failed(" ".join(str(part) for part in what) + f": wanted {wanted!r}, got {got!r}")


def matches(pattern, text, *what):
    if not re.search(pattern, text, re.M):
        raise Failed(" ".join(str(part) for part in what) + f": wanted /{pattern}/ in {text!r}")


# ---- lines --------------------------------------------------------------------------------------

ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def unquote(text, at):
    """The text that a quote at `at` opens, and the place behind the quote that closes it."""
    out = []
    at += 1
    while text[at] != '"':
        if text[at] != "\\":
            out.append(text[at])
            at += 1
        elif text[at + 1] == "x":
            out.append(chr(int(text[at + 2:at + 4], 16)))
            at += 4
        else:
            out.append(ESCAPES[text[at + 1]])
            at += 2
    return "".join(out), at + 1


def split_words(text):
    """(key or None, value) of each word of a line. Bytes are characters here, 0 to 255."""
    words = []
    if '"' not in text:
        for word in text.split(" "):
            key, mark, value = word.partition("=")
            words.append((key, value) if mark else (None, word))
        return words
    at = 0
    while at < len(text):
        match = re.compile(r"[a-z][a-z0-9-]*=").match(text, at)
        key = None
        if match:
            key = match.group()[:-1]
            at = match.end()
        if at < len(text) and text[at] == '"':
            value, at = unquote(text, at)
        else:
            end = text.find(" ", at)
            end = end if end >= 0 else len(text)
            value, at = text[at:end], end
        words.append((key, value))
        expect(at == len(text) or text[at] == " ", "no blank behind a word:", text)
        at += 1
    return words


class Line:
    """A line from the daemon, taken apart."""

    __slots__ = ("raw", "kind", "type", "seq", "keys", "code", "text")

    def __init__(self, raw):
        self.raw = raw
        self.type = self.seq = self.code = self.text = None
        self.keys = {}
        text = raw.decode("latin-1")
        self.kind, _, rest = text.partition(" ")
        if self.kind == "ERR":
            self.code, _, self.text = rest.partition(" ")
            return
        if self.kind == "EVENT":
            seq, self.type, *more = rest.split(" ", 2)
            self.seq = int(seq)
            rest = more[0] if more else ""
        elif self.kind not in KINDS and self.kind != "OK":
            raise Failed(f"not a line of the protocol: {text!r}")
        if not rest:
            return
        for key, value in split_words(rest):
            expect(key is not None, "a word without a key:", text)
            expect(key not in self.keys, "a key twice:", text)
            self.keys[key] = value

    def __getitem__(self, key):
        try:
            return self.keys[key]
        except KeyError:
            raise Failed(f"no {key}= in {self}") from None

    def get(self, key, otherwise=None):
        return self.keys.get(key, otherwise)

    def number(self, key):
        return int(self[key])

    def __str__(self):
        return self.raw.decode("latin-1")

    __repr__ = __str__


class Reply:
    """Record lines and the line that ends them."""

    def __init__(self, records, end):
        self.records = records
        self.end = end

    @property
    def code(self):
        """The code of an error, None of success."""
        return self.end.code

    @property
    def text(self):
        return self.end.text

    def of(self, kind):
        return [record for record in self.records if record.kind == kind]

    def one(self, kind):
        found = self.of(kind)
        equal(len(found), 1, f"{kind} records in {self}")
        return found[0]

    def __str__(self):
        return " / ".join(str(line) for line in [*self.records[:8], self.end])


def to_bytes(text):
    return text if isinstance(text, bytes) else text.encode("utf-8")


# ---- clients ------------------------------------------------------------------------------------

class Lines:
    """Reads replies and events from whatever gives bytes. An event inside a reply is a failure."""

    def __init__(self):
        self.buffer = b""
        self.ready = []  # lines that were read and not taken yet, the last one first
        self.events = []  # those that came and were not taken yet

    def receive(self):
        """More bytes, b"" at the end."""
        raise NotImplementedError

    def send(self, data):
        raise NotImplementedError

    def raw_line(self):
        """The next line without its LF, None at the end."""
        while not self.ready:
            more = self.receive()
            if not more:
                expect(not self.buffer, "the last line is cut:", self.buffer[:200])
                return None
            *lines, self.buffer = (self.buffer + more).split(b"\n")
            self.ready = lines[::-1]
        return self.ready.pop()

    def line(self):
        raw = self.raw_line()
        return None if raw is None else Line(raw)

    def reply(self):
        """The next reply; events that come before it are kept for event()."""
        records = []
        while True:
            line = self.line()
            expect(line is not None, "the connection was closed within a reply, behind", records[-3:])
            if line.kind == "EVENT":
                expect(not records, "an event inside a reply:", line)
                self.events.append(line)
            elif line.kind in ("OK", "ERR"):
                return Reply(records, line)
            else:
                records.append(line)

    def ask(self, request):
        self.send(to_bytes(request) + b"\n")
        return self.reply()

    def ok(self, request):
        reply = self.ask(request)
        expect(reply.code is None, f"{request!r}: {reply}")
        return reply

    def fails(self, request, code, *patterns):
        """The request must be refused with the code, in words that match."""
        reply = self.ask(request)
        shown = request if len(request) < 100 else request[:100] + type(request)()
        expect(reply.code == code, f"{shown!r}: wanted ERR {code}, got {reply}")
        expect(not reply.records, f"{shown!r}: records before an error: {reply}")
        for pattern in patterns:
            matches(pattern, reply.text, repr(shown))
        return reply

    def event(self):
        """The next event; nothing else may come."""
        if self.events:
            return self.events.pop(0)
        line = self.line()
        expect(line is not None, "the connection was closed instead of an event")
        expect(line.kind == "EVENT", "wanted an event, got", line)
        return line

    def await_event(self, *types, **keys):
        """Reads events up to one of these types with these keys. Returns all that were read."""
        seen = []
        while True:
            event = self.event()
            seen.append(event)
            if event.type in types and all(event.get(k) == v for k, v in keys.items()):
                return seen

    def await_end(self, graph):
        """Reads events up to the one that ends a graph."""
        return self.await_event(*END_EVENTS, graph=graph)

    def stat(self, name):
        for record in self.ok("STATS").records:
            if record["name"] == name:
                return record["value"]
        raise Failed(f"STATS has no {name}")


def copy_of(client):
    """The bytes of the copy that BACKUP sends."""
    return joined(client.ok("BACKUP"))


def joined(reply):
    """The bytes that the DATA records of a reply hold; all is as the protocol has it."""
    data = bytearray()
    for record in reply.records:
        equal((record.kind, record["offset"]), ("DATA", str(len(data))), "a record of a copy")
        data += base64.b64decode(record["base64"], validate=True)
        equal(record["bytes"], str(len(data) - int(record["offset"])), "its length")
        expect(record is reply.records[-1] or record["bytes"] == str(DATA_BYTES), "a short record in the middle")
    equal(reply.end["bytes"], str(len(data)), "the length of the copy")
    return bytes(data)


def backup(client, path):
    """A copy of the state, in a file."""
    with open(path, "wb") as file:
        file.write(copy_of(client))
    return path


class Client(Lines):
    """A connection to the socket."""

    def __init__(self, path):
        super().__init__()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(TIMEOUT_S)
        while True:
            try:
                self.socket.connect(path)
                break
            except BlockingIOError:  # the backlog is full: as good as a wait for a place
                continue

    def receive(self):
        try:
            return self.socket.recv(1 << 16)
        except ConnectionResetError:
            return b""
        except TimeoutError:
            raise Failed(f"nothing came for {TIMEOUT_S} s") from None

    def send(self, data):
        self.socket.sendall(to_bytes(data))

    def unread(self):
        """How much the daemon has not read yet of what was sent."""
        return struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0\0\0\0"))[0]

    def await_read(self):
        """Until the daemon has read all that was sent."""
        while self.unread():
            os.sched_yield()

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def expect_closed(self):
        line = self.raw_line()
        expect(line is None, "wanted the connection closed, got", line)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# ---- processes ----------------------------------------------------------------------------------

children = []
kept = []  # those that live on when the case that spawned them is over
over = threading.Event()  # nothing is to be begun any more
directory = None
counter = 0


def new_path(name):
    """A path of its own in the directory of this program."""
    global directory, counter
    if directory is None:
        directory = tempfile.mkdtemp(prefix="imd-test.")
    counter += 1
    return os.path.join(directory, f"{counter}.{name}")


def spawn(arguments, **options):
    expect(not over.is_set(), "the watchdog has ended the program")
    process = subprocess.Popen(arguments, **options)
    children.append(process)
    return process


def kill(process):
    if process.poll() is None:
        process.kill()
        process.wait()
    children.remove(process)


def clean_up():
    for process in children[:]:
        kill(process)
    if directory is not None:
        shutil.rmtree(directory, ignore_errors=True)


def sanitized():
    """Whether imd was built with AddressSanitizer, where memory is not what it is otherwise."""
    if not hasattr(sanitized, "answer"):
        with open(IMD, "rb") as file:
            sanitized.answer = b"__asan_init" in file.read()
    return sanitized.answer


def environment(**more):
    """That of this program without what is meant for a service or for imctl. A daemon finds a
    place for a state of its own in it, and no files that others configure theirs with."""
    names = ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC",
             "WATCHDOG_PID", "IMD_SOCKET")
    env = {name: value for name, value in os.environ.items() if name not in names}
    env.update({"LC_ALL": "C.UTF-8", "STATE_DIRECTORY": new_path("state"),
                "CONFIGURATION_DIRECTORY": new_path("etc"), **more})
    return env


class Manager:
    """A service manager's end of sd_notify."""

    def __init__(self):
        self.path = new_path("notify")
        self.bind()
        self.seen = []
        self.rest = []  # lines of the last message that nobody has awaited yet

    def bind(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(1)

    def rebind(self):
        """Another socket of the same name; what was not read from the old one is lost."""
        os.unlink(self.path)
        self.close()
        self.bind()

    def await_line(self, pattern, process=None):
        """Until a line matches. While nothing comes, looks whether the process still lives."""
        waited = 0
        while True:
            while self.rest:
                line = self.rest.pop(0)
                self.seen.append(line)
                if re.fullmatch(pattern, line):
                    return line
            try:
                message = self.socket.recv(4096).decode()
            except TimeoutError:
                waited += 1
                expect(waited < TIMEOUT_S, f"/{pattern}/ was not told; told was {self.seen}")
                if process is not None and process.poll() is not None:
                    return None
                continue
            self.rest = message.splitlines()

    def close(self):
        self.socket.close()


def fill_queue(path):
    """Fills the queue of a datagram socket up, until nobody can send to it any more."""
    sent = True
    while sent:  # one sender alone is also limited by its own buffer
        sent = False
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            try:
                while True:
                    sender.sendto(b"X_FILLER=1\n", path)
                    sent = True
            except BlockingIOError:
                continue


class Daemon:
    """imd on a socket of its own. The `with` statement ends it, and looks how it went. Its log is read from a
    file, or is what `stderr` is made of."""

    def __init__(self, *options, path=None, env=None, arguments=None, **popen):
        self.path = path or new_path("sock")
        self.log_path = new_path("log")
        self.manager = Manager()
        if arguments is None:
            arguments = [IMD, f"--socket={self.path}", *options]
        with open(self.log_path, "wb") as log:
            popen.setdefault("stderr", log)
            self.process = spawn(arguments, stdin=subprocess.DEVNULL, stdout=log,
                                 env=environment(NOTIFY_SOCKET=self.manager.path, **(env or {})),
                                 **popen)
        if self.manager.await_line("READY=1", self.process) is None:
            raise Failed(f"imd ended with {self.process.returncode}: {self.log()}")
        self.pid = self.process.pid

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def client(self):
        return Client(self.path)

    def rss_kib(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return int(re.search(r"^VmRSS:\s+(\d+) kB", file.read(), re.M).group(1))

    def cpu_s(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def limit(self, which, soft):
        hard = resource.prlimit(self.pid, which)[1]
        resource.prlimit(self.pid, which, (soft, hard))

    def stop(self, number=signal.SIGTERM):
        """Ends it; the exit status must be 0 and the log in order."""
        expect(self.process.poll() is None, f"imd ended with {self.process.returncode}: {self.log()}")
        self.process.send_signal(number)
        try:
            status = self.process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise Failed("imd did not end") from None
        self.manager.close()
        equal(status, 0, "exit status of imd; its log: " + self.log()[-2000:])
        for line in self.log().splitlines():
            expect(re.match(r"<[3-7]>[a-z]", line), "a line of the log without a priority:", line)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            if self.process.returncode is None:
                self.stop()
            return
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        elif self.process.returncode != 0:
            print(f"# imd ended with {self.process.returncode}: {self.log()[-3000:]}")
        self.manager.close()


def reload(daemon):
    """Has a daemon read its files again, until it says that it has. Returns when it began, by its clock."""
    daemon.process.send_signal(signal.SIGHUP)
    daemon.manager.await_line("RELOADING=1", daemon.process)
    begun = daemon.manager.await_line(r"MONOTONIC_USEC=\d+", daemon.process)
    expect(daemon.manager.await_line("READY=1", daemon.process), f"it ended: {daemon.log()}")
    return int(begun.partition("=")[2])


def write(path, text):
    """A file with this text, in a directory that is made for it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(to_bytes(text))
    return path


def run(*arguments, **options):
    """Runs a program to its end: its status, standard output and standard error."""
    options.setdefault("env", environment())
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                          timeout=TIMEOUT_S, encoding="utf-8", errors="surrogateescape", **options)
    return done.returncode, done.stdout, done.stderr


def imctl(daemon, *arguments):
    return run(IMCTL, "-s", daemon.path, *arguments)


def need_imctl():
    if not os.access(IMCTL, os.X_OK):
        raise Skip(f"{IMCTL} is not there")


def await_that(condition, what):
    """Until a condition holds that asks each time; it is for what no event tells."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        expect(time.monotonic() < deadline, f"it did not come that {what() if callable(what) else what}")
        os.sched_yield()


# ---- cases --------------------------------------------------------------------------------------

cases = []


def case(function):
    """Marks a function as a case; its name is the case's."""
    cases.append((function.__name__.replace("_", "-"), function))
    return function


def add_case(name, function):
    cases.append((name, function))


def one_line(problem):
    text = str(problem) or type(problem).__name__
    text = re.sub(r"\s*\n\s*", " | ", text)
    return text if len(text) < 2000 else text[:2000] + "..."


def hang(limit_s):
    over.set()
    print(f"not ok watchdog: the program did not end within {limit_s} s", flush=True)
    faulthandler.dump_traceback(file=sys.stderr)
    clean_up()
    os._exit(1)


def run_case(name, function):
    """One of "ok", "not ok" and "skip"."""
    begun = time.monotonic()
    try:
        function()
        print(f"ok {name}", flush=True)
        return "ok"
    except Skip as why:
        print(f"skip {name}: {one_line(why)}", flush=True)
        return "skip"
    except Exception as problem:  # whatever it is, it is this case that failed
        kind = "" if isinstance(problem, Failed) else type(problem).__name__ + ": "
        print(f"not ok {name}: {kind}{one_line(problem)}", flush=True)
        if not isinstance(problem, Failed) or os.environ.get("TRACE"):
            traceback.print_exc()
        return "not ok"
    finally:
        if os.environ.get("TIMES"):
            print(f"# {time.monotonic() - begun:.1f} s", flush=True)
        for process in children[:]:
            if process not in kept:
                kill(process)


def main(limit_s=180):
    """Runs all cases, or those whose names the arguments are part of."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    atexit.register(clean_up)
    if not os.access(IMD, os.X_OK):
        print(f"skip all: {IMD} is not there\n0 passed, 0 failed, 1 skipped")
        sys.exit(77)
    if sanitized():
        limit_s *= 3
    watchdog = threading.Timer(limit_s, hang, [limit_s])
    watchdog.daemon = True
    watchdog.start()
    wanted = sys.argv[1:]
    results = [run_case(name, function) for name, function in cases
               if not wanted or any(word in name for word in wanted)]
    watchdog.cancel()
    passed, failed, skipped = (results.count(word) for word in ("ok", "not ok", "skip"))
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""),
          flush=True)
    if failed or not results:
        sys.exit(1)
    sys.exit(0 if passed else 77)
