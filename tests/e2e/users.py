"""Clients that are other users, and a user database of a test's own."""

import os
import pwd
import shutil
import socket
import subprocess
import sys

from imdtest import IMD, TIMEOUT_S, Client, Daemon, Line, Skip, expect, lacking, new_path, run


def need_root():
    if os.getuid() != 0:
        raise Skip("only root can be other users")


def another_user():
    """What has subprocess run a program as another user than root, one that the system knows. Empty if we are not
    root, and so are an ordinary user already."""
    if os.getuid() != 0:
        return {}
    user = pwd.getpwnam("daemon")
    options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    try:
        run(IMD, "--version", **options)
    except PermissionError:
        raise Skip("another user cannot run the program that was built here") from None
    return options


def give(options, *paths):
    """Has paths belong to the user of these options, who can come to them."""
    for path in paths if options else ():
        os.chown(path, options["user"], options["group"], follow_symlinks=False)
        os.chmod(os.path.dirname(path), os.stat(os.path.dirname(path)).st_mode | 0o011)


def path_for_all():
    """One for a socket that other users can come to; --socket-mode=0666 has them connect."""
    need_root()
    path = new_path("sock")
    os.chmod(os.path.dirname(path), 0o755)
    return path


class As(Client):
    """A client that connected as another user: a child did, and handed the connection over."""

    def __init__(self, path, uid, group=65534, groups=()):
        super(Client, self).__init__()
        ours, theirs = socket.socketpair()
        child = os.fork()
        if child == 0:
            try:
                os.setgroups(list(groups))
                os.setgid(group)
                os.setuid(uid)
                connection = socket.socket(socket.AF_UNIX)
                connection.connect(path)
                socket.send_fds(theirs, [b"x"], [connection.fileno()])
                os._exit(0)
            except OSError as problem:
                print(f"# {problem}", file=sys.stderr)
            finally:
                os._exit(1)
        theirs.close()
        descriptors = socket.recv_fds(ours, 1, 1)[1]
        ours.close()
        expect(os.waitpid(child, 0)[1] == 0 and descriptors, "another user could not connect")
        self.socket = socket.socket(fileno=descriptors[0])
        self.socket.settimeout(TIMEOUT_S)

    def line(self):
        """The next line of the protocol: the text that METRICS answers with is passed over."""
        while (raw := self.raw_line()) is not None:
            if not raw.startswith((b"#", b"imd_")):
                return Line(raw)
        return None


DATABASE_BYTES = 8192  # of each file: one write replaces all of it, so that nobody reads a part

MOUNT = 'mount --bind "$0" /etc/passwd && mount --bind "$1" /etc/group && shift && exec "$@"'


class UserDatabase:
    """Files that a program sees as /etc/passwd and /etc/group, in a mount namespace of its own. Users are
    name: (uid, gid); groups are name: (gid, [member, ...])."""

    def __init__(self, users, groups):
        need_root()
        for program in ("unshare", "mount"):
            if not shutil.which(program):
                raise Skip(f"{program} is not installed")
        self.users, self.groups = dict(users), dict(groups)
        self.passwd, self.group = new_path("passwd"), new_path("group")
        self.write()
        tried = subprocess.run(self.command("true"), capture_output=True, check=False, encoding="utf-8")
        if tried.returncode != 0:
            lacking(f"no mount namespace: {tried.stderr}", "IMD_TEST_NEED_MACHINE")

    def write(self):
        passwd = "".join(f"{name}:x:{uid}:{gid}::/:/bin/sh\n" for name, (uid, gid) in self.users.items())
        group = "".join(f"{name}:x:{gid}:{','.join(members)}\n" for name, (gid, members) in self.groups.items())
        for path, text in (self.passwd, passwd), (self.group, group):
            file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
            os.pwrite(file, text.encode().ljust(DATABASE_BYTES, b"\n"), 0)
            os.close(file)

    def command(self, *arguments):
        return ["unshare", "--mount", "sh", "-c", MOUNT, self.passwd, self.group, *arguments]

    def daemon(self, *options, path=None, prefix=(), **more):
        """imd that sees these users, on a socket that everybody can connect to."""
        path = path or path_for_all()
        return Daemon(path=path, arguments=self.command(*prefix, IMD, f"--socket={path}", "--socket-mode=0666",
                                                        *options), **more)
