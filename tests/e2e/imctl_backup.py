#!/usr/bin/env python3
"""imctl backup: the file belongs to the user of imctl, it is there whole or not at all, and nothing that a server says
is taken on trust."""

import base64
import grp
import json
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import threading

from imctl_lib import FakeDaemon, answers, run_on_terminal
from imdtest import (DATA_BYTES, IMCTL, IMD, TIMEOUT_S, Daemon, Skip, await_that, case, environment, equal, expect,
                     main, matches, need_imctl, new_path, run, spawn)
from users import need_root, path_for_all

ADMINS = "games"  # that every Debian has
ALICE = 61200     # a dynamic user, whose groups are those of the process


def new_folder():
    need_imctl()
    path = new_path("folder")
    os.mkdir(path)
    return path


def check(path):
    status, _, err = run(IMD, f"--check-state={path}")
    equal(status, 0, "--check-state", err)


def backup(socket_path, *arguments, **options):
    return run(IMCTL, "-s", socket_path, "backup", *arguments, **options)


class Big(Daemon):
    """A daemon with a state of a megabyte and more."""

    def __init__(self, *options, **more):
        need_imctl()
        super().__init__("--mock-delay=0", *options, **more)
        with self.client() as client, self.client() as watcher:
            watcher.ok("WATCH GRAPHS")
            watcher.await_end(client.ok("UPDATE 5000 1 quiet=yes").end["graph"])


# ---- the file -----------------------------------------------------------------------------------------

@case
def it_is_a_whole_state_of_ones_own():
    for mask in (0, 0o777):
        folder = new_folder()
        with Big() as imd:
            equal(backup(imd.path, "copy.db", cwd=folder, umask=mask), (0, "", ""), "imctl backup")
        equal(os.listdir(folder), ["copy.db"], "the directory")
        path = os.path.join(folder, "copy.db")
        status = os.stat(path)
        equal((stat.S_IMODE(status.st_mode), status.st_uid), (0o600, os.geteuid()), "mode and owner")
        check(path)
        with Daemon("--mock-delay=0", f"--state={path}") as imd:
            equal(imd.client().ok("SPEC").one("SPEC")["size"], "5000", "the size of a daemon that starts on it")


@case
def standard_output_takes_it():
    path = new_path("copy.db")
    with Big() as imd:
        with open(path, "wb") as file:
            done = subprocess.run([IMCTL, "-s", imd.path, "backup", "-"], stdout=file, stderr=subprocess.PIPE,
                                  check=False, timeout=TIMEOUT_S)
        equal((done.returncode, done.stderr), (0, b""), "to a file")
        check(path)
        process = spawn([IMCTL, "-s", imd.path, "backup", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=TIMEOUT_S)
        equal((process.returncode, err), (0, b""), "to a pipe")
        expect(out.startswith(b"SQLite format 3\0") and len(out) == os.path.getsize(path), "what came")
        out, status = run_on_terminal([IMCTL, "-s", imd.path, "backup", "-"])
        equal(status, 2, "exit status at a terminal")
        matches("^imctl: standard output is a terminal; redirect it, or name a file\n$", out, "at a terminal")
        for option in ("--json", "--force"):
            status, out, err = backup(imd.path, "-", option)
            equal((status, out), (2, ""), option)
            matches(f"takes no option {option}", err, option)


@case
def an_error_of_standard_output_is_told():
    with Big() as imd:
        with open("/dev/full", "wb") as full:
            done = subprocess.run([IMCTL, "-s", imd.path, "backup", "-"], stdout=full, stderr=subprocess.PIPE,
                                  check=False, text=True, timeout=TIMEOUT_S)
        equal((done.returncode, done.stderr),
              (1, "imctl: cannot write to standard output: No space left on device\n"), "a full device")
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([IMCTL, "-s", imd.path, "backup", "-"], stdout=writer, stderr=subprocess.PIPE,
                              check=False, text=True, timeout=TIMEOUT_S)
        os.close(writer)
        equal((done.returncode, done.stderr), (1, "imctl: cannot write to standard output: Broken pipe\n"), "a pipe")


@case
def what_is_there_is_kept():
    folder = new_folder()
    with open(os.path.join(folder, "mine"), "w", encoding="ascii") as file:
        file.write("mine")
    os.symlink("mine", os.path.join(folder, "link"))
    os.symlink("nowhere", os.path.join(folder, "dangling"))
    os.mkfifo(os.path.join(folder, "fifo"))
    os.mkdir(os.path.join(folder, "directory"))
    names = sorted(os.listdir(folder))
    told = {"mine": "already exists; --force replaces it", "link": "is a symbolic link",
            "dangling": "is a symbolic link", "fifo": "is a FIFO", "directory": "is a directory",
            "directory/": "is not the name of a file", ".": "is not the name of a file",
            "nowhere/copy.db": "No such file or directory", "mine/copy.db": "Not a directory"}
    with Daemon() as imd:
        for name, why in told.items():
            for force in ((), ("--force",)):
                if force and name == "mine":
                    continue
                status, out, err = backup(imd.path, os.path.join(folder, name), *force)
                equal((status, out), (1, ""), f"backup {name}")
                matches(why, err, f"backup {name}")
        equal(sorted(os.listdir(folder)), names, "the directory")
        with open(os.path.join(folder, "mine"), encoding="ascii") as file:
            equal(file.read(), "mine", "what was there")
        equal(backup(imd.path, os.path.join(folder, "mine"), "--force"), (0, "", ""), "--force")
    check(os.path.join(folder, "mine"))
    equal(sorted(os.listdir(folder)), names, "the directory")


@case
def the_command_line_is_checked():
    with Daemon() as imd:
        for arguments, why in (((), "backup needs FILE"), (("a", "b"), "takes FILE, and 'b' is too much"),
                               (("",), "not an empty one")):
            status, out, err = backup(imd.path, *arguments)
            equal((status, out), (2, ""), f"backup {arguments}")
            matches(why, err, f"backup {arguments}")


@case
def json_has_the_length():
    folder = new_folder()
    with Daemon() as imd:
        status, out, err = backup(imd.path, os.path.join(folder, "copy.db"), "--json")
        equal((status, err), (0, ""), "backup --json")
        equal(json.loads(out), {"type": "ok", "bytes": os.path.getsize(os.path.join(folder, "copy.db"))}, "JSON")


@case
def a_terminal_sees_it_come():
    folder = new_folder()
    with Big() as imd:
        out, status = run_on_terminal([IMCTL, "-s", imd.path, "backup", os.path.join(folder, "one")])
        equal(status, 0, "exit status")
        matches(r"^(\d+ KiB copied\r)*\d{4} KiB copied\n$", out, "on a terminal")
        out, status = run_on_terminal([IMCTL, "-s", imd.path, "-q", "backup", os.path.join(folder, "two")])
        equal((out, status), ("", 0), "with --quiet")


# ---- another user -------------------------------------------------------------------------------------

@case
def it_is_written_with_the_rights_of_its_user():
    need_root()
    need_imctl()
    path = path_for_all()
    program = shutil.copy(IMCTL, new_path("imctl"))
    os.chmod(program, 0o755)
    own, other, shared = new_path("own"), new_path("other"), new_path("shared")
    for folder, owner, mode in ((own, ALICE, 0o700), (other, 0, 0o755), (shared, 0, 0o1777)):
        os.mkdir(folder)
        os.chown(folder, owner, owner)
        os.chmod(folder, mode)

    try:
        admins = grp.getgrnam(ADMINS).gr_gid
    except KeyError:
        raise Skip(f"there is no group {ADMINS}") from None

    def as_alice(file, group=admins):
        return run(program, "-s", path, "backup", file, user=ALICE, group=group, extra_groups=[])

    with Big(f"--admin-group={ADMINS}", "--socket-mode=0666", path=path):
        for folder in (own, shared):
            equal(as_alice(f"{folder}/copy.db"), (0, "", ""), f"a copy in {folder}")
            status = os.stat(f"{folder}/copy.db")
            equal((status.st_uid, stat.S_IMODE(status.st_mode)), (ALICE, 0o600), "owner and mode")
            done = subprocess.run(["cat", f"{folder}/copy.db"], user=ALICE, group=ALICE, extra_groups=[],
                                  capture_output=True, check=True)
            expect(len(done.stdout) > DATA_BYTES, "what its user reads")
        status, _, err = as_alice(f"{other}/copy.db")
        equal((status, err), (1, f'imctl: cannot create "{other}/copy.db": Permission denied\n'), "another's")
        equal(os.listdir(other), [], "another's directory")
        status, _, err = as_alice(f"{own}/denied.db", group=ALICE)
        equal(status, 5, "exit status of one who is no administrator")
        matches("^imctl: denied: ", err, "one who is no administrator")
        equal(os.listdir(own), ["copy.db"], "the directory of its user")


# ---- cut short ----------------------------------------------------------------------------------------

def data(offset, content, size=None):
    text = base64.b64encode(content).decode()
    return f"DATA offset={offset} bytes={len(content) if size is None else size} base64={text}\n"


FIRST = data(0, b"x" * DATA_BYTES)


def fails_with(reply, status, pattern, *more):
    """A server that says this leaves no file, and nothing that is taken for a success."""
    folder = new_folder()
    with FakeDaemon(answers(reply)) as fake:
        result = backup(fake.path, os.path.join(folder, "copy.db"), *more)
        equal(fake.requests, ["BACKUP"], "requests")
    equal((result[0], result[1]), (status, ""), f"exit status and output after {reply[-60:]!r}: {result[2]}")
    matches(pattern, result[2], f"after {reply[-60:]!r}")
    equal(os.listdir(folder), [], f"the directory after {reply[-60:]!r}")


@case
def a_server_that_lies_is_found_out():
    wrong = "sent a wrong copy: "
    for reply, why in (
            (data(1, b"abc") + "OK bytes=3\n", "DATA with offset=1 after 0 bytes"),
            (FIRST + data(0, b"abc") + "OK bytes=12291\n", "DATA with offset=0 after 12288 bytes"),
            (FIRST + data(12289, b"abc") + "OK bytes=12291\n", "DATA with offset=12289 "),
            (FIRST + data(-1, b"abc"), "DATA with offset=-1 "),
            (FIRST + data("x" * 30000, b"abc"), "DATA with offset=xxxxxxxxxxxxxxxxxxxx after"),
            ("DATA bytes=3 base64=YWJj\nOK bytes=3\n", "DATA with offset=none"),
            (data(0, b"abc", 4) + "OK bytes=3\n", "DATA with bytes=4"),
            (data(0, b"abc", 2) + "OK bytes=3\n", "DATA with bytes=2"),
            ("DATA offset=0 base64=YWJj\nOK bytes=3\n", "DATA with bytes=none"),
            ("DATA offset=0 bytes=3\nOK bytes=3\n", "DATA without base64"),
            ("DATA offset=0 bytes=0 base64=\nOK bytes=0\n", "DATA without base64"),
            (data(0, b"x" * (DATA_BYTES + 1)), "DATA without base64, or with too much of it"),
            ("DATA offset=0 bytes=3 base64=YWJ\nOK bytes=3\n", "DATA whose base64 is not valid"),
            ("DATA offset=0 bytes=3 base64=YW_j\nOK bytes=3\n", "DATA whose base64 is not valid"),
            ("DATA offset=0 bytes=1 base64=YW==YW==\nOK bytes=2\n", "DATA whose base64 is not valid"),
            ('DATA offset=0 bytes=3 base64="YW\\nj"\nOK bytes=3\n', "DATA whose base64 is not valid"),
            (FIRST + "OK\n", "OK with bytes=none after 12288"),
            (FIRST + "OK bytes=12287\n", "OK with bytes=12287 after 12288"),
            (FIRST + "OK bytes=12289\n", "OK with bytes=12289 after 12288"),
            ("OK bytes=0\n", "OK with bytes=0"), ("OK\n", "OK with bytes=none")):
        fails_with(reply, 1, wrong + why)
    fails_with(FIRST + "\0\n", 1, "does not understand")
    fails_with(FIRST + "DATA offset=12288 bytes=3 base64=" + "A" * 1000000, 1, "a line of more than 65536 bytes, which is the maximum")


@case
def an_error_in_the_middle_is_told():
    for code, status in (("storage", 1), ("conflict", 1), ("denied", 5), ("internal", 1)):
        fails_with(f"ERR {code} no more\n", status, f"^imctl: {code}: no more$")
        fails_with(f"{FIRST}ERR {code} no more\n", status, f"^imctl: {code}: no more$")
    fails_with(f"{FIRST}ERR shutting-down the daemon ends\n", 3, "did not finish the copy: the daemon ends after 12288")


@case
def what_later_versions_add_is_passed_over():
    folder = new_folder()
    path = os.path.join(folder, "copy.db")
    with FakeDaemon(answers("COPY size=5\n" + data(0, b"hello").replace("\n", " more=1\n") + "OK bytes=5 x=y\n")) as fake:
        equal(backup(fake.path, path), (0, "", ""), "imctl backup")
    with open(path, "rb") as file:
        equal(file.read(), b"hello", "the copy")


@case
def one_that_ends_before_it_has_begun_is_asked_again():
    folder = new_folder()

    def serve(fake, connection, number):
        fake.next_request(connection)
        if number == 1:
            connection.say("ERR shutting-down the daemon ends")
        elif number == 3:
            connection.send(data(0, b"hello") + "OK bytes=5\n")

    with FakeDaemon(serve) as fake:
        equal(backup(fake.path, os.path.join(folder, "copy.db")), (0, "", ""), "imctl backup")
        equal(fake.requests, ["BACKUP"] * 3, "requests")


@case
def nobody_to_ask():
    folder = new_folder()
    status, _, err = backup(os.path.join(folder, "sock"), os.path.join(folder, "copy.db"))
    equal(status, 3, "exit status")
    matches("cannot reach imd at ", err, "what it says")
    equal(os.listdir(folder), [], "the directory")


def sends_without_end(fake, connection, _):
    """Until the client is gone."""
    fake.next_request(connection)
    at = 0
    block = b"x" * DATA_BYTES
    try:
        while True:
            connection.sock.sendall(data(at, block).encode())
            at += DATA_BYTES
    except OSError:
        pass


@case
def a_disk_that_is_full_leaves_nothing():
    """By a limit of the size of files; a server that never ends comes to it."""
    folder = new_folder()
    with FakeDaemon(sends_without_end) as fake:
        status, out, err = backup(fake.path, os.path.join(folder, "copy.db"), preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)))
    equal((status, out), (1, ""), f"exit status and output: {err}")
    matches('^imctl: cannot write ".*/copy.db": File too large$', err, "what it says")
    equal(os.listdir(folder), [], "the directory")


@case
def a_server_without_an_end_takes_no_memory():
    folder = new_folder()
    with FakeDaemon(sends_without_end) as fake:
        process = spawn([IMCTL, "-s", fake.path, "backup", os.path.join(folder, "copy.db")], stderr=subprocess.PIPE)
        names = []
        await_that(lambda: names.extend(os.listdir(folder)) or names, "there is a temporary file")
        matches(r"^\.copy\.db\.[A-Za-z0-9]{6}$", names[0], "its name")
        await_that(lambda: os.path.getsize(os.path.join(folder, names[0])) > 32 << 20, "it has 32 MiB")
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            peak_kib = int(next(line.split()[1] for line in file if line.startswith("VmHWM")))
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=TIMEOUT_S)
    equal((process.returncode, err), (130, b"imctl: interrupted; no copy was saved\n"), "what it says")
    expect(peak_kib < 16 << 10, f"it took {peak_kib} KiB")
    equal(os.listdir(folder), [], "the directory")


@case
def what_ends_imctl_removes_the_file():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        for reply in ("", FIRST):
            folder = new_folder()
            with FakeDaemon(answers(reply)) as fake:
                process = spawn([IMCTL, "-s", fake.path, "backup", os.path.join(folder, "copy.db")],
                                stderr=subprocess.PIPE)
                await_that(lambda folder=folder, reply=reply: [
                    1 for name in os.listdir(folder)
                    if os.path.getsize(os.path.join(folder, name)) == (DATA_BYTES if reply else 0)], "it is written")
                await_that(lambda fake=fake: fake.requests, "imctl has asked")
                process.send_signal(number)
                _, err = process.communicate(timeout=TIMEOUT_S)
            equal((process.returncode, err), (130, b"imctl: interrupted; no copy was saved\n"), f"after {number.name}")
            equal(os.listdir(folder), [], f"the directory after {number.name}")


@case
def what_nohup_ignores_stays_ignored():
    folder = new_folder()
    go_on = threading.Event()

    def serve(fake, connection, _):
        fake.next_request(connection)
        go_on.wait(TIMEOUT_S)
        connection.send(data(0, b"hello") + "OK bytes=5\n")

    with FakeDaemon(serve) as fake:
        process = spawn([IMCTL, "-s", fake.path, "backup", os.path.join(folder, "copy.db")], stderr=subprocess.PIPE,
                        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        await_that(lambda: fake.requests, "imctl has asked")
        process.send_signal(signal.SIGHUP)
        go_on.set()
        _, err = process.communicate(timeout=TIMEOUT_S)
    equal((process.returncode, err), (0, b""), "how it ends")
    equal(os.listdir(folder), ["copy.db"], "the directory")


@case
def the_time_may_be_limited():
    fails_with(FIRST, 124, "^imctl: timed out; no copy was saved$", "--timeout=100ms")
    reader, writer = os.pipe()  # which nobody reads
    with FakeDaemon(sends_without_end) as fake:
        done = subprocess.run([IMCTL, "-s", fake.path, "--timeout=100ms", "backup", "-"], stdout=writer,
                              stderr=subprocess.PIPE, check=False, timeout=TIMEOUT_S, env=environment())
    equal((done.returncode, done.stderr), (124, b"imctl: timed out; no copy was saved\n"), "a pipe that is full")
    os.close(reader)
    os.close(writer)


@case
def a_pipe_that_is_full_can_be_interrupted():
    need_imctl()
    reader, writer = os.pipe()
    with FakeDaemon(sends_without_end) as fake:
        process = spawn([IMCTL, "-s", fake.path, "backup", "-"], stdout=writer, stderr=subprocess.PIPE)
        os.read(reader, 1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT_S)
    equal((process.returncode, err), (130, b"imctl: interrupted; no copy was saved\n"), "how it ends")
    os.close(reader)
    os.close(writer)


@case
def a_daemon_that_is_killed_in_the_middle():
    """imctl reads by way of a relay, which stops after some of the copy until imd is dead."""
    folder = new_folder()
    killed = threading.Event()
    with Big() as imd:
        def serve(fake, connection, _):
            with socket.socket(socket.AF_UNIX) as upstream:
                upstream.connect(imd.path)
                upstream.sendall(fake.next_request(connection).encode() + b"\n")
                connection.sock.sendall(upstream.recv(200000, socket.MSG_WAITALL))
                imd.process.kill()
                killed.set()
                while more := upstream.recv(1 << 16):
                    connection.sock.sendall(more)

        with FakeDaemon(serve) as fake:
            status, out, err = backup(fake.path, os.path.join(folder, "copy.db"))
        expect(killed.is_set(), "imd was not killed")
        imd.process.wait()
        imd.stop = lambda *_: None
        imd.process.returncode = 0
    equal((status, out), (3, ""), f"exit status and output: {err}")
    matches(r"^imctl: imd at .* did not finish the copy: the connection was closed after \d+ bytes$", err, "message")
    equal(os.listdir(folder), [], "the directory")


main()
