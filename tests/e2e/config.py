#!/usr/bin/env python3
"""The files that imd is configured by: which are read, in what order, what overrides what, and what is said
of mistakes in them; and what becomes of them when they are read again."""

import os
import re
import subprocess
import time

from imdtest import (IMD, Daemon, await_that, case, environment, equal, expect, main, matches, new_path, reload, run,
                     write)


def imd(*arguments, env=None):
    return run(IMD, *arguments, env=env or environment())


def refused(pattern, *arguments, status=6):
    got, out, err = imd(*arguments)
    equal((got, out), (status, ""), f"imd {arguments}: {err!r}")
    equal(len(err.splitlines()), 1, f"lines of {err!r}")
    matches(pattern, err, f"imd {arguments}")


def printed(*arguments):
    """section: {key: value} of --print-config, and its text."""
    status, out, err = imd("--print-config", *arguments)
    equal((status, err), (0, ""), f"imd --print-config {arguments}")
    sections = {}
    for line in out.splitlines():
        if line.startswith("["):
            sections[line[1:-1]] = current = {}
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            current[key] = value
    return sections, out


# ---- which files ------------------------------------------------------------------------------------

@case
def files_are_read_in_their_order():
    path = write(new_path("etc") + "/main", "[imd]\nretries=1\nkeep-specs=2\nmax-groups=3\nkeep-nodes=4\n")
    write(path + ".d/20.conf", "[imd]\nkeep-specs=20\nmax-groups=20\n")
    write(path + ".d/100.conf", "[imd]\nkeep-specs=100\n")  # its name comes before 20.conf
    write(path + ".d/30.conf", "[imd]\nmax-groups=30\n")
    write(path + ".d/40.conf.off", "[imd]\nnonsense\n")
    write(path + ".d/.50.conf", "[imd]\nnonsense\n")
    sections, _ = printed(f"--config={path}", "--keep-nodes=5")
    equal([sections["imd"][key] for key in ("retries", "keep-specs", "max-groups", "keep-nodes")],
          ["1", "20", "30", "5"], "settings")
    status, out, err = imd("-c", path, "--check-config")
    equal((status, err), (0, ""), "--check-config")
    equal(out.splitlines(), [f"{path}: read", f"{path}.d/100.conf: read", f"{path}.d/20.conf: read",
                             f"{path}.d/30.conf: read", "all settings are sound"], "what was read")


@case
def the_usual_files():
    folder = new_path("etc")
    env = dict(os.environ, CONFIGURATION_DIRECTORY=folder)
    status, out, err = imd("--check-config", env=env)
    equal((status, out, err), (0, f"no settings files: neither {folder}/imd.conf nor files in {folder}/imd.conf.d\n"
                                  "all settings are sound\n", ""), "none")
    write(folder + "/imd.conf.d/web.conf", "[group web]\nmax-surge=1\n")
    status, out, _ = imd("--check-config", env=env)
    equal(out, f"{folder}/imd.conf.d/web.conf: read\ngroups: web\nall settings are sound\n", "one beside it")
    write(folder + "/imd.conf", "[imd]\nretries=x\n")
    status, _, err = imd("--check-config", env=env)
    equal(status, 6, err)
    matches(rf"^imd: {folder}/imd.conf:2: \[imd\] retries must be", err, "the mistake")
    for option in ("--help", "--version"):
        equal(imd(option, env=env)[0], 0, f"{option} with a bad file")


@case
def files_that_cannot_be_read():
    path = new_path("none")
    refused(f"^imd: {path} cannot be read: No such file", f"--config={path}")
    refused(f"^imd: {path} cannot be read: No such file", f"--config={path}", "--check-config")
    os.mkdir(path)
    refused(f"^imd: {path} is not a regular file", f"--config={path}")
    refused("^imd: /proc/self/mem cannot be read: Input/output error", "--config=/proc/self/mem")
    path = write(new_path("etc") + "/main", "")
    os.makedirs(path + ".d/folder.conf")
    refused("folder.conf is not a regular file", f"--config={path}")
    path = write(new_path("etc") + "/main", b"[imd]\nretries=1\0\n")
    refused(f"^imd: {path}:2: the line has a NUL byte", f"--config={path}")


@case
def a_pipe_is_not_waited_for():
    """Nobody may ever open its other end."""
    folder = new_path("etc")
    path = write(folder + "/imd.conf", "")
    pipe = path + ".d/web.conf"
    os.mkdir(path + ".d")
    os.mkfifo(pipe)
    refused(f"^imd: {pipe} is not a regular file", f"--config={path}")
    refused(f"^imd: {pipe} is not a regular file", f"--config={pipe}")
    status, _, err = imd("--check-config", env=dict(os.environ, CONFIGURATION_DIRECTORY=folder))
    equal(status, 6, err)
    os.rename(pipe, path)
    status, _, err = imd("--check-config", env=dict(os.environ, CONFIGURATION_DIRECTORY=folder))
    equal((status, err), (6, f"imd: {path} is not a regular file\n"), "the usual main file")


@case
def no_settings_at_all():
    """The null device is what programs are told to read nothing from."""
    equal(imd("--check-config", "--config=/dev/null"), (0, "/dev/null: read\nall settings are sound\n", ""), "it")


# ---- mistakes ---------------------------------------------------------------------------------------

@case
def mistakes_are_named():
    path = write(new_path("etc") + "/main", "[imd]\nretries=1\n")
    part = write(path + ".d/web.conf", "# of the web\n\n[group web]\nmax-surge=lots\n")
    refused(rf'^imd: {part}:4: \[group web\] max-surge must be .*; "lots"', "-c", path)
    refused(rf'^imd: {part}:4: \[group web\] max-surge must be .*; "lots"', "-c", path, "--print-config")
    refused("^imd: --max-surge must be", "-c", path, "--max-surge=many", status=2)
    write(part, "[imd]\nretry-delay=2m\n")
    refused(rf"^imd: {part}:2: \[imd\] retry-max must not be below retry-delay", "-c", path)
    refused("^imd: --retry-max must not be below --retry-delay", "-c", path, "--retry-max=3s", status=2)
    equal(imd("-c", path, "--retry-max=3m", "--check-config")[0], 0, "an option puts it right")


# ---- what is in effect ------------------------------------------------------------------------------

@case
def what_is_printed_can_be_read_back():
    path = write(new_path("etc") + "/main", """
[imd]
socket=/srv/a b=c#d.sock
socket-mode=0600
state=/srv/state;1
max-surge=150%
min-ready=1500ms
retry-delay=90s
retry-max=2h
log-level=debug
[driver mock]
delay=5ms-2m
seed=18446744073709551615
fail-version=2,9223372036854775807
flaky=0.000001
[group web]
max-unavailable=0
min-ready=90s
[group empty]
[group a..__--9]
max-surge=25%
max-parallel=7
""")
    sections, text = printed("-c", path, "--keep-graphs=7")
    again = write(new_path("etc") + "/again", text)
    equal(printed("-c", again)[1], text, "read back")
    equal(sections["imd"]["socket"], "/srv/a b=c#d.sock", "socket")
    equal(sections["imd"]["keep-graphs"], "7", "an option")
    equal(sections["imd"]["heal-max"], "5m", "a default")
    equal(sections["driver mock"], {"delay": "5ms-2m", "seed": "18446744073709551615",
                                    "fail-version": "2,9223372036854775807", "flaky": "0.000001"}, "mock")
    equal(sections["group web"], {"max-unavailable": "0", "min-ready": "90s"}, "web")
    equal(sections["group empty"], {}, "a group without settings")
    _, defaults = printed()
    expect("#seed=\n" in defaults and "#fail-version=\n" in defaults, defaults)
    again = write(new_path("etc") + "/defaults", defaults)
    equal(printed("-c", again)[1], defaults, "the defaults read back")


@case
def what_cannot_stand_in_a_file_is_not_printed():
    for path in ("/srv/a\nb", "/srv/ ;b", "/srv/b ", "/srv/" + "x" * 300):
        status, _, err = imd("--print-config", f"--socket={path}")
        equal(status, 1, f"{path!r}: {err}")
        matches("socket cannot stand in a file", err, path)


@case
def what_is_wrong_in_a_line_is_said():
    path = write(new_path("etc") + "/main", "")
    for line, wrong in (("retrys=3", r"\[imd\] has no key retrys; it has retries, retry-delay, retry-max; see imd.conf"),
                        ("zzz=3", r"\[imd\] has no key zzz; see imd.conf\(5\) for all"),
                        ("=3", "there is no key before the ="),
                        ("retries: 3", "a key and its value are parted by =, and not by :"),
                        ("#" * 198, "the line is too long: 197 bytes are the most")):
        write(path, f"[imd]\n{line}\n")
        refused(rf"^imd: {path}:2: {wrong}", "-c", path)
    write(path, f"[imd]\r\n{'#' * 197}\r\n# a: b\r\n; a: b\r\nsocket=/srv/a:b\r\n")
    equal(printed("-c", path)[0]["imd"]["socket"], "/srv/a:b", "lines that end in CR LF")


@case
def a_long_path_is_told_by_its_end():
    path = write(os.path.join(new_path("etc"), *["long-name"] * 20, "imd.conf.d", "50-web.conf"), "[imd]\nzzz=3\n")
    refused(r"^imd: \.\.\..*/imd.conf.d/50-web.conf:2: \[imd\] has no key zzz", "-c", path)
    refused(r"^imd: \.\.\..*/imd.conf.d/60-web.conf cannot be read: ", "-c", path.replace("50-", "60-"))


@case
def a_file_of_any_size_is_not_read():
    path = write(new_path("etc") + "/main", "[imd]\n")
    os.truncate(path, 1 << 40)
    refused(f"^imd: {path} cannot be read: File too large", "-c", path)


@case
def what_cannot_be_written_is_no_success():
    with open("/dev/full", "wb") as full:
        for option in ("--print-config", "--check-config", "--help", "--version"):
            done = subprocess.run([IMD, option], stdout=full, stderr=subprocess.PIPE, env=environment(), check=False,
                                  encoding="utf-8")
            equal((done.returncode, done.stderr), (1, "imd: standard output: No space left on device\n"), option)


@case
def every_setting_may_stand_in_a_file():
    """Each value that --print-config tells is taken from a file that has nothing else."""
    sections, _ = printed("--mock-seed=1", "--mock-fail-version=1")
    expect(len(sections["imd"]) > 15, sections)
    for section, settings in sections.items():
        for key, value in settings.items():
            path = write(new_path("etc") + "/one", f"[{section}]\n{key}={value}\n")
            equal(printed("-c", path)[0][section][key], value, f"[{section}] {key}")


@case
def the_example_is_sound():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "contrib")
    with open(os.path.join(folder, "imd.conf.example"), encoding="utf-8") as file:
        text = file.read()
    path = write(new_path("etc") + "/example", text)
    state = "--state=/var/lib/imd/imd.db"
    equal(printed("-c", path, state)[1], printed(state)[1], "the example changes nothing")
    path = write(new_path("etc") + "/all", re.sub(r"^#([a-z[].*[^=\n])$", r"\1", text, flags=re.M))
    sections, _ = printed("-c", path)
    defaults, _ = printed(state)
    expect(sections.pop("group web"), "the group of the example")
    equal(sections, defaults, "what the example calls the default")


# ---- groups -----------------------------------------------------------------------------------------

@case
def groups_have_policies_of_their_own():
    path = write(new_path("etc") + "/main", """
[group web]
max-surge=2
min-ready=0
[imd]
max-unavailable=0
max-surge=1
[group default]
max-parallel=3
""")
    keys = ("max-surge", "max-unavailable", "max-parallel")
    with Daemon("--mock-delay=0", f"--config={path}", "--max-unavailable=2") as imd_:
        client = imd_.client()

        def policy(group):
            record = client.ok(f"SPEC group={group}").one("SPEC")
            return [record[key] for key in keys]

        equal(policy("default"), ["1", "2", "3"], "the default group, before its first spec")
        equal(client.ok("PLAN 3 1 group=web").end["max-live"], "5", "a plan for a group that is not there")
        for group in ("web", "db", "default"):
            client.ok(f"UPDATE 3 1 group={group}")
        equal(policy("web"), ["2", "2", "0"], "web")
        equal(policy("db"), ["1", "2", "0"], "db")
        equal(policy("default"), ["1", "2", "3"], "default")
        client.ok("UPDATE 3 2 group=web max-surge=0 max-unavailable=1")
        equal(policy("web"), ["0", "1", "0"], "what a request says comes first")


# ---- reading them again -----------------------------------------------------------------------------

def configured(text, *options):
    """A daemon with a file of its own, and that file."""
    path = write(new_path("etc") + "/imd.conf", text)
    return Daemon(f"--config={path}", *options), path


@case
def a_reload_is_told_to_the_manager():
    daemon, _ = configured("")
    with daemon:
        for _ in range(3):
            before = time.monotonic_ns() // 1000
            told = reload(daemon)
            expect(before <= told <= time.monotonic_ns() // 1000, f"{told} is not when it began, {before}")
    equal(len(re.findall("^<5>reloaded files=1$", daemon.log(), re.M)), 3, daemon.log())


@case
def a_reload_loses_neither_client_nor_task():
    daemon, path = configured("[driver mock]\ndelay=1h\n")
    with daemon:
        client, watcher = daemon.client(), daemon.client()
        watcher.ok("WATCH ALL group=*")
        graph = client.ok("UPDATE 3 1").end["graph"]
        watcher.await_event("task-started", task="2")
        client.send("UPDATE 3 ")
        client.await_read()
        write(path, "[imd]\nmax-unavailable=3\nretries=9\n[driver mock]\ndelay=0\n[group web]\nmax-surge=2\n")
        reload(daemon)
        matches(r'^<5>reloaded files=1 changed="mock-delay,max-unavailable,retries,group web"$', daemon.log(), "log")
        client.send("2 group=web\n")
        made = client.reply().end["graph"]
        watcher.await_end(made)
        spec = client.ok("SPEC group=web").one("SPEC")
        equal([spec["max-surge"], spec["max-unavailable"]], ["2", "3"], "the policy of web")
        equal(client.ok("SPEC").one("SPEC")["max-unavailable"], "1", "a spec that was declared before")
        equal([task["state"] for task in client.ok(f"TASKS {graph}").of("TASK") if task["action"] == "start_node"],
              ["running"] * 3, "tasks in flight")
        equal(client.stat("watchers"), "1", "watchers")
        os.remove(path)
        reload(daemon)
        matches(rf'^<3>reload-failed error="{path} cannot be read: No such', daemon.log(), "without its file")


def usual(text):
    """A daemon with the usual files, none of which needs to be there; and the main one."""
    folder = new_path("etc")
    path = write(folder + "/imd.conf", text)
    return Daemon(env={"CONFIGURATION_DIRECTORY": folder}), path


@case
def a_main_file_that_is_gone_changes_nothing():
    """As between two steps of an editor: what it says of who may do what would be gone with it."""
    daemon, path = usual("[imd]\nmax-surge=1\n")
    with daemon:
        client = daemon.client()
        os.rename(path, path + "~")
        for _ in range(2):
            reload(daemon)
            equal(client.ok("SPEC").one("SPEC")["max-surge"], "1", "while it is gone")
        equal(re.findall("^<3>reload-failed error=(.*)$", daemon.log(), re.M),
              [f'"{path} was read before and is gone; only a restart goes on without it"'] * 2, "log")
        write(path + "~", "[imd]\nmax-surge=2\n")
        os.rename(path + "~", path)
        reload(daemon)
        equal(client.ok("SPEC").one("SPEC")["max-surge"], "2", "when it is back")
        os.rename(os.path.dirname(path), os.path.dirname(path) + "~")
        reload(daemon)
        equal(client.ok("SPEC").one("SPEC")["max-surge"], "2", "without its directory")


@case
def a_part_may_go_and_a_main_file_may_come():
    daemon, path = usual("")
    os.remove(path)
    part = write(path + ".d/web.conf", "[imd]\nmax-surge=1\n")
    with daemon:
        client = daemon.client()

        def surge():
            reload(daemon)
            return client.ok("SPEC").one("SPEC")["max-surge"]

        expect("reload-failed" not in daemon.log(), daemon.log())
        write(path, "[imd]\nmax-parallel=1\n")
        equal(surge(), "1", "with both")
        os.remove(part)
        equal(surge(), "0", "without the part")
        expect("reload-failed" not in daemon.log(), daemon.log())


@case
def a_reload_does_not_wait_for_a_pipe():
    daemon, path = configured("[imd]\nmax-surge=1\n")
    with daemon:
        pipe = path + ".d/web.conf"
        os.mkdir(path + ".d")
        os.mkfifo(pipe)
        reload(daemon)
        matches(f'^<3>reload-failed error="{pipe} is not a regular file"$', daemon.log(), "log")
        equal(daemon.client().ok("SPEC").one("SPEC")["max-surge"], "1", "the settings")


@case
def a_group_without_a_spec_shows_the_policy_to_come():
    daemon, path = configured("")
    with daemon:
        client = daemon.client()
        equal(client.ok("SPEC").one("SPEC")["max-surge"], "0", "before")
        write(path, "[group default]\nmax-surge=7\n")
        reload(daemon)
        equal(client.ok("SPEC").one("SPEC")["max-surge"], "7", "behind")
        write(path, "")
        reload(daemon)
        equal(client.ok("SPEC").one("SPEC")["max-surge"], "0", "without the section")
        equal(re.findall("^<5>reloaded .*", daemon.log(), re.M),
              ['<5>reloaded files=1 changed="group default"'] * 2, "log")


@case
def a_bad_file_changes_nothing():
    daemon, path = configured("[imd]\nmax-surge=1\n")
    with daemon:
        client = daemon.client()
        for text, wrong in (("[imd]\nmax-surge=2\nretries=x\n", r":3: [imd] retries must be"),
                            ("[imd]\nmax-surge=2\nheal-delay=20m\n", ":3: [imd] heal-max must not be below"),
                            ("[imd]\nmax-surge=2\n[group web]\nretries=1\n", ":4: [group web] has no key")):
            write(path, text)
            reload(daemon)
            expect(f'<3>reload-failed error="{path}{wrong}' in daemon.log(), wrong, daemon.log())
            equal(client.ok("SPEC").one("SPEC")["max-surge"], "1", text)


@case
def what_needs_a_restart_is_said_each_time():
    daemon, path = configured("[imd]\nmax-surge=1\n")
    with daemon:
        client = daemon.client()
        write(path, "[imd]\nsocket=/nowhere/sock\nstate=/nowhere/db\nsocket-mode=0600\nmax-surge=2\n")
        for _ in range(2):
            reload(daemon)
        log = daemon.log()
        equal(len(re.findall(r"^<4>needs-restart setting=state running=\S+ configured=/nowhere/db$", log, re.M)), 2,
              log)
        equal(len(re.findall(r"^<4>needs-restart setting=socket-mode running=0660 configured=0600$", log, re.M)), 2,
              log)
        expect("setting=socket " not in log, "an option overrides the file", log)
        equal(client.ok("SPEC").one("SPEC")["max-surge"], "2", "the rest is applied")
        equal(daemon.client().stat("driver"), "mock", "driver")
        equal(client.ok("UPDATE 0 1").code, None, "UPDATE")


@case
def options_override_what_is_read_again():
    daemon, path = configured("[imd]\nmax-surge=1\n", "--max-surge=5")
    with daemon:
        write(path, "[imd]\nmax-surge=2\nmax-parallel=3\n")
        reload(daemon)
        spec = daemon.client().ok("SPEC").one("SPEC")
        equal([spec["max-surge"], spec["max-parallel"]], ["5", "3"], "policy")


@case
def fewer_clients():
    daemon, path = configured("[imd]\nmax-clients=3\n")
    with daemon:
        clients = [daemon.client() for _ in range(3)]
        for client in clients:
            client.ok("PING")
        write(path, "[imd]\nmax-clients=2\n")
        reload(daemon)
        for client in clients:
            client.ok("PING")
        clients.pop().close()
        clients[0].ok("PING")
        equal(daemon.client().line().code, "too-many", "one more")
        clients.pop().close()
        await_that(lambda: clients[0].stat("clients") == "1", "a client is gone")
        daemon.client().ok("PING")


@case
def fewer_of_what_is_kept():
    daemon, path = configured("", "--mock-delay=0")
    with daemon:
        client, watcher = daemon.client(), daemon.client()
        watcher.ok("WATCH ALL")
        for version in range(30):
            watcher.await_end(client.ok(f"UPDATE 3 {version}").end["graph"])
        equal(len(client.ok("SPECS").records), 30, "revisions")
        write(path, "[imd]\nkeep-specs=2\nkeep-graphs=3\nkeep-nodes=4\nkeep-events=5\nkeep-tasks=0\n")
        reload(daemon)
        equal(len(client.ok("SPECS").records), 30, "revisions, until the next commit")
        watcher.await_end(client.ok("UPDATE 3 40").end["graph"])
        equal(len(client.ok("SPECS").records), 2, "revisions")
        equal(len(client.ok("GRAPHS").records), 3, "graphs")
        equal(len(client.ok("NODES all=yes").records), 3 + 4, "nodes")
        expect(int(client.stat("ring-events")) <= 5, "events", client.stat("ring-events"))
        last = int(client.stat("events"))
        client.fails(f"WATCH ALL since={last - 6}", "gone")
        for graph in client.ok("GRAPHS").records:
            expect(client.ok(f"TASKS {graph['id']}").records, "tasks of", graph)
        write(path, "[imd]\nmax-groups=1\n")
        reload(daemon)
        client.fails("UPDATE 1 1 group=one-more", "too-many")


@case
def another_mock_driver():
    daemon, path = configured("[driver mock]\ndelay=0\n", "--retries=0")
    with daemon:
        client, watcher = daemon.client(), daemon.client()
        watcher.ok("WATCH GRAPHS")
        equal(watcher.await_end(client.ok("UPDATE 2 1").end["graph"])[-1].type, "graph-succeeded", "1")
        write(path, "[driver mock]\ndelay=0\nfail-version=2,3\nseed=5\n")
        reload(daemon)
        equal(watcher.await_end(client.ok("UPDATE 2 2").end["graph"])[-1].type, "graph-failed", "2")
        write(path, "[driver mock]\ndelay=0\nfail-version=3\n")
        reload(daemon)
        equal(watcher.await_end(client.ok("UPDATE 2 2").end["graph"])[-1].type, "graph-succeeded", "2 again")
        equal(re.findall("changed=(.*)$", daemon.log(), re.M),
              ["mock-seed,mock-fail-version"] * 2, "log")


@case
def another_log_level():
    daemon, path = configured("[imd]\nlog-level=err\n")
    with daemon:
        reload(daemon)
        equal(daemon.log(), "", "the log of errors")
        write(path, "[imd]\nlog-level=info\n")
        reload(daemon)
        equal(daemon.log(), "<5>reloaded files=1 changed=log-level\n", "the log")


@case
def reloads_in_a_storm_of_requests():
    texts = ["[imd]\nkeep-events=1\nkeep-graphs=1\nkeep-specs=1\nkeep-nodes=0\nkeep-tasks=0\n",
             "[imd]\nkeep-events=1000\nmax-surge=2\n[group web]\nmax-surge=1\n",
             "[imd]\nretries=0\nkeep-nodes=3\nkeep-graphs=2\n[driver mock]\ndelay=0-2ms\nflaky=0.1\n", "[imd]\nno\n"]
    daemon, path = configured("", "--mock-delay=0")
    with daemon:
        clients = [daemon.client() for _ in range(4)]
        for number in range(40):
            for client in clients:
                client.send(f"UPDATE {number % 9} {number} group=web\nUPDATE 20 {number}\nNODES all=yes\n"
                            "GRAPHS group=*\nSPECS\n")
            # In one step, as an editor does it: half a file would be another story.
            os.rename(write(path + "~", texts[number % 4]), path)
            reload(daemon)
            for client in clients:
                for _ in range(5):
                    expect(client.reply().code in (None, "gone"), "a reply")
        write(path, "")
        reload(daemon)
        watcher = daemon.client()
        watcher.ok("WATCH ALL")
        watcher.await_end(clients[0].ok("UPDATE 1 100").end["graph"])
        equal(clients[0].stat("clients"), "5", "clients")
        equal(clients[0].stat("commits-failed"), "0", "commits that failed")


main()
