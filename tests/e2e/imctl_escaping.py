#!/usr/bin/env python3
"""imctl escapes every character that acts on a terminal, or that hides or reorders text, in all that it prints."""

import json
import sys
import unicodedata

sys.dont_write_bytecode = True  # the tests may run from a source tree that is not theirs

from imctl_lib import (GRAPH, GRAPH_LINE, GRAPH_OK, IMCTL, NODE_A, NODE_B, STAMP, Client, FakeDaemon, Results, answers,
                       ask, environment, event, need)

results = Results()

# C1 controls (CSI, OSC and ST), DEL, zero-width characters and controls of bidirectional text.
VALUE = "x\x9b2J\x9d0;t\x9c\x7f\u061c\u200b\u200f\u2028\u202e\u2060\u2066\u2069\ufeffz"
WIRE = VALUE.replace("\x7f", "\\x7f")  # which has no control characters of ASCII in it
SHOWN = "".join(c if c.isascii() and c != "\x7f" else "".join(f"\\x{byte:02x}" for byte in c.encode()) for c in VALUE)
AS_JSON = json.dumps(VALUE)[1:-1].replace("\x7f", "\\u007f")

SPEC = f'SPEC group=default revision=4 size=3 version=2 created={STAMP} user="{WIRE}" note="{WIRE}"\n'
NODE = f'NODE id={NODE_A} slot=0 state=failed error="{WIRE}"\n'
GRAPH_AND_TASK = GRAPH_LINE.replace("reason=update", f'reason="{WIRE}"') + f'TASK graph={GRAPH} id=0 ' \
    f'action=start_node node={NODE_A} description="{WIRE}" state="{WIRE}" error="{WIRE}"\n'
NODE_EVENT = event(2, "node-state", f'node={NODE_A} state=failed error="{WIRE}"')
NEW_EVENT = f'EVENT 3 new-type a="{WIRE}"\n'
BYE = "ERR internal bye\n"

REPLIES = (
    (SPEC + "OK\n", "spec"), (SPEC + "OK\n", "specs", "ls"), (NODE + "OK\n", "nodes", "ls"),
    (NODE + "OK\n", "nodes", "get", "1111"), (GRAPH_AND_TASK + "OK\n", "graphs", "get", "aaaa"),
    (GRAPH_AND_TASK + GRAPH_OK, "plan", "3", "7"), ("OK seq=1\n" + NODE_EVENT + BYE, "nodes", "stream"),
    ("OK seq=1\n" + NEW_EVENT + BYE, "nodes", "stream"), (NODE + "OK\n", "raw", "NODES"),
    (f'OK x="{WIRE}"\n', "raw", "PING"), (f'STAT name="{WIRE}" value=1\nOK\n', "stats"))


def is_safe(text):
    return all(c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in text)


def strings_in(value):
    """All keys and values, joined."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    return "\n".join(strings_in(part) for part in value) if isinstance(value, list) else str(value)


def test_text_for_people():
    for reply, *args in REPLIES:
        done, _ = ask([reply], *args)
        results.case(f"{args} escapes", is_safe(done.stdout + done.stderr) and SHOWN in done.stdout, repr(done))


def test_json():
    for reply, *args in REPLIES:
        done, _ = ask([reply], "--json", *args)
        results.case(f"{args} as JSON escapes", is_safe(done.stdout + done.stderr) and AS_JSON in done.stdout, repr(done))
        values = [json.loads(line) for line in done.stdout.split("\n") if line]
        results.case(f"{args} as JSON keeps the value", VALUE in strings_in(values), repr(values))
    note = json.dumps("\"\\\\\x9b\\u009b\x1f ä 世 🙂 a\u0300", ensure_ascii=False)
    wire = note.replace("\\u001f", "\\x1f")
    done, _ = ask([f"NODE id={NODE_A} error={wire}\nOK\n"], "--json", "nodes", "get", "1111")
    results.case("other characters stay as they are", is_safe(done.stdout) and "ä 世 🙂 a\u0300\"" in done.stdout and
                 json.loads(done.stdout)["error"] == json.loads(note), repr(done))


def test_bytes_that_are_no_character():
    """0xf5 to 0xff begin no character of UTF-8, whatever comes after them."""
    for lead in range(0xf5, 0x100):
        data = bytes((lead, 0xba, 0xa9, 0xba))
        reply = f'NODE id={NODE_A} error="'.encode() + data + b'"\nOK\n'
        done, _ = ask([reply], "nodes", "ls")
        results.case(f"0x{lead:02x} is escaped", "".join(f"\\x{byte:02x}" for byte in data) in done.stdout and
                     is_safe(done.stdout), repr(done))
        done, _ = ask([reply], "--json", "nodes", "ls")
        results.case(f"0x{lead:02x} as JSON", is_safe(done.stdout), repr(done))


def test_messages():
    text = WIRE.replace("\\x7f", "")
    shown = SHOWN.replace("\\x7f", "")
    for args in (("spec",), ("--json", "nodes", "ls"), ("plan", "3", "7")):
        done, _ = ask([f"ERR internal {text}\n"], *args)
        results.equal(f"the message of {args}", done.stderr, f"imctl: internal: {shown}\n")
    done, _ = ask([f"{text}\n"], "spec")
    results.case("a line that is not understood", is_safe(done.stderr) and "\\xc2\\x9b2J" in done.stderr, repr(done))


def test_dot():
    """The labels show the escapes: dot reads a quoted backslash as one backslash."""
    reply = GRAPH_LINE + f'TASK graph={GRAPH} id=0 action=start_node node=a\x9bb description="\\"\\\\{WIRE}" ' \
        f'version="{WIRE}" prereqs=1,2\x9b,3 state=running\nOK\n'
    dot = ask([reply], "graphs", "dot", "aaaa")[0].stdout
    quoted = SHOWN.replace("\\", "\\\\")
    results.case("a picture escapes", is_safe(dot.replace("\t", "")) and f"\\\"\\\\{quoted}\\n" in dot and
                 f"\\nversion {quoted}\"" in dot and 'a\\\\xc2\\\\x9bb' in dot, repr(dot))
    results.case("its edges", dot.count(" -> ") == 3 and '"1" -> "0"' in dot and '"2\\\\xc2\\\\x9b" -> "0"' in dot, repr(dot))
    done, _ = ask([reply], "--json", "graphs", "dot", "aaaa")
    results.equal("a picture as JSON", json.loads(done.stdout), {"dot": dot})
    cut = GRAPH_LINE + f"TASK graph={GRAPH} id=0 action=start_node node=1234567ä state=running\nOK\n"
    dot = ask([cut], "graphs", "dot", "aaaa")[0].stdout
    results.case("a character that is cut", "\\n1234567\\\\xc3\"" in dot, repr(dot))


def test_metrics():
    text = WIRE.replace("\\x7f", "")
    reply = f'imd_x{{a="{text}"}} 1\nOK\n'
    done, _ = ask([reply], "metrics")
    results.equal("metrics escape", done.stdout, f'imd_x{{a="{SHOWN.replace(chr(92) + "x7f", "")}"}} 1\n')
    done, _ = ask([reply], "--json", "metrics")
    results.case("metrics as JSON", is_safe(done.stdout) and json.loads(done.stdout) ==
                 {"metrics": f'imd_x{{a="{text}"}} 1\n'}, repr(done))


def test_columns_line_up():
    """The width of a cell is that of its escapes, in a table as a whole and in one that flows, in any locale."""
    few = f'NODE id={NODE_A} state="{WIRE}" error=a\nNODE id={NODE_B} state=ää error=a\n'
    many = few + f"NODE id={NODE_B} state=running error=a\n" * 10000
    for rows, size in ((few, "few"), (many, "many")):
        for locale in ("C.UTF-8", "C"):
            with FakeDaemon(answers(rows + "OK\n")) as daemon:
                done = Client(daemon.path).run("nodes", "ls", env={**environment(), "LC_ALL": locale})
            lines = done.stdout.splitlines()
            results.case(f"columns, {size} rows, {locale}", SHOWN in lines[1] and "ää" in lines[2] and
                         {len(line) - 1 for line in lines[1:]} == {lines[0].index("ERROR")}, "\n".join(lines[:4]))


def main():
    need(IMCTL)
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
    return results.end()


if __name__ == "__main__":
    sys.exit(main())
