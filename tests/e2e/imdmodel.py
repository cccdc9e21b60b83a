"""What a watcher knows of nodes, graphs and tasks, and what must hold of the events that it gets."""

from imdtest import END_EVENTS, LIVE_STATES, Failed, equal, expect


class Model:
    """Nodes, graphs and tasks as records and events tell them."""

    def __init__(self):
        self.nodes = {}   # id: {group slot version state}, live ones
        self.graphs = {}  # id: state
        self.tasks = {}   # (graph, number): state

    def record(self, line):
        if line.kind == "NODE":
            if line["state"] in LIVE_STATES:
                self.nodes[line["id"]] = {
                    key: line[key] for key in ("group", "slot", "version", "state")}
        elif line.kind == "GRAPH":
            self.graphs[line["id"]] = line["state"]
        elif line.kind == "TASK":
            self.tasks[line["graph"], line["id"]] = line["state"]

    def event(self, line):
        if line.type == "node-started":
            self.nodes[line["id"]] = {
                key: line[key] for key in ("group", "slot", "version", "state")}
        elif line.type == "node-state":
            if line["state"] not in LIVE_STATES:
                self.nodes.pop(line["node"], None)
            elif line["node"] in self.nodes:
                self.nodes[line["node"]]["state"] = line["state"]
        elif line.type.startswith("graph-"):
            self.graphs[line["graph"]] = line["state"]
        elif line.type.startswith("task-"):
            self.tasks[line["graph"], line["task"]] = line["state"]
        else:
            raise Failed(f"an event of no known type: {line}")

    def live(self, group):
        return sum(node["group"] == group for node in self.nodes.values())

    def available(self, group):
        return sum(node["group"] == group and node["state"] == "running"
                   for node in self.nodes.values())


def amount_of(text, size, up):
    """What "2" or "25%" comes to: of a percentage, rounded up or down."""
    if not text.endswith("%"):
        return int(text)
    percents = int(text[:-1]) * size
    return -(-percents // 100) if up else percents // 100


def target_of(request):
    """How many live nodes the policy of an UPDATE allows at the most, and how many available ones it
    wants at the least."""
    options = dict(word.split("=", 1) for word in request.split() if "=" in word)
    size = int(request.split()[1])
    surge = amount_of(options.get("max-surge", "0"), size, True)
    unavailable = amount_of(options.get("max-unavailable", "1"), size, False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return size + surge, size - unavailable


def judge_bounds(events, targets, bounds, exact=True):
    """From events alone, which begin with nothing: never more live nodes in a group than the graph that
    is carried out allows, nor fewer available. `targets`: (group, revision) -> target_of();
    `bounds`: graph -> (min-available, max-live), as UPDATE answered. Not exact: a node may be running and
    not available yet."""
    model = Model()
    force = {}
    for event in events:
        group = event["group"]
        if event.type == "graph-started":
            live, available = model.live(group), model.available(group)
            ceiling, floor = targets[group, event["revision"]]
            wanted = max(0, min(available, floor)), max(live, ceiling)
            expect(event["graph"] in bounds or event["reason"] != "update", "an unknown graph:", event)
            low, high = force[group] = bounds.get(event["graph"], wanted)
            equal(high, wanted[1], f"max-live of {event}")
            if exact:
                equal(low, wanted[0], f"min-available of {event}")
            elif event["graph"] not in bounds:
                force[group] = 0, high
        model.event(event)
        if group not in force:
            continue
        low, high = force[group]
        live, available = model.live(group), model.available(group)
        expect(live <= high, f"{live} nodes of {group} are live, {high} the most allowed, at", event)
        expect(available >= low, f"{available} of {group} are available, {low} the fewest allowed, at",
               event)
    return model


def judge_ends(events):
    """A graph that began ends once, and no event of it comes after that one."""
    ended = {}
    begun = set()
    for event in events:
        graph = event.get("graph")
        if graph is None:
            continue
        expect(graph not in ended, f"an event behind the end {ended.get(graph)} of its graph:", event)
        if event.type == "graph-started":
            begun.add(graph)
        if event.type in END_EVENTS:
            ended[graph] = event
    equal(begun - set(ended), set(), "graphs that began and did not end")


# ---- what many tests do ---------------------------------------------------------------------------

def bounds_of(reply):
    return reply.end.number("min-available"), reply.end.number("max-live")


def nodes_of(client, group="default"):
    return [(node["slot"], node["version"], node["state"])
            for node in client.ok(f"NODES group={group}").records]


def update(client, watcher, request):
    """Declares a spec and waits for the graph to succeed. The reply and the events."""
    reply = client.ok(request)
    events = watcher.await_end(reply.end["graph"])
    equal(events[-1].type, "graph-succeeded", request)
    return reply, events
