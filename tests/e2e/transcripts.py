#!/usr/bin/env python3
"""Replays the transcripts of proto.txt, each against a daemon of its own. Their form is told there, in
the section Transcripts."""

import os
import re
import shlex

from imdtest import SOURCE, Daemon, Failed, add_case, case, equal, expect, main

PROTO = os.path.join(SOURCE, "proto.txt")
STEP = re.compile(r"(C|S)(2?):(?: (.*))?$")
ELLIPSIS = "..."


class Transcript:
    def __init__(self, name, options):
        self.name = name
        self.options = options
        self.steps = []  # (line number, "C" or "S", connection, text)


def read_transcripts():
    """All that proto.txt has; a line within one that is not of its form is an error."""
    found, current = [], None
    with open(PROTO, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            head = re.match(r"    # transcript: (\S+) *(.*)$", line)
            if head:
                current = Transcript(head.group(1), shlex.split(head.group(2)))
                found.append(current)
                continue
            if current is None:
                continue
            if not line.startswith("    "):
                current = None
                continue
            add_step(current, number, line[4:])
    return found


def add_step(transcript, number, text):
    match = STEP.match(text)
    if text == ELLIPSIS:
        transcript.steps.append((number, "S", None, ELLIPSIS))
    elif match:
        who, connection, rest = match.groups()
        transcript.steps.append((number, who, connection or "1", rest or ""))
    else:
        raise Failed(f"proto.txt:{number}: not a line of a transcript: {text}")


class Replay:
    def __init__(self, daemon, transcript):
        self.daemon = daemon
        self.transcript = transcript
        self.clients = {}
        self.ended = set()
        self.values = {}

    def client(self, connection):
        if connection not in self.clients:
            self.clients[connection] = self.daemon.client()
        return self.clients[connection]

    def request(self, text):
        """What is sent for a C: line: names replaced, repetitions made."""
        text = re.sub(r"<(.)\*(\d+)>", lambda m: m.group(1) * int(m.group(2)), text)
        return re.sub(r"<([a-z][a-z0-9-]*)>", lambda m: self.values[m.group(1)], text)

    def pattern(self, text):
        """A regular expression for an S: line; a name that has its value stands for that."""
        out, seen = [], set()
        for part in re.split(r"(<[a-z][a-z0-9-]*>)", text):
            name = part[1:-1]
            if not re.fullmatch(r"<[a-z][a-z0-9-]*>", part):
                out.append(re.escape(part))
            elif name == "time":
                out.append(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
            elif name.startswith("any"):
                out.append(r'[^\s"]+')
            elif name in self.values:
                out.append(re.escape(self.values[name]))
            elif name in seen:
                out.append(f"(?P={name.replace('-', '_')})")
            else:
                seen.add(name)
                out.append(rf"(?P<{name.replace('-', '_')}>[^\s\"]+)")
        return "".join(out)

    def fits(self, line, text):
        """Whether a line is what the transcript says; then its names have their values."""
        if line is None or text == "<eof>":
            return line is None and text == "<eof>"
        match = re.fullmatch(self.pattern(text), line.decode("utf-8", "surrogateescape"))
        if match:
            for name, value in match.groupdict().items():
                name = name.replace("_", "-")
                others = {other for other, its in self.values.items() if its == value}
                expect(not re.match("node|graph", name) or others <= {name},
                       f"{value} is <{name}> and <{', '.join(others)}>")
                self.values[name] = value
        return match is not None

    def expect_line(self, number, connection, text, skipping):
        while True:
            line = self.client(connection).raw_line()
            if self.fits(line, text):
                break
            if not skipping or line is None:
                known = re.sub(r"<([a-z][a-z0-9-]*)>",
                               lambda m: self.values.get(m.group(1), m.group()), text)
                raise Failed(f"proto.txt:{number}: wanted {known!r}, got "
                             f"{'the end' if line is None else line.decode('utf-8', 'replace')!r}")
        if text == "<eof>":
            self.ended.add(connection)

    def run(self):
        skipping = False
        pending = {}
        for number, who, connection, text in self.transcript.steps:
            if who == "C" and text != "<eof>":
                self.client(connection)
                pending[connection] = pending.get(connection, "") + self.request(text) + "\n"
                continue
            self.send(pending)
            if who == "C":
                self.client(connection).half_close()
            elif text == ELLIPSIS:
                skipping = True
            else:
                self.expect_line(number, connection, text, skipping)
                skipping = False
        self.send(pending)
        if not skipping:
            self.expect_no_more()

    def send(self, pending):
        for connection, data in pending.items():
            self.client(connection).send(data)
        pending.clear()

    def expect_no_more(self):
        """Nothing came that the transcript does not have."""
        halves = {connection for _, who, connection, text in self.transcript.steps
                  if who == "C" and text == "<eof>"}
        for connection, client in self.clients.items():
            if connection in self.ended:
                client.expect_closed()
            elif connection not in halves:
                client.send("PING\n")
                equal(client.raw_line(), b"OK", "what comes behind the transcript")


def replay(transcript):
    def run():
        with Daemon(*transcript.options) as imd:
            Replay(imd, transcript).run()
    return run


@case
def proto_txt_has_transcripts():
    found = read_transcripts()
    expect(found, "there are none in", PROTO)
    names = [transcript.name for transcript in found]
    equal(sorted(set(names)), sorted(names), "names")
    for transcript in found:
        expect({who for _, who, *_ in transcript.steps} == {"C", "S"},
               f"{transcript.name} has nothing that is asked, or nothing that is answered")


if os.path.exists(PROTO):
    for one in read_transcripts():
        add_case(one.name, replay(one))

main()
