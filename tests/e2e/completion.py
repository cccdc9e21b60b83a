#!/usr/bin/env python3
"""The completions of imctl in the shells themselves: commands, options, and the groups and ids of an imd
that runs. The cases of a shell that is not installed are skipped, and fail if IMD_TEST_NEED_SHELLS is set."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import subprocess
import termios
import time

from imctl_lib import FakeDaemon
from imdtest import (IMCTL, TIMEOUT_S, Daemon, Failed, case, children, environment, equal, expect, kill, lacking, main,
                     matches, need_imctl, new_path, run)

SHELLS = ("bash", "zsh", "fish")


def need(shell):
    need_imctl()
    if not shutil.which(shell):
        lacking(f"{shell} is not installed", "IMD_TEST_NEED_SHELLS")


def script(shell):
    status, out, err = run(IMCTL, "completion", shell)
    equal((status, err), (0, ""), f"imctl completion {shell}")
    return out


def script_path(shell, name=None):
    """Where the script is, for a shell to source; a name of its own is what zsh needs."""
    folder = new_path(shell)
    os.mkdir(folder)
    path = os.path.join(folder, name or f"imctl.{shell}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(script(shell))
    return path


def shell_environment(**more):
    """One in which imctl is the one under test, and nothing of the user's is read."""
    return environment(PATH=f"{os.path.dirname(IMCTL)}:{os.environ['PATH']}", HOME=new_path("home"),
                       TERM="xterm", **more)


def overview():
    """name: its options, of all commands; and the options of every command."""
    status, out, err = run(IMCTL, "--json", "help")
    equal(status, 0, err)
    table = json.loads(out)
    every = [option["name"] for option in table["options"]]
    return {command["name"]: [option["name"] for option in command["options"]] + every
            for command in table["commands"]}


def words_behind(names, first=None):
    """What may follow: the first words of all commands, or the second ones of a family."""
    if first is None:
        return sorted({name.split()[0] for name in names})
    return sorted(name.split()[1] for name in names if name.startswith(first + " "))


def families(names):
    return sorted({name.split()[0] for name in names if " " in name})


def example(names, options="--mock-delay=0"):
    """A daemon with groups and nodes; its client, and what ids there are by now."""
    imd = Daemon(options)
    client, watcher = imd.client(), imd.client()
    watcher.ok("WATCH GRAPHS group=*")
    for name in names:
        watcher.await_end(client.ok(f"UPDATE 3 1 group={name}").end["graph"])
    return imd, client


def ids(client, what, group="*"):
    return sorted(record["id"] for record in client.ok(f"{what} group={group}").records)


# ---- what all have ----------------------------------------------------------------------------------

@case
def every_row_is_in_every_script():
    need_imctl()
    table = overview()
    expect(len(table) > 20, table)
    for shell in SHELLS:
        text = script(shell)
        for name, options in table.items():
            expect(name in text or shell == "fish", f"{name} is not in the script for {shell}")
            for word in name.split():
                matches(rf"(^|[ '(]){word}\b", text, f"the script for {shell}")
            for option in options:
                expect(f"--{option}" in text or f"-l {option} " in text, f"--{option} in that for {shell}")
        equal(json.loads(run(IMCTL, "--json", "completion", shell)[1]), {"script": text}, "as JSON")


@case
def a_shell_that_is_not_known():
    need_imctl()
    status, out, err = run(IMCTL, "completion", "tcsh")
    equal((status, out), (2, ""), "imctl completion tcsh")
    matches("bash zsh fish.*'tcsh'", err, "imctl completion tcsh")
    equal(run(IMCTL, "completion")[0], 2, "imctl completion")


# ---- bash -------------------------------------------------------------------------------------------

DEFAULT_BREAKS = " \t\n\"'><=;|&(:"

BASH = """
COMP_WORDBREAKS=$1; source "$2"
COMP_LINE=$3; COMP_POINT=${#COMP_LINE}
_imctl imctl "$4"
printf '%s\\n' "${COMPREPLY[@]}"
"""


class Bash:
    """Asks bash, as it asks the function: by the line, and by what it takes for the word that is completed.
    No quotes here: what bash makes of these is tried on a terminal."""

    def __init__(self, imd=None, breaks=DEFAULT_BREAKS):
        need("bash")
        self.path = script_path("bash")
        self.breaks = breaks
        self.env = shell_environment(IMD_SOCKET=imd.path if imd else new_path("nobody"))

    def __call__(self, line):
        word = re.split(f"[{re.escape(self.breaks)}]", line)[-1]
        status, out, err = run("bash", "--norc", "-c", BASH, "bash", self.breaks, self.path, line, word,
                               env=self.env)
        equal((status, err), (0, ""), f"bash, completing {line!r}")
        return sorted(out.split())


@case
def bash_completes_commands():
    bash, names = Bash(), overview()
    equal(bash("imctl "), words_behind(names), "first words")
    equal(bash("imctl n"), ["nodes"], "n")
    equal(bash("imctl -q --timeout 3s n"), ["nodes"], "n behind options")
    equal(bash("imctl -qs /nowhere n"), ["nodes"], "n behind letters")
    equal(bash("imctl -- n"), ["nodes"], "n behind the end of options")
    for family in families(names):
        equal(bash(f"imctl {family} "), words_behind(names, family), family)
        equal(bash(f"imctl help {family} "), words_behind(names, family), f"help {family}")
    equal(bash("imctl help up"), ["update"], "help up")
    equal(bash("imctl graphs stream-"), ["stream-tasks"], "graphs stream-")
    equal(bash("imctl completion "), sorted(SHELLS), "shells")
    for line in ("imctl frobnicate ", "imctl nodes frobnicate ", "imctl update ", "imctl ping ", "imctl help ping "):
        equal(bash(line), [], line)


@case
def bash_completes_options():
    bash = Bash()
    for name, options in overview().items():
        equal(bash(f"imctl {name} -"), sorted("--" + option for option in options), name)
    equal(bash("imctl update 3 1 --max-s"), ["--max-surge"], "--max-s")
    equal(bash("imctl --js"), ["--json"], "--js")
    equal(bash("imctl --json nodes ls --j"), [], "--j, which is given")
    equal(bash("imctl update --max-surge "), [], "a value that is not known")
    expect("--all" in bash("imctl nodes ls --al"), "an option of one command")


@case
def bash_completes_groups_and_ids():
    imd, client = example(("web", "worker", "db.main"))
    with imd:
        groups = ["db.main", "default", "web", "worker"]
        for breaks in (DEFAULT_BREAKS, DEFAULT_BREAKS.replace("=", "")):
            bash = Bash(imd, breaks)
            for line, wanted in (("imctl -g ", groups), ("imctl --group w", ["web", "worker"]),
                                 ("imctl nodes ls -g d", ["db.main", "default"]),
                                 ("imctl -gw", ["-gweb", "-gworker"]), ("imctl -qgwe", ["-qgweb"])):
                equal(bash(line), wanted, line)
            prefix = "" if "=" in breaks else "--group="
            equal(bash("imctl spec --group=w"), [prefix + "web", prefix + "worker"], "--group=w")
            equal(bash("imctl spec --group="), [prefix + group for group in groups], "--group=")
        bash = Bash(imd)
        nodes, graphs = ids(client, "NODES"), ids(client, "GRAPHS")
        for command in ("get", "kill", "mark"):
            equal(bash(f"imctl nodes {command} "), nodes, f"nodes {command}")
        for command in ("get", "cancel", "stream-tasks", "dot"):
            equal(bash(f"imctl graphs {command} "), graphs, f"graphs {command}")
        equal(bash(f"imctl nodes get {nodes[0][:6]}"), [id for id in nodes if id[:6] == nodes[0][:6]], "a prefix")
        equal(bash(f"imctl nodes get {nodes[0]} "), [], "behind an id")
        for line in ("imctl -g web nodes get ", "imctl --group=web nodes get ", "imctl nodes get -gweb "):
            equal(bash(line), ids(client, "NODES", "web"), line)
        stranger = Bash()
        equal(stranger("imctl nodes get "), [], "without imd")
        equal(stranger("imctl -g "), [], "without imd")
        for line in (f"imctl -s {imd.path} -g w", f"imctl --socket={imd.path} -g w", f"imctl -s{imd.path} -g w",
                     f"imctl -qs {imd.path} -qg w", f"imctl -qs{imd.path} -g w"):
            equal(stranger(line), ["web", "worker"], line)


@case
def bash_completes_files():
    bash = Bash()
    folder = new_path("files")
    os.mkdir(folder)
    for name in ("state.db", "sock"):
        with open(os.path.join(folder, name), "wb"):
            pass
    for line, prefix in (("imctl backup ", ""), ("imctl -s ", ""), ("imctl --socket ", ""), ("imctl --socket=", ""),
                         ("imctl -s", "-s"), ("imctl -qs", "-qs")):
        equal(bash(f"{line}{folder}/s"), [f"{prefix}{folder}/sock", f"{prefix}{folder}/state.db"], line)


@case
def what_imd_says_is_not_run():
    """An imctl that prints what a shell would run."""
    need("bash")
    folder = new_path("evil")
    os.mkdir(folder)
    evil = os.path.join(folder, "imctl")
    mark = os.path.join(folder, "mark")
    with open(evil, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\necho '$(touch {mark})' '`touch {mark}`'\n")
    os.chmod(evil, 0o755)
    bash = Bash()
    bash.env["PATH"] = f"{folder}:{os.environ['PATH']}"
    expect(bash("imctl -g "), "nothing was offered")
    expect(not os.path.exists(mark), "what imctl printed was run")


# ---- shells on a terminal ---------------------------------------------------------------------------

def control():
    """Makes the terminal that of the session; fish does not start without."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def open_quote(line):
    """The quote that is open at the end of the line, or nothing."""
    quote, escaped = "", False
    for char in line:
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif char == quote:
            quote = ""
        elif char in "'\"" and not quote:
            quote = char
    return quote


class Terminal:
    """A shell that reads keys, and shows its line when it gets a control-T."""

    def __init__(self, arguments, env, *setup):
        self.folder = new_path("cwd")
        os.mkdir(self.folder)
        self.leader, follower = pty.openpty()
        self.process = subprocess.Popen(arguments, stdin=follower, stdout=follower, stderr=follower, env=env,
                                        cwd=self.folder, start_new_session=True, preexec_fn=control)
        children.append(self.process)
        os.close(follower)
        self.output = ""
        self.type("\n".join([*setup, "echo rea''dy", ""]))
        self.await_pattern(r"ready\r?\n")

    def type(self, keys):
        os.write(self.leader, keys.encode())

    def await_pattern(self, pattern):
        deadline = time.monotonic() + TIMEOUT_S
        while not (match := re.search(pattern, self.output)):
            if not select.select([self.leader], [], [], deadline - time.monotonic())[0]:
                raise Failed(f"/{pattern}/ did not come: {self.output[-1000:]!r}")
            self.output += os.read(self.leader, 65536).decode("utf-8", "replace")
        self.output = self.output[match.end():]
        return match

    def complete(self, line):
        """What the line is after a tab."""
        self.type(line + "\t\x14")
        found = self.await_pattern(r"<<([^>]*)>>").group(1)
        self.type("\x15")
        return found

    def complete_and_run(self, line):
        """What the line is after a tab; then it is run, with the quote closed that it leaves open."""
        self.type(line + "\t\x14")
        found = self.await_pattern(r"(?s)<<(.*?)>>").group(1)
        self.type(open_quote(found) + "\n\x14")
        self.await_pattern(r"(?s)<<(.*?)>>")
        return found

    def close(self):
        os.close(self.leader)
        kill(self.process)


def completes_on_a_terminal(terminal, client):
    node = ids(client, "NODES")[0]
    graph = ids(client, "GRAPHS", "web")[0]
    for line, wanted in (("imctl grap", "imctl graphs "), ("imctl nodes ki", "imctl nodes kill "),
                         ("imctl update 3 1 --max-s", "imctl update 3 1 --max-surge "),
                         ("imctl nodes ls --al", "imctl nodes ls --all "),
                         ("imctl -g we", "imctl -g web "), ("imctl spec --group=we", "imctl spec --group=web "),
                         ("imctl -gwe", "imctl -gweb "), ("imctl -qgwe", "imctl -qgweb "),
                         (f"imctl nodes get {node[:13]}", f"imctl nodes get {node} "),
                         (f"imctl -g web graphs dot {graph[:2]}", f"imctl -g web graphs dot {graph} "),
                         ("imctl help upd", "imctl help update "), ("imctl completion fi", "imctl completion fish ")):
        equal(terminal.complete(line).rstrip(), wanted.rstrip(), line)


def completes_quoted_words(terminal):
    for line, wanted in (("imctl 'nod", "imctl 'nodes'"), ("imctl 'nodes' \"ki", "imctl 'nodes' \"kill\""),
                         ("imctl -g \"we", "imctl -g \"web\"")):
        equal(terminal.complete(line).rstrip(), wanted, line)


def completes_with_odd_sockets(terminal, imd):
    """Whether the shell asks the daemon whose socket has such a path; nobody is at the usual one."""
    folder = new_path("odd")
    os.mkdir(folder)
    for name in ("a b", "q'q", "back\\slash", "c:d", "e=f", "g;h", "$x"):
        os.symlink(imd.path, os.path.join(folder, name))
    for path in ("a\\ b", "'a b'", '"a b"', "q\\'q", '"q\'q"', "back\\\\slash", "'back\\slash'", "c:d", "e=f", "g\\;h",
                 "\\$x", "'$x'"):
        path = path[0] + f"{folder}/" + path[1:] if path[0] in "'\"" else f"{folder}/{path}"
        for option in ("-s ", "--socket "):
            line = f"imctl {option}{path} -g w"
            equal(terminal.complete(line).rstrip(), line + "eb", line)
    for option in ("-s", "-qs", "--socket="):
        for path in (f"{folder}/a\\ b", f"'{folder}/a b'"):
            line = f"imctl {option}{path} -g w"
            equal(terminal.complete(line).rstrip(), line + "eb", line)


def completes_at_home(terminal, imd, home):
    """With a socket in the home directory, and imctl itself there."""
    os.makedirs(home, exist_ok=True)  # fish has made it
    os.symlink(imd.path, os.path.join(home, "sk"))
    os.symlink(IMCTL, os.path.join(home, "imctl"))
    for line in ("imctl -s ~/sk -g w", "imctl --socket ~/sk -g w", "imctl -qs ~/sk spec --group=w",
                 "~/imctl -s ~/sk -g w"):
        equal(terminal.complete(line).rstrip(), line + "eb", line)
    # No shell takes such a ~ for the home directory, and so imctl would not find the socket.
    for line in ("imctl --socket=~/sk -g w", "imctl -s~/sk -g w"):
        equal(terminal.complete(line).rstrip(), line, line)


def runs_nothing(terminal):
    """Of the words before that which is completed; that one zsh itself expands at a tab."""
    mark = new_path("mark")
    for option in ("-s ", "-g ", "-s", "--socket="):
        for word in (f"$(touch {mark})", f"`touch {mark}`", f"\"$(touch {mark})/a\"", f"~/$(touch {mark})"):
            terminal.complete(f"imctl {option}{word} nodes get ")
    expect(not os.path.exists(mark), "what was typed was run")


def bash_terminal(env):
    need("bash")
    return Terminal(["bash", "--norc", "-i"], env, f"source {script_path('bash')}",
                    "show() { echo \"<<$READLINE_LINE>>\"; }", "bind -x '\"\\C-t\": show'",
                    "bind 'set enable-bracketed-paste off'")


def zsh_terminal(env):
    need("zsh")
    path = script_path("zsh", "_imctl")
    return Terminal(["zsh", "-f", "-i"], env, f"fpath=({os.path.dirname(path)} $fpath)",
                    "autoload -Uz compinit && compinit -u -D", "show() { print -r -- \"<<$BUFFER>>\" }",
                    "zle -N show", "bindkey '^T' show")


def fish_terminal(env):
    need("fish")
    return Terminal(["fish", "--no-config", "-i"], env, f"source {script_path('fish')}",
                    "function show; echo \"<<\"(commandline)\">>\"; end", "bind \\ct show")


def on_a_terminal(start):
    imd, client = example(("web",))
    with imd:
        terminal = start(shell_environment(IMD_SOCKET=imd.path))
        completes_on_a_terminal(terminal, client)
        completes_quoted_words(terminal)
        terminal.close()
        env = shell_environment(IMD_SOCKET=new_path("nobody"))
        terminal = start(env)
        completes_with_odd_sockets(terminal, imd)
        completes_at_home(terminal, imd, env["HOME"])
        runs_nothing(terminal)
        terminal.close()


# ---- hostile values -----------------------------------------------------------------------------------

# Each makes the file PWNED if the shell evaluates it, or would change what the line means.
HOSTILE = ("$(touch PWNED)", "`touch PWNED`", ";touch PWNED;", "x;touch PWNED #", "|touch PWNED", "&touch PWNED&",
           "x\ntouch PWNED\n", "x\rtouch PWNED\r", "\x1b;touch PWNED;", "\t;touch PWNED;", "';touch PWNED;'",
           "\";touch PWNED;\"", "\\;touch PWNED", "\n;touch PWNED;", "x\x7f;touch PWNED;", "a b", "--option",
           "-rf", "~", "*", "{a,b}", "!!", "=ls", "\x1b[2J", "\xe9", "x" * 64, "A", "..", "")
# Group names, but not ids.
PLAIN = ("web", "db.main_2-x")
LEADS = ("-g ", "--group=", "-g", "-g '", '-g "', "nodes get ", "nodes get '", 'graphs get "')


def wire(text):
    """The text in quotes, as the protocol has them."""
    return '"' + "".join(c if c.isalnum() or c in " .-_" else f"\\x{ord(c):02x}" for c in text) + '"'


class HostileDaemon(FakeDaemon):
    """Answers each request with a record that names `value` in every way."""

    def __init__(self, value=""):
        self.value = value

        def serve(daemon, connection, _):
            while request := daemon.next_request(connection):
                verb = request.split()[0]
                kind = {"GROUPS": "SPEC", "NODES": "NODE", "GRAPHS": "GRAPH"}.get(verb, "SPEC")
                key = "group" if kind == "SPEC" else "id"
                connection.send(f"{kind} {key}={wire(daemon.value)}\nOK\n")
        super().__init__(serve)


def hostile_program():
    """An imctl in a folder of its own that prints what is in the file `answer` next to it."""
    folder = new_path("evil")
    os.mkdir(folder)
    with open(os.path.join(folder, "imctl"), "w", encoding="utf-8") as file:
        file.write('#!/bin/sh\n[ "$1" = --timeout=1s ] && cat "${0%/*}/answer"\n')
    os.chmod(os.path.join(folder, "imctl"), 0o755)
    return folder


def expect_nothing_run(terminal, what):
    equal(os.listdir(terminal.folder), [], f"files made by {what}")


@case
def only_valid_names_and_ids_are_printed():
    """What completes, and what scripts read, is what --quiet prints."""
    need_imctl()
    with HostileDaemon() as daemon:
        for args in (("groups", "ls"), ("nodes", "ls"), ("graphs", "ls")):
            for value in HOSTILE + PLAIN:
                daemon.value = value
                good = value in PLAIN and args[0] == "groups"
                status, out, err = run(IMCTL, "-s", daemon.path, "-q", *args)
                equal((status, out), (0, value + "\n") if good else (1, ""), f"imctl -q {args} with {value!r}")
                expect(good or "valid" in err, f"{value!r}: {err!r}")


def offers_nothing_hostile(start):
    """Of what a hostile server says: no word of it comes into the line."""
    with HostileDaemon() as daemon:
        terminal = start(shell_environment(IMD_SOCKET=daemon.path))
        for value in HOSTILE:
            daemon.value = value
            for lead in LEADS:
                equal(terminal.complete_and_run("imctl " + lead).rstrip(), ("imctl " + lead).rstrip(),
                      f"{lead} with {value!r}")
        expect_nothing_run(terminal, "what the server says")
        daemon.value = PLAIN[1]
        matches(re.escape(PLAIN[1]), terminal.complete_and_run("imctl -g "), "a good name")
        terminal.close()


def quotes_what_imctl_prints(start):
    """Even if imctl itself printed such: what comes into the line is quoted, or nothing is."""
    folder = hostile_program()
    env = shell_environment()
    env["PATH"] = f"{folder}:{env['PATH']}"
    terminal = start(env)
    for value in HOSTILE:
        with open(os.path.join(folder, "answer"), "w", encoding="utf-8") as file:
            file.write(value + "\n")
        for lead in LEADS:
            terminal.complete_and_run("imctl " + lead)
            expect_nothing_run(terminal, f"{lead} with {value!r}")
    terminal.close()


def quotes_names_of_files(start):
    """Of a socket or a backup: a name that a shell would evaluate is quoted."""
    terminal = start(shell_environment(IMD_SOCKET=new_path("nobody")))
    names = [value for value in HOSTILE if value not in ("..", "") and not set(value) & set("\n\r\t/")]
    for value in names:
        folder = new_path("files")
        os.makedirs(os.path.join(folder, "s" + value))
        for lead in ("-s ", "--socket=", "-s", "-qs", "-s '", '-s "', "backup ", "backup '", 'backup "'):
            terminal.complete_and_run(f"imctl {lead}{folder}/")
            expect_nothing_run(terminal, f"{lead} with a file {value!r}")
    terminal.close()


def withstands(start):
    offers_nothing_hostile(start)
    quotes_what_imctl_prints(start)
    quotes_names_of_files(start)


@case
def bash_runs_nothing_that_a_server_says():
    withstands(bash_terminal)


@case
def zsh_runs_nothing_that_a_server_says():
    withstands(zsh_terminal)


@case
def fish_runs_nothing_that_a_server_says():
    withstands(fish_terminal)


@case
def bash_on_a_terminal():
    on_a_terminal(bash_terminal)


@case
def zsh_on_a_terminal():
    on_a_terminal(zsh_terminal)


@case
def fish_on_a_terminal():
    on_a_terminal(fish_terminal)


@case
def zsh_explains_words():
    terminal = zsh_terminal(shell_environment(IMD_SOCKET=new_path("nobody")))
    terminal.type("imctl nodes \t")
    for word in words_behind(overview(), "nodes"):
        terminal.await_pattern(rf"{word} +--")
    terminal.close()


# ---- fish -------------------------------------------------------------------------------------------

@case
def fish_completes():
    need("fish")
    path = script_path("fish")
    imd, client = example(("web", "worker"))
    with imd:
        env = shell_environment(IMD_SOCKET=imd.path)

        def fish(line):
            status, out, err = run("fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]", path, line,
                                   env=env)
            equal((status, err), (0, ""), f"fish, completing {line!r}")
            return sorted(text.partition("\t")[0] for text in out.splitlines())

        names = overview()
        equal(fish("imctl "), words_behind(names), "first words")
        for family in families(names):
            equal(fish(f"imctl -q --timeout 3s {family} "), words_behind(names, family), family)
            equal(fish(f"imctl help {family} "), words_behind(names, family), f"help {family}")
        for name, options in names.items():
            found = [word for word in fish(f"imctl {name} --")]
            equal(found, sorted("--" + option for option in options), name)
        for line, wanted in (("imctl -g ", ["default", "web", "worker"]), ("imctl spec --group=w",
                             ["--group=web", "--group=worker"]), ("imctl completion ", sorted(SHELLS)),
                             ("imctl update ", []), ("imctl help up", ["update"]), ("imctl help nodes ki", ["kill"]),
                             ("imctl help ping ", []), ("imctl help nodes kill ", [])):
            equal(fish(line), wanted, line)
        equal(fish("imctl nodes get "), ids(client, "NODES"), "ids of nodes")
        equal(fish("imctl -g web nodes get "), ids(client, "NODES", "web"), "ids of nodes of a group")
        for line in ("imctl -gweb nodes get ", "imctl -qgweb nodes get ", "imctl -qg web nodes get "):
            equal(fish(line), ids(client, "NODES", "web"), line)
        equal(fish("imctl nodes get --group=web "), ids(client, "NODES", "web"), "ids of nodes of a group")
        equal(fish("imctl graphs get "), ids(client, "GRAPHS"), "ids of graphs")
        env["IMD_SOCKET"] = new_path("nobody")
        equal(fish("imctl nodes get "), [], "without imd")
        equal(fish(f"imctl -s {imd.path} -g we"), ["web"], "with another socket")


main()
