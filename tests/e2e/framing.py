#!/usr/bin/env python3
"""Requests as bytes: however they are cut, joined, ended or spoiled, each gets its one answer."""

import re

from imdtest import (STAMP, UUID, Daemon, Skip, case, equal, expect, main, matches, sanitized)

REQUESTS = [
    'PING', 'help update', 'SPEC', 'UPDATE 2 1 note="a \\"b\\" \\\\ \\n\\r\\t \\x41"', 'NODES',
    'GRAPHS', 'PLAN 3 2 quiet=yes', '"PLAN" "3" 2 max-surge="1" quiet=yes', 'WATCH NODES initial=no',
    'WATCH ALL', 'UNWATCH', 'GROUPS', 'NODE ffffffff-ffff-4fff-8fff-ffffffffffff',
    'KILL 12', 'SPECS group=Nobody', 'NONSENSE a b c', 'UPDATE 1', '"unclosed', 'PING\t \t', '',
    'bad \x01 byte', 'SPEC\r', '  NODES   all=yes  ', 'GRAPHS group=*',
]


def normal(data):
    """A reply without what differs from one time to the next."""
    text = re.sub(UUID, "<id>", data.decode())
    text = re.sub(STAMP, "<time>", text)
    return re.sub(r"\b(revision|seq|state|waiting|running|succeeded)=\w+", r"\1=?", text)


def reply_text(reply):
    return normal(b"\n".join(line.raw for line in [*reply.records, reply.end]))


def answer(client):
    """What comes up to the answer of the PING that stands behind each request here."""
    texts = []
    while True:
        reply = client.reply()
        if str(reply.end).startswith("ERR unknown-command no command mark"):
            return texts
        texts.append(reply_text(reply))


def settled(client, watcher):
    """Two nodes at version 1, and nothing under way: later UPDATEs of it change only the revision."""
    watcher.ok("WATCH ALL")
    watcher.await_end(client.ok("UPDATE 2 1").end["graph"])


@case
def split_in_two_at_every_byte():
    with Daemon("--mock-delay=0") as imd:
        client = imd.client()
        settled(client, imd.client())
        for request in REQUESTS:
            line = request.encode() + b"\n"
            client.send(line + b"mark7\n")
            whole = answer(client)
            equal(len(whole), 1 if request else 0, f"replies to {request!r}")
            if request.startswith("WATCH"):
                client.ok("UNWATCH")
            for cut in range(1, len(line)):
                client.send(line[:cut])
                client.await_read()
                client.send(line[cut:] + b"mark7\n")
                equal(answer(client), whole, f"{request!r} cut behind byte {cut}")
                if request.startswith("WATCH"):
                    client.ok("UNWATCH")


@case
def byte_by_byte():
    with Daemon("--mock-delay=0") as imd:
        client = imd.client()
        settled(client, imd.client())
        for request in REQUESTS:
            line = request.encode() + b"\nmark7\n"
            client.send(line)
            whole = answer(client)
            if request.startswith("WATCH"):
                client.ok("UNWATCH")
            for byte in line:
                client.send(bytes([byte]))
                client.await_read()
            equal(answer(client), whole, f"{request!r} byte by byte")
            if request.startswith("WATCH"):
                client.ok("UNWATCH")


@case
def a_thousand_requests_in_one_write():
    with Daemon("--mock-delay=0") as imd:
        client = imd.client()
        batch = [f"HELP x{number}" if number % 3 else "SPEC" for number in range(1000)]
        client.send("".join(request + "\n" for request in batch))
        for number, request in enumerate(batch):
            reply = client.reply()
            if request == "SPEC":
                equal(len(reply.of("SPEC")), 1, f"reply {number}")
            else:
                matches(rf"\bx{number}\b", reply.text, f"reply {number}")
        client.ok("PING")


@case
def changes_and_reads_in_one_write_keep_their_order():
    with Daemon("--mock-delay=0") as imd:
        client = imd.client()
        rounds = 200
        client.send("".join(f"UPDATE {n % 4} {n} quiet=yes\nSPEC\nUPDATE x\n" for n in range(rounds)))
        for number in range(rounds):
            equal(client.reply().end["revision"], str(number + 1), "revision that UPDATE made")
            spec = client.reply().one("SPEC")
            equal((spec["revision"], spec["version"]), (str(number + 1), str(number)), "SPEC behind it")
            equal(client.reply().code, "bad-argument", "UPDATE x")


@case
def carriage_returns_and_empty_lines():
    with Daemon() as imd:
        client = imd.client()
        client.send("PING\r\n\r\n\n   \t \n\r\nSPEC\r\n\nHELP nix\r\n")
        equal(str(client.reply().end), "OK", "PING with CRLF")
        equal(len(client.reply().records), 1, "SPEC with CRLF")
        matches("no command nix;", client.reply().text, "the CR is no part of the word")
        client.fails("PING \rx", "bad-request", "control")
        client.fails("PING\r\r", "bad-request", "control")
        client.ok("PING")


@case
def half_closed_clients_are_answered():
    with Daemon("--mock-delay=0") as imd:
        client = imd.client()
        client.send("PING\nSPEC\nUPDATE 3 1\nNODES\nPI")
        client.half_close()
        equal([len(client.reply().records) for _ in range(3)], [0, 1, 5], "records of the replies")
        client.reply()
        client.expect_closed()


@case
def half_closed_watchers_get_their_events():
    with Daemon("--mock-delay=0") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.send("WATCH ALL\n")
        watcher.half_close()
        watcher.reply()
        for version in range(1, 20):
            watcher.await_end(client.ok(f"UPDATE 3 {version}").end["graph"])
        equal(client.stat("watchers"), "1", "watchers")
        watcher.close()
        client.ok("UPDATE 0 1")


@case
def a_part_of_a_line_at_the_end_is_dropped():
    with Daemon("--mock-delay=0") as imd:
        client = imd.client()
        for part in ("UPDATE 5 5", "QUIT", "x" * 5000, '"', "\0"):
            other = imd.client()
            other.send("PING\n" + part)
            other.half_close()
            equal(str(other.reply().end), "OK", "PING")
            rest = other.raw_line()
            expect(rest is None or (len(part) > 4097 and rest.startswith(b"ERR line-too-long")),
                   f"{part[:20]!r} without its LF is answered {rest}")
        equal(client.ok("SPEC").one("SPEC")["revision"], "0", "revision")


@case
def a_line_has_at_most_4096_bytes():
    with Daemon() as imd:
        client = imd.client()
        equal(str(client.ask("PING" + " " * 4092)), "OK", "4096 bytes")
        matches("no command x{40};", client.ask("HELP " + "x" * 4091).text, "4096 bytes")
        for length in (4097, 4098, 5000, 70_000, 1_000_000):
            for head in ("PING ", "x", '"', "\1"):
                client.send(head + "y" * (length - len(head)) + "\nSPEC\n")
                reply = client.reply()
                equal(reply.code, "line-too-long", f"{length} bytes that begin with {head!r}")
                matches("4096", reply.text, "the message")
                equal(client.reply().one("SPEC")["revision"], "0", "what came behind it")


@case
def an_endless_line_costs_nothing():
    if sanitized():
        raise Skip("the sanitizer keeps memory of its own")
    with Daemon() as imd:
        client = imd.client()
        client.ok("PING")
        before = imd.rss_kib()
        block = b"z" * (1 << 20)
        for _ in range(100):
            client.send(block)
        client.await_read()
        grown = imd.rss_kib() - before
        expect(grown < 1024, f"100 MiB without an LF cost {grown} KiB")
        client.send("\nPING\n")
        equal(client.reply().code, "line-too-long", "the line")
        equal(str(client.reply().end), "OK", "PING behind it")
        client.send(block * 3)
        client.send("\nSPEC\n")
        equal(client.reply().code, "line-too-long", "another line")
        equal(len(client.reply().records), 1, "SPEC behind it")


CONTROLS = [byte for byte in range(0x20) if byte not in (0x09, 0x0a)] + [0x7f]


@case
def control_bytes_are_rejected():
    with Daemon() as imd:
        client = imd.client()
        for byte in CONTROLS:
            control = bytes([byte])
            for line in (control + b"PING", b"PI" + control + b"NG", b"PING " + control + b" x",
                         b"UPDATE 1 1 note=a" + control + b"b",
                         b'UPDATE 1 1 note="a' + control + b'b"', control + control + b"x"):
                client.fails(line, "bad-request", "at byte [0-9]+")
            if byte != 0x0d:
                client.fails(b"PING" + control, "bad-request", "at byte 5")
        equal(client.ok("SPEC").one("SPEC")["revision"], "0", "revision")


@case
def bad_quotes_are_rejected():
    with Daemon() as imd:
        client = imd.client()
        for line in ('"', 'PING "', 'PING "a', 'a"b"', 'PING "a"b', 'PING note=a"b"', 'PING "\\q"',
                     'PING "\\', 'PING "\\"', 'PING "\\x"', 'PING "\\x4"', 'PING "\\xg0"',
                     'PING "\\x00"', 'UPDATE 1 1 note="\\x00"', 'PING note="a"b', '""""'):
            client.fails(line, "bad-request", "at byte [0-9]+")
        client.fails("PING " + "a " * 64, "bad-request", "64 words")
        client.ok('"PING"')
        client.fails('""', "unknown-command")
        client.fails('SPEC "group=default"', "bad-argument", "SPEC takes no arguments")
        equal(client.ok("SPEC").one("SPEC")["revision"], "0", "revision")


@case
def every_byte_value_comes_back():
    with Daemon("--mock-delay=0") as imd:
        client = imd.client()
        for byte in range(1, 256):
            client.ok(f'UPDATE 0 1 quiet=yes note="<\\x{byte:02x}\\x{byte:02X}>"')
            spec = client.ok("SPEC").one("SPEC")
            equal(spec["note"], f"<{chr(byte)}{chr(byte)}>", f"note with the byte {byte:#x}")
            expect(not re.search(rb"[\x00-\x1f\x7f]", spec.raw), "a control byte in", spec.raw)
        for byte in range(0x20, 256):
            if byte in (0x22, 0x5c, 0x7f):
                continue
            client.ok(b'UPDATE 0 1 quiet=yes note="<' + bytes([byte]) + b'>"')
            equal(client.ok("SPEC").one("SPEC")["note"], f"<{chr(byte)}>", f"raw byte {byte:#x}")
        every = "".join(chr(byte) for byte in range(1, 256))
        client.ok('UPDATE 0 1 note="' + "".join(f"\\x{ord(c):02x}" for c in every) + '"')
        equal(client.ok("SPEC").one("SPEC")["note"], every, "all of them")
        client.ok('UPDATE 0 1 note=""')
        equal(client.ok("SPEC").one("SPEC").get("note"), None, "an empty note is none")
        client.ok("UPDATE 0 1 note=max-surge=3")
        equal(client.ok("SPEC").one("SPEC")["note"], "max-surge=3", "a value with a `=`")


@case
def bytes_of_a_request_are_escaped_in_errors():
    with Daemon() as imd:
        client = imd.client()
        for line in ('HELP "\\x1b[31m\\n"', '"\\x07\\x7f"', 'NODE "\\x01\\x02ab"', 'UPDATE "\\n" 1',
                     'SPEC group="a\\nb"', 'WATCH "\\x1b"', 'UPDATE 1 1 if-revision="\\r"'):
            client.send(line + "\nPING\n")
            raw = client.raw_line()
            expect(raw.startswith(b"ERR "), f"{line}: {raw}")
            expect(not re.search(rb"[\x00-\x1f\x7f]", raw), f"a control byte in the answer: {raw}")
            equal(str(client.reply().end), "OK", "PING")


@case
def verbs_in_any_case():
    with Daemon() as imd:
        client = imd.client()
        for verb in ("PING", "ping", "Ping", "pInG"):
            equal(str(client.ok(verb).end), "OK", verb)
        for verb in ("PIN", "PINGS", "PING\x5b", "P", "0PING", "WATCHNODES", "UPDATEUPDATE", "p\xefng"):
            client.fails(verb, "unknown-command", "HELP")


@case
def nothing_is_answered_behind_quit():
    with Daemon("--mock-delay=0") as imd:
        client = imd.client()
        client.send("SPEC\nQUIT\nUPDATE 3 3\nPING\n")
        equal(len(client.reply().records), 1, "SPEC")
        equal(str(client.reply().end), "OK", "QUIT")
        client.expect_closed()
        equal(imd.client().ok("SPEC").one("SPEC")["revision"], "0", "revision")


main()
