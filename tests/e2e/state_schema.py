#!/usr/bin/env python3
"""The schema of a state file must be the one that imd makes: whatever else there is, is refused by its name before
anything of it runs."""

import os
import shutil
import sqlite3

from imdtest import Failed, case, expect, main, new_path
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
)

ROWS = {"daemon": "one = 1", "graphs": "serial = 1", "nodes": "serial = 1", "plans": "graph = 1",
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
