"""A systemd to test with: it is PID 1 of namespaces of its own, over a view of this system's files that
keeps nothing, and has imd installed. It takes root, and a kernel that allows it; where that is not to be
had the cases are skipped, and fail if IMD_TEST_NEED_MACHINE is set."""

import atexit
import glob
import os
import re
import shutil
import subprocess
import tempfile
import threading

from imdtest import IMD, SOURCE, TIMEOUT_S, Client, Failed, await_that, equal, kept, kill, lacking, spawn

SCRIPT = os.path.join(SOURCE, "tests", "e2e", "machine.sh")
BUILD = os.path.abspath(os.environ.get("top_builddir") or os.path.dirname(IMD))
SYSTEMD = "/lib/systemd/systemd"

# Where systemd looks for what is installed below other prefixes, too.
PLACES = {"system": "usr/lib/systemd/system", "sysusers.d": "usr/lib/sysusers.d",
          "catalog": "usr/lib/systemd/catalog"}


class Missing(Exception):
    """Why there is no machine."""


def cannot(why):
    """Skips a case, or fails it where all of them are wanted."""
    lacking(why, "IMD_TEST_NEED_MACHINE")


def check_system():
    if os.geteuid() != 0:
        raise Missing("it takes root")
    for program in (SYSTEMD, "unshare", "nsenter", "make"):
        if not shutil.which(program):
            raise Missing(f"{program} is not installed")


def make(*arguments):
    """make in the build directory, as if it were not called by another one."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    made = subprocess.run(["make", "-s", "-C", BUILD, *arguments], env=env, check=False, encoding="utf-8",
                          errors="replace", stdin=subprocess.DEVNULL, capture_output=True)
    equal(made.returncode, 0, f"make {arguments}: {made.stdout[-1000:]}{made.stderr[-1000:]}")


def stage_move(stage, unit):
    """Has what is installed below another prefix stand in /usr/local: the unit's sandbox hides /tmp and
    the homes, where the prefix of a trial may be."""
    with open(unit, encoding="utf-8") as file:
        text = file.read()
    sbin = os.path.dirname(re.search(r"^ExecStart=(\S+)", text, re.M).group(1))
    prefix = os.path.dirname(sbin)
    if prefix in ("/usr", "/usr/local"):
        return
    with open(unit, "w", encoding="utf-8") as file:
        file.write(text.replace(sbin, "/usr/local/sbin"))
    shutil.copytree(stage + prefix, stage + "/usr/local", dirs_exist_ok=True)
    shutil.rmtree(stage + prefix)


def stage_install(stage):
    """make install below a directory, with the files for systemd where it looks for them."""
    make("install", f"DESTDIR={stage}")
    stage_move(stage, glob.glob(f"{stage}/**/imd.service", recursive=True)[0])
    for directory, _, names in list(os.walk(stage)):
        place = PLACES.get(os.path.basename(directory))
        if place and names and os.path.relpath(directory, stage) != place:
            shutil.copytree(directory, os.path.join(stage, place), dirs_exist_ok=True)


class Machine:
    """Boots at once, with the files of a directory laid over those of the system."""

    def __init__(self, stage):
        self.scratch = tempfile.mkdtemp(prefix="imd-machine.", dir="/var/tmp")
        self.log = os.path.join(self.scratch, "log")
        self.init = self.imd = self.imctl = None
        with open(self.log, "wb") as log:
            self.process = spawn(["unshare", "--mount", SCRIPT, "up", self.scratch, stage],
                                 stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        kept.append(self.process)
        atexit.register(self.down)
        try:
            await_that(self.is_up, "the machine is up")
        except Failed:
            self.give_up("it does not come up")

    def give_up(self, why):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            said = file.read()[-1000:]
        self.down()
        raise Missing(f"{why}: {said}")

    def is_up(self):
        if self.process.poll() is not None:
            self.give_up("it cannot be booted here")
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:
            children = file.read().split()
        try:
            with open(f"/proc/{children[0]}/comm", encoding="ascii") as file:
                if file.read().strip() != os.path.basename(SYSTEMD):
                    return False
        except (IndexError, OSError):  # not there yet, or not any more
            return False
        self.init = children[0]
        return self.run("systemctl", "is-system-running")[1].strip() in ("running", "degraded")

    def enter(self, *arguments):
        """The words of a command that runs another one inside."""
        return ["nsenter", "-t", self.init, "-m", "-p", "-u", "-i", "-n", "-C", "-r", "-w", "--",
                *arguments]

    def run(self, *arguments):
        """Runs a program to its end: its status, standard output and standard error."""
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": "cat", "SYSTEMD_COLORS": "0"}
        done = subprocess.run(self.enter(*arguments), stdin=subprocess.DEVNULL, capture_output=True,
                              check=False, timeout=TIMEOUT_S, encoding="utf-8", errors="surrogateescape",
                              env=env)
        return done.returncode, done.stdout, done.stderr

    def good(self, *arguments):
        """The same, but it must go well: its standard output."""
        status, out, err = self.run(*arguments)
        equal(status, 0, f"{' '.join(arguments)}: {out}{err}")
        return out

    def path(self, path):
        """What a path of the machine is called outside."""
        return f"/proc/{self.init}/root{path}"

    def write(self, path, text):
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), "w", encoding="utf-8") as file:
            file.write(text)

    def client(self):
        return Client(self.path("/run/imd.sock"))

    def down(self):
        if not os.path.isdir(self.scratch):
            return
        kill(self.process)
        # Its processes are gone only a little later, and its control groups not before them.
        await_that(lambda: subprocess.run(["unshare", "--mount", SCRIPT, "down", self.scratch],
                                          capture_output=True, check=False).returncode == 0,
                   "the machine is taken away")
        shutil.rmtree(self.scratch)


class Knocking:
    """Connects to the socket without a pause, and notes each time that it was refused."""

    def __init__(self, path):
        self.path = path
        self.refused = []
        self.answered = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.knock)

    def knock(self):
        while not self.over.is_set():
            try:
                with Client(self.path) as client:
                    # One that got in while the daemon ends is told so.
                    client.send("PING\n")
                    line = client.line()
                    self.answered += line is not None and line.kind == "OK"
            except (ConnectionResetError, BrokenPipeError):
                continue
            except (OSError, Failed) as problem:
                self.refused.append(problem)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Shared:
    """The machine that all cases of a program use, and why there is none."""

    machine = None
    missing = None


def machine(stage_into=stage_install):
    """That machine, booted by the first case that asks. What is installed in it is put into a
    directory by a function."""
    if Shared.machine is None and Shared.missing is None:
        try:
            check_system()
            with tempfile.TemporaryDirectory(prefix="imd-stage.") as stage:
                os.chmod(stage, 0o755)
                stage_into(stage)
                Shared.machine = Machine(stage)
        except Missing as why:
            Shared.missing = str(why)
    if Shared.missing is not None:
        cannot(f"no systemd of its own: {Shared.missing}")
    return Shared.machine
