#!/usr/bin/env python3
"""imd as a process: its options, exit statuses and signals, its limits, and what it has to do with a
service manager. Everything is awaited as an event, with a limit that only a failure reaches."""

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile

IMD = os.environ.get("IMD", "./imd")
TIMEOUT = 30


class Failed(Exception):
    """What a case expected and did not find."""


def expect(good, what):
    if not good:
        raise Failed(what)


class Imd:
    """A daemon with a socket in a directory of its own; it ends with the `with` statement."""

    def __init__(self, directory, *options, **popen):
        self.path = os.path.join(directory, "imd.sock")
        self.log = []
        self.process = subprocess.Popen(
            [IMD, f"--socket={self.path}", "--mock-delay=0", *options], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **popen)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=TIMEOUT)

    def await_log(self, pattern):
        """Reads the log until a line matches."""
        for line in self.process.stderr:
            self.log.append(line)
            if re.search(pattern, line):
                return line
        raise Failed(f"/{pattern}/ is not in the log: {self.log}")

    def await_ready(self):
        return self.await_log("^<6>ready ")

    def end(self, number=signal.SIGTERM):
        """Sends a signal; the exit status, and all that was logged."""
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, "".join(self.log) + rest


def connect(path):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(TIMEOUT)
    client.connect(path)
    return client


def ask(client, line):
    """The reply to one request, up to the line that ends it."""
    client.sendall(line.encode() + b"\n")
    reply = b""
    while not re.search(rb"^(OK|ERR)\b.*\n\Z", reply, re.M):
        more = client.recv(65536)
        expect(more, f"{line}: the daemon closed after {reply}")
        reply += more
    return reply.decode()


def run(*arguments, **more):
    return subprocess.run([IMD, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=TIMEOUT, check=False, **more)


def must_refuse(result, status, pattern):
    expect(result.returncode == status, f"exit status {result.returncode}, not {status}")
    expect(len(result.stderr.splitlines()) == 1, f"not one line: {result.stderr!r}")
    expect(re.search(pattern, result.stderr), f"/{pattern}/ is not in {result.stderr!r}")
    expect(result.stdout == "", f"on standard output: {result.stdout!r}")


# ---- options and failures to start ---------------------------------------------------------------


def case_usage_is_status_2(_):
    must_refuse(run("--colour"), 2, "unknown option --colour")
    must_refuse(run("--retries=x"), 2, "--retries must be")
    must_refuse(run("-s", "/a", "-s", "/b"), 2, "--socket is given twice")
    must_refuse(run("3", "1"), 2, 'not "3"')
    must_refuse(run("--socket=\x1b[1m\n", "--max-clients=\n\x07"), 2, r"\\x07")


def case_help_and_version(_):
    for option, pattern in (("--help", "^usage: imd "), ("-h", "--mock-delay=MIN"),
                            ("--version", r"^imd \d+\.\d+\.\d+\n$"), ("-V", r"^imd ")):
        result = run(option)
        expect(result.returncode == 0 and result.stderr == "", f"{option}: {result}")
        expect(re.search(pattern, result.stdout), f"{option}: {result.stdout!r}")


def case_bad_socket_paths_are_status_1(directory):
    plain = os.path.join(directory, "file")
    with open(plain, "w", encoding="utf-8") as file:
        file.write("mine\n")
    must_refuse(run("-s", plain), 1, "not a socket")
    expect(os.path.getsize(plain) == 5, "the file that was in the way is gone")
    must_refuse(run("-s", os.path.join(directory, "no/such/sock")), 1, "No such file")
    must_refuse(run("-s", os.path.join(plain, "sock")), 1, "Not a directory")
    must_refuse(run("-s", os.path.join(directory, "x" * 200)), 1, "bytes long")


def case_no_permission_is_status_1(directory):
    if os.getuid() != 0:
        os.chmod(directory, 0o500)
        result = run("-s", os.path.join(directory, "sock"))
        os.chmod(directory, 0o700)
    else:
        os.chmod(directory, 0o755)
        try:
            result = run("-s", os.path.join(directory, "sock"), user=65534, group=65534,
                         extra_groups=[])
        except PermissionError:
            return "another user cannot run the program that was built here"
    must_refuse(result, 1, "Permission denied")
    return None


# ---- signals --------------------------------------------------------------------------------------


def case_signals_end_it_cleanly(directory):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        with Imd(directory) as imd:
            imd.await_ready()
            client = connect(imd.path)
            expect(ask(client, "PING") == "OK\n", "PING")
            status, log = imd.end(number)
            expect(status == 0, f"{number}: exit status {status}")
            expect(client.recv(100).startswith(b"ERR shutting-down"), "the client was not told")
            expect(client.recv(100) == b"", "the connection was not closed")
            expect(f"signal={number.name[3:]}" in log, log)
            expect(os.listdir(directory) == [], f"left behind: {os.listdir(directory)}")


def case_sigpipe_is_ignored(directory):
    with Imd(directory) as imd:
        imd.await_ready()
        os.kill(imd.process.pid, signal.SIGPIPE)
        for _ in range(20):
            client = connect(imd.path)
            client.sendall(b"HELP\n" * 50)
            client.close()
        expect(ask(connect(imd.path), "PING") == "OK\n", "it does not answer any more")
        expect(imd.end()[0] == 0, "it did not end well")


def case_standard_descriptors_may_be_closed(directory):
    path = os.path.join(directory, "imd.sock")
    command = f'exec "{IMD}" --socket="{path}" --mock-delay=0 <&- >&- 2>&-'
    listening = subprocess.Popen(["/bin/sh", "-c", command])
    try:
        client = None
        while client is None:
            expect(listening.poll() is None, "it ended")
            try:
                client = connect(path)
            except (FileNotFoundError, ConnectionRefusedError):
                pass
        expect(ask(client, "UPDATE 3 1").endswith("max-live=3\n"), "UPDATE")
        listening.terminate()
        expect(listening.wait(TIMEOUT) == 0, "it did not end well")
    finally:
        listening.kill()
        listening.wait()


# ---- limits ---------------------------------------------------------------------------------------


def case_max_clients_stays_below_the_descriptors(directory):
    def few_descriptors():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 100))

    with Imd(directory, preexec_fn=few_descriptors) as imd:
        line = imd.await_log("max-clients-lowered")
        lowered = int(re.search(r" max-clients=(\d+) descriptors=100", line).group(1))
        expect(32 < lowered < 100, line)
        imd.await_ready()
        clients = [connect(imd.path) for _ in range(lowered)]
        for client in clients:
            expect(ask(client, "PING") == "OK\n", "PING")
        expect(connect(imd.path).recv(100).startswith(b"ERR too-many"), "one more was served")
        expect(imd.end()[0] == 0, "it did not end well")


# ---- the service manager --------------------------------------------------------------------------


def place_descriptors(count, number):
    for place in range(3, 3 + count):
        os.dup2(number, place)


def run_handed_over(count, number, *options):
    """imd with descriptors from 3 on, as systemd does it. The shell tells the process id."""
    script = f'LISTEN_FDS={count} LISTEN_PID=$$ exec "$0" "$@"'
    return subprocess.Popen(["/bin/sh", "-c", script, IMD, "--mock-delay=0", *options],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, close_fds=False,
                            preexec_fn=lambda: place_descriptors(count, number))


def listen_at(path, kind=socket.SOCK_STREAM):
    listener = socket.socket(socket.AF_UNIX, kind)
    listener.bind(path)
    if kind == socket.SOCK_STREAM:
        listener.listen(16)
    # Out of the way of the places that it will be put at.
    number = os.dup(listener.fileno())
    while number < 10:
        number = os.dup(number)
    listener.close()
    return number


def case_a_socket_that_is_handed_over(directory):
    path = os.path.join(directory, "handed.sock")
    listener = listen_at(path)
    with connect(path) as early:
        early.sendall(b"PING\n")
        process = run_handed_over(1, listener, f"--socket={path}")
        expect(early.recv(10) == b"OK\n", "who came before the daemon was not served")
        process.terminate()
        process.communicate(timeout=TIMEOUT)
    expect(process.returncode == 0, f"exit status {process.returncode}")
    expect(os.listdir(directory) == ["handed.sock"], f"now there is {os.listdir(directory)}")


def case_what_else_is_handed_over_is_refused(directory):
    stream = listen_at(os.path.join(directory, "a"))
    datagrams = listen_at(os.path.join(directory, "b"), socket.SOCK_DGRAM)
    for count, number, pattern in ((2, stream, "exactly one"), (1, datagrams, "not a Unix stream")):
        process = run_handed_over(count, number)
        _, log = process.communicate(timeout=TIMEOUT)
        expect(process.returncode == 1, f"exit status {process.returncode}")
        expect(len(log.splitlines()) == 1 and re.search(pattern, log), log)


class Manager:
    """The other end of sd_notify."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(TIMEOUT)
        self.socket.bind(self.path)

    def await_message(self, pattern):
        while True:
            message = self.socket.recv(4096).decode()
            if re.search(pattern, message, re.M):
                return message


def case_it_tells_the_service_manager(directory):
    manager = Manager(directory)
    environment = dict(os.environ, NOTIFY_SOCKET=manager.path)
    with Imd(directory, env=environment) as imd:
        manager.await_message("^READY=1$")
        manager.await_message("^STATUS=groups: 1, nodes: 0, available: 0$")
        client = connect(imd.path)
        expect("OK graph=" in ask(client, "UPDATE 5 1"), "UPDATE")
        manager.await_message("^STATUS=groups: 1, nodes: 5, available: 5$")
        imd.process.terminate()
        manager.await_message("^STOPPING=1$")
        imd.process.communicate(timeout=TIMEOUT)
        expect(imd.process.returncode == 0, "it did not end well")


def case_the_status_tells_the_rollout(directory):
    manager = Manager(directory)
    environment = dict(os.environ, NOTIFY_SOCKET=manager.path)
    with Imd(directory, "--mock-fail-version=2", "--retries=3", "--retry-delay=1h", "--retry-max=1h",
             env=environment) as imd:
        manager.await_message("^READY=1$")
        ask(connect(imd.path), "UPDATE 2 2 group=web")
        manager.await_message(
            "^STATUS=groups: 2, nodes: .*; web to revision 1: 0 of 3 tasks done$")


def case_it_serves_the_watchdog(directory):
    manager = Manager(directory)
    environment = dict(os.environ, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="100000")
    environment.pop("WATCHDOG_PID", None)
    with Imd(directory, env=environment) as imd:
        for _ in range(3):
            manager.await_message("^WATCHDOG=1$")
        # A loop that hangs is not alive: the signal stops the process, and the pings with it.
        imd.process.send_signal(signal.SIGSTOP)
        manager.socket.settimeout(1)
        try:
            while True:
                manager.await_message("^WATCHDOG=1$")
        except TimeoutError:
            pass
        imd.process.send_signal(signal.SIGCONT)
        manager.socket.settimeout(TIMEOUT)
        manager.await_message("^WATCHDOG=1$")


def main():
    if not os.access(IMD, os.X_OK):
        print(f"SKIP: {IMD} is not there")
        return 77
    failed = 0
    for name, case in list(globals().items()):
        if not name.startswith("case_"):
            continue
        title = name[len("case_"):].replace("_", " ")
        with tempfile.TemporaryDirectory() as directory:
            try:
                skipped = case(directory)
                print(f"ok - {title}" + (f" # SKIP {skipped}" if skipped else ""), flush=True)
            except (Failed, OSError, subprocess.TimeoutExpired) as problem:
                failed += 1
                print(f"not ok - {title}\n#   {type(problem).__name__}: {problem}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
