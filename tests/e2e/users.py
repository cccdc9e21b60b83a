"""Clients that are other users."""

import os
import socket
import sys

from imdtest import TIMEOUT_S, Client, Line, Skip, expect, new_path


def need_root():
    if os.getuid() != 0:
        raise Skip("only root can be other users")


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
