#!/usr/bin/env python3
"""The schema of a state file must be the one that imd makes: whatever else there is, is refused by its name before
anything of it runs."""

import os
import shutil
import sqlite3

from imdtest import IMD, Failed, Skip, case, equal, expect, main, matches, new_path, run
from statelib import checked, make_rich, refused_by_both

ENDLESS = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"

# What a stranger may have added or changed, and what is said of it.
CHANGES = (
    ("a view that never ends in place of a table",
     f"ALTER TABLE nodes RENAME TO kept; CREATE VIEW nodes AS {ENDLESS}", 'table "kept" does not belong there'),
    ("a table that never ends",
     f"CREATE VIEW endless AS {ENDLESS}", 'view "endless" does not belong there'),
    ("a trigger that swallows changes",
     "CREATE TRIGGER swallow BEFORE UPDATE ON specs BEGIN SELECT RAISE(IGNORE); END;"
     "CREATE TRIGGER swallow_too BEFORE INSERT ON specs BEGIN SELECT RAISE(IGNORE); END",
     'trigger "swallow" does not belong there'),
    ("a trigger that calls itself",
     "CREATE VIEW a_view AS SELECT 1 AS x;"
     "CREATE TRIGGER again INSTEAD OF INSERT ON a_view BEGIN INSERT INTO a_view VALUES (new.x + 1); END",
     'view "a_view" does not belong there'),
    ("a generated column",
     "ALTER TABLE nodes ADD COLUMN huge TEXT AS (hex(zeroblob(500000000)))", 'table "nodes" is not as imd made it'),
    ("an expression index",
     "CREATE INDEX costly ON nodes (hex(serial))", 'index "costly" does not belong there'),
    ("a table more", "CREATE TABLE zoo (a)", 'table "zoo" does not belong there'),
    ("a table of another name", "ALTER TABLE plans RENAME TO p", 'table "p" does not belong there'),
    ("statistics", "ANALYZE", 'table "sqlite_stat1" does not belong there'),
    ("a virtual table", "CREATE VIRTUAL TABLE search USING fts5(text)", 'table "search" does not belong there'),
    ("a table less", "DROP TABLE tasks", 'table "tasks" is missing'),
    ("a view less", "DROP VIEW running_tasks", 'view "running_tasks" is missing'),
    ("another view", "DROP VIEW live_nodes; CREATE VIEW live_nodes AS SELECT * FROM nodes",
     'view "live_nodes" is not as imd made it'),
    ("a column less", "DROP VIEW history; ALTER TABLE graphs DROP COLUMN cancelled_by", 'table "graphs" is not'),
)

# The same by writing into the schema itself.
FORGERIES = (
    ("a table that is not strict", "sql = replace(sql, ') STRICT', ')')", "name = 'nodes'", 'table "nodes" is not as'),
    ("a table without its check", "sql = replace(sql, ' CHECK (one = 1)', '')", "name = 'daemon'",
     'table "daemon" is not as'),
    ("a serial that may be any number", "sql = replace(sql, 'serial INTEGER PRIMARY KEY', 'serial ANY PRIMARY KEY')",
     "name = 'nodes'", 'table "nodes" is not as'),
    ("a default", "sql = replace(sql, 'marked INTEGER NOT NULL', 'marked INTEGER NOT NULL DEFAULT 1')",
     "name = 'nodes'", 'table "nodes" is not as'),
    ("a comment", "sql = sql || ' -- x'", "name = 'plans'", 'table "plans" is not as'),
    ("another word in quotes", "sql = replace(sql, '''running''', '''waiting''')", "name = 'running_tasks'",
     'view "running_tasks" is not as'),
)


def differs(told):
    """A pattern for what is said; in the log, quotes have a backslash before them."""
    return "its schema is not imd's: the " + told.replace('"', r'\\?"')


def changed(rich, sql):
    path = new_path("changed.db")
    shutil.copyfile(rich, path)
    rows = sqlite3.connect(path)
    try:
        rows.executescript(sql)
        rows.commit()
    finally:
        rows.close()
    return path


def forged(rich, setting, where):
    path = changed(rich, f"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET {setting} WHERE {where}")
    with open(rich, "rb") as before, open(path, "rb") as after:
        expect(before.read() != after.read(), f"the forgery changed nothing: {setting}")
    return path


@case
def a_schema_that_differs_is_refused_by_the_name_of_what_differs():
    rich = make_rich(new_path("rich"))
    for what, sql, told in CHANGES:
        path = changed(rich, sql)
        try:
            refused_by_both(path, differs(told))
        except Exception as problem:
            raise Failed(f"{what}: {problem}") from None


@case
def a_forged_schema_is_refused():
    rich = make_rich(new_path("rich"))
    for what, setting, where, told in FORGERIES:
        try:
            refused_by_both(forged(rich, setting, where), differs(told))
        except Exception as problem:
            raise Failed(f"{what}: {problem}") from None


# Values of a type that the schema forbids, and what is said of them.
VALUES = (
    ("nodes", "slot = 1.5", "nodes.*slot"),
    ("nodes", "state = x'72756e6e696e67'", "nodes.*state"),
    ("nodes", "error = x'37'", "nodes.*error"),
    ("tasks", "id = 'none'", "tasks.*id"),
    ("graphs", "tasks = 'many'", "graphs.*tasks"),
    ("graphs", "uid = 'root'", "graphs.*uid"),
    ("specs", "size = 3.5", "specs.*size"),
    ("specs", "note = x'6869'", "specs.*note"),
    ("plans", "tasks = 'none'", "plans.*tasks"),
    ("daemon", "event_seq = 'last'", "daemon.*event_seq"),
    ("daemon", "incarnation = x'00'", "daemon.*incarnation"),
    ("daemon", "incarnation = 7", "daemon.*incarnation"),
    ("daemon", "commits = 'many'", "daemon.*commits"),
    ("daemon", "commits = 1.5", "daemon.*commits"),
)

ROWS = {"daemon": "one = 1", "graphs": "serial = 1", "nodes": "serial = 1", "groups": "number = 1", "plans": "graph = 1",
        "specs": "group_name = 'web' AND revision = 1", "tasks": "graph = 1 AND id = 0"}


def with_value(rich, table, setting):
    """A copy with this in one row of a table that is said to be strict, and was not at that time."""
    path = new_path("value.db")
    shutil.copyfile(rich, path)
    strict = "UPDATE sqlite_schema SET sql = replace(sql, ') {}', ') {}') WHERE name = '" + table + "'"
    for sql in ("PRAGMA writable_schema = ON; " + strict.format("STRICT", "/*  */"),
                f"UPDATE {table} SET {setting} WHERE {ROWS[table]}",
                "PRAGMA writable_schema = ON; " + strict.format("/*  */", "STRICT")):
        rows = sqlite3.connect(path)
        rows.executescript(sql)
        rows.commit()
        rows.close()
    return path


@case
def a_value_of_another_type_is_refused():
    rich = make_rich(new_path("rich"))
    for table, setting, told in VALUES:
        try:
            refused_by_both(with_value(rich, table, setting), told)
        except Exception as problem:
            raise Failed(f"{table}: {setting}: {problem}") from None


# ---- values that are too long ------------------------------------------------------------------------------

# The longest value of each column that takes any text, and what is said of a longer one.
LENGTHS = (
    ("specs", "note", 1024, "table specs, row 1: invalid note"),
    ("specs", "user", 32, "table specs, row 1: invalid user"),
    ("graphs", "error", 255, "table graphs, row 1: invalid error"),
    ("tasks", "error", 255, "table tasks, row 0: invalid error"),
    ("nodes", "error", 255, "table nodes, row 1: invalid error"),
)

# Columns of which a long value is not valid in any case.
NAMES = (
    ("groups", "name"), ("groups", "next_graph"), ("specs", "group_name"), ("specs", "max_surge"), ("specs", "created"),
    ("graphs", "id"), ("graphs", "group_name"), ("graphs", "state"), ("nodes", "id"), ("nodes", "group_name"),
    ("nodes", "state"))

LARGE = 64 << 20
ROOM = 224 << 20  # of addresses: for the program, and for one or two large values


def with_text(rich, table, column, length, where=None):
    path = new_path("long.db")
    shutil.copyfile(rich, path)
    with sqlite3.connect(path) as rows:
        rows.execute(f"UPDATE {table} SET {column} = ? WHERE {where or ROWS[table]}", ("x" * length,))
    rows.close()
    return path


@case
def a_text_that_is_too_long_is_refused():
    rich = make_rich(new_path("rich"))
    for table, column, longest, told in LENGTHS:
        checked(with_text(rich, table, column, longest), 0, "sound")
        for length in (longest + 1, 1 << 20):
            refused_by_both(with_text(rich, table, column, length), told)
    for table, column in NAMES:
        refused_by_both(with_text(rich, table, column, 1 << 20), f"table {table}, row 1: invalid {column}")


def checked_in_little_memory(path, pattern):
    """With sanitizers a program has many more addresses; the file is refused all the same."""
    status, out, err = run("prlimit", f"--as={ROOM}", IMD, "--version")
    limit = [] if status else ["prlimit", f"--as={ROOM}"]
    status, out, err = run(*limit, IMD, f"--check-state={path}")
    equal((status, out), (1, ""), f"the check in little memory: {err}")
    matches(pattern, err, "the check in little memory")
    os.unlink(path)


@case
def a_large_text_takes_the_memory_of_one_value():
    rich = make_rich(new_path("rich"))
    if not shutil.which("prlimit"):
        raise Skip("prlimit is not installed")
    checked_in_little_memory(with_text(rich, "nodes", "error", LARGE), "table nodes, row 1: invalid error")
    checked_in_little_memory(with_text(rich, "groups", "name", LARGE), "table groups, row 1: invalid name")
    checked_in_little_memory(with_text(rich, "graphs", "id", LARGE, "serial < 5"), "table graphs, row 1: invalid id")


@case
def a_number_of_tasks_that_is_too_large_is_refused():
    rich = make_rich(new_path("rich"))
    for number in (1 << 32, (1 << 63) - 1):
        refused_by_both(changed(rich, f"UPDATE graphs SET tasks = {number} WHERE finished IS NOT NULL"),
                        r"table graphs, row \d+: invalid tasks")


# ---- rows that do not fit together -------------------------------------------------------------------------

# One change each, and the place that is named.
MISFITS = (
    ("DELETE FROM daemon", "table daemon: its row is missing"),
    ("UPDATE daemon SET incarnation = 'none'", "table daemon, row 1: invalid incarnation"),
    ("UPDATE daemon SET incarnation = '00000000-0000-0000-0000-000000000000'",
     "table daemon, row 1: invalid incarnation"),
    ("UPDATE daemon SET incarnation = ''", "table daemon, row 1: invalid incarnation"),
    ("UPDATE daemon SET incarnation = incarnation || 'x'", "table daemon, row 1: invalid incarnation"),
    ("UPDATE daemon SET commits = -1", "table daemon, row 1: invalid commits"),
    ("UPDATE daemon SET commits = 9223372036854775807", "table daemon, row 1: invalid commits"),
    ("UPDATE plans SET tasks = x'ff' WHERE graph = 1", "table plans, graph 1: the plan is damaged"),
    ("DELETE FROM plans WHERE graph = 1", "table plans: no row for graph 1, which has tasks"),
    ("UPDATE groups SET name = 'a b' WHERE number = 1", "table groups, row 1: "),
    ("UPDATE specs SET group_name = 'nosuch' WHERE group_name = 'web' AND revision = 1",
     r'table specs, row 1: no such group: \\?"nosuch\\?"'),
    ("DELETE FROM specs WHERE group_name = 'web' AND revision = 2", "table specs, row 3: .*a revision is missing"),
    ("UPDATE graphs SET id = (SELECT id FROM graphs WHERE serial = 1) WHERE serial = 2",
     "table graphs, row 2: .*a graph is there twice"),
    ("UPDATE nodes SET id = (SELECT min(id) FROM nodes WHERE serial < (SELECT max(serial) FROM nodes))"
     " WHERE serial = (SELECT max(serial) FROM nodes)",
     r"table nodes, row \d+: .*a node is there twice"),
    ("DELETE FROM nodes WHERE state = 'starting'",
     r"a task runs on a node that is not there, in group \S+, graph \d+, task \d+"),
)


@case
def rows_that_do_not_fit_together_are_named():
    rich = make_rich(new_path("rich"))
    for sql, told in MISFITS:
        try:
            refused_by_both(changed(rich, sql), told)
        except Exception as problem:
            raise Failed(f"{sql}: {problem}") from None


@case
def rows_of_graphs_that_do_not_exist_are_refused_by_a_check():
    rich = make_rich(new_path("rich"))
    numbers = "WITH RECURSIVE n(i) AS (VALUES (5000) UNION ALL SELECT i + 1 FROM n WHERE i < 5999)"
    for table, rows in (("plans", "i, x'00'"),
                        ("tasks", "i, 0, 'start_node', NULL, NULL, NULL, 'running', 1, '', NULL, NULL")):
        checked(changed(rich, f"INSERT INTO {table} {numbers} SELECT {rows} FROM n"), 1,
                f"table {table}: 1000 rows of graphs that do not exist; the first is of graph 5000")
        checked(changed(rich, f"INSERT INTO {table} {numbers} SELECT {rows} FROM n LIMIT 1"), 1, f"table {table}: 1 row")


@case
def a_schema_of_many_objects_is_not_read_to_its_end():
    rich = make_rich(new_path("rich"))
    views = ";".join(f"CREATE VIEW v{number} AS SELECT 1" for number in range(5000))
    refused_by_both(changed(rich, f"BEGIN; {views}; COMMIT"), "its schema is too large")


@case
def a_text_of_sql_that_is_too_long_is_refused():
    rich = make_rich(new_path("rich"))
    refused_by_both(changed(rich, f"CREATE VIEW long AS SELECT '{'x' * 100000}'"), "too big")


@case
def another_encoding_is_refused():
    path = new_path("utf16.db")
    with sqlite3.connect(make_rich(new_path("rich"))) as rich:
        dump = "\n".join(rich.iterdump())
    rows = sqlite3.connect(path)
    rows.executescript("PRAGMA encoding = 'UTF-16le'; PRAGMA application_id = 1768776819; PRAGMA user_version = 2;")
    rows.executescript(dump)
    rows.close()
    refused_by_both(path, "not in UTF-8")


@case
def white_space_in_the_schema_does_not_matter():
    """The first states of version 1 have less of it."""
    rich = make_rich(new_path("rich"))
    checked(forged(rich, "sql = replace(replace(sql, ',  ', ',\t'), '(  ', '( \n ')", "type = 'table'"), 0, "sound")


@case
def a_dump_that_was_read_back_is_served():
    path = new_path("restored.db")
    with sqlite3.connect(make_rich(new_path("rich"))) as rich:
        dump = "\n".join(rich.iterdump())
        numbers = {name: rich.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")}
    rows = sqlite3.connect(path)
    rows.executescript("".join(f"PRAGMA {name} = {number};" for name, number in numbers.items()) + dump)
    rows.close()
    os.chmod(path, 0o600)
    checked(path, 0, "sound: groups=4 ")


main()
