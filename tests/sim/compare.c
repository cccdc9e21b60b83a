/* Compares what is stored with what the core knows, field by field: whatever the core changes without
 * naming it is found here. */
#include "sim.h"

#define SAME(condition, ...)                           \
	do {                                           \
		if (!(condition))                      \
			sim_fail(sim, "the store is not as the core: " __VA_ARGS__); \
	} while (0)

static bool text_same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool sim_same_origin(const struct origin *a, const struct origin *b)
{
	return strcmp(a->user, b->user) == 0 && (!origin_known(a) || a->uid == b->uid);
}

static bool policy_same(const struct policy *a, const struct policy *b)
{
	return a->max_surge.value == b->max_surge.value &&
		a->max_surge.percent == b->max_surge.percent &&
		a->max_unavailable.value == b->max_unavailable.value &&
		a->max_unavailable.percent == b->max_unavailable.percent &&
		a->max_parallel == b->max_parallel && a->min_ready_ms == b->min_ready_ms;
}

static bool spec_same(const struct spec *a, const struct spec *b)
{
	return a->revision == b->revision && a->size == b->size && a->version == b->version &&
		policy_same(&a->policy, &b->policy) && a->created_us == b->created_us &&
		sim_same_origin(&a->origin, &b->origin) &&
		a->reason == b->reason && text_same(a->note, b->note);
}

static void compare_task(struct sim *sim, const struct graph *graph, uint32_t number,
	const struct graph_row *row)
{
	const struct task *a = &graph->tasks[number], *b = &row->tasks[number].task;

	SAME(id_equal(&a->node, &b->node) && a->version == b->version && a->slot == b->slot &&
			a->action == b->action && a->description == b->description,
		"task %u of graph %s is another one", number, sim_id(&graph->id));
	SAME(a->state == b->state, "task %u of graph %s is %s, stored as %s", number,
		sim_id(&graph->id), task_state_name(a->state), task_state_name(b->state));
	SAME(a->attempt == b->attempt && a->started_us == b->started_us &&
			a->finished_us == b->finished_us,
		"attempt or times of task %u of graph %s", number, sim_id(&graph->id));
	SAME(text_same(graph_task_error(graph, number), row->tasks[number].error),
		"error of task %u of graph %s", number, sim_id(&graph->id));
}

static void compare_graph(struct sim *sim, const struct core *core, const struct graph *graph)
{
	const struct graph_row *row = rows_graph(&sim->storage.rows, &graph->id);
	const struct graph *stored;

	SAME(row, "graph %s is not stored", sim_id(&graph->id));
	stored = &row->graph;
	SAME(strcmp(row->group, core->groups[graph->group]->name) == 0, "group of a graph");
	SAME(stored->serial == graph->serial, "serial of graph %s is %llu, stored as %llu",
		sim_id(&graph->id), (unsigned long long)graph->serial,
		(unsigned long long)stored->serial);
	SAME(stored->state == graph->state, "graph %s is %s, stored as %s", sim_id(&graph->id),
		graph_state_name(graph->state), graph_state_name(stored->state));
	SAME(stored->revision == graph->revision && stored->reason == graph->reason &&
			stored->task_count == graph->task_count &&
			stored->edge_count == graph->edge_count &&
			stored->min_available == graph->min_available &&
			stored->max_live == graph->max_live &&
			stored->failed_task == graph->failed_task,
		"numbers of graph %s", sim_id(&graph->id));
	SAME(stored->created_us == graph->created_us && stored->started_us == graph->started_us &&
			stored->dropped_us == graph->dropped_us &&
			stored->finished_us == graph->finished_us,
		"times of graph %s", sim_id(&graph->id));
	/* What is at work is told by the tasks; what has ended may be without them. */
	SAME(graph->finished_us == 0 ||
			memcmp(stored->counts, graph->counts, sizeof stored->counts) == 0,
		"counts of graph %s", sim_id(&graph->id));
	SAME(sim_same_origin(&stored->origin, &graph->origin) &&
			sim_same_origin(&stored->canceller, &graph->canceller),
		"who asked for graph %s, or cancelled it", sim_id(&graph->id));
	SAME(origin_known(&graph->origin) ==
				(graph->reason == REASON_UPDATE || graph->reason == REASON_KILL) &&
			origin_known(&graph->canceller) == (graph->state == GRAPH_CANCELLED),
		"whether somebody asked for graph %s, or cancelled it", sim_id(&graph->id));
	SAME(id_equal(&stored->successor, &graph->successor), "successor of graph %s",
		sim_id(&graph->id));
	SAME(text_same(stored->error, graph->error), "error of graph %s", sim_id(&graph->id));
	if (!graph_loaded(graph))
		return;
	SAME(memcmp(row->prereqs, graph->prereqs, graph->edge_count * sizeof(uint32_t)) == 0,
		"edges of graph %s", sim_id(&graph->id));
	for (uint32_t t = 0; t < graph->task_count; t++)
		compare_task(sim, graph, t, row);
}

static void compare_node(struct sim *sim, const struct core *core, const struct node *node)
{
	const struct node_row *row = rows_node(&sim->storage.rows, &node->id);
	const struct origin *marker = node_marker(&core->nodes, node);
	const struct node *stored;

	SAME(row, "node %s is not stored", sim_id(&node->id));
	stored = &row->node;
	SAME(strcmp(row->group, core->groups[node->group]->name) == 0, "group of a node");
	SAME(stored->state == node->state && stored->op == node->op,
		"node %s is %s with op %d, stored as %s with op %d", sim_id(&node->id),
		node_state_name(node->state), node->op, node_state_name(stored->state),
		stored->op);
	SAME(stored->version == node->version && stored->revision == node->revision &&
			stored->slot == node->slot && stored->marked == node->marked,
		"version, revision, slot or mark of node %s", sim_id(&node->id));
	SAME(marker ? sim_same_origin(&row->marker, marker) : !origin_known(&row->marker),
		"who marked node %s", sim_id(&node->id));
	SAME(node->marked == (marker != NULL), "whether somebody marked node %s", sim_id(&node->id));
	SAME(stored->created_us == node->created_us && stored->started_us == node->started_us &&
			(node_live(node) || stored->finished_us == node->finished_us),
		"times of node %s", sim_id(&node->id));
	SAME(text_same(stored->error, node->error), "error of node %s", sim_id(&node->id));
}

static void compare_group(struct sim *sim, const struct group *group)
{
	const struct group_row *row = rows_group(&sim->storage.rows, group->name);
	const struct spec_ring *ring = &group->specs;

	if (!row) {
		SAME(group->index == 0 && group->spec.revision == 0, "group %s is not stored",
			group->name);
		return;
	}
	SAME(id_equal(&row->next_graph, &group->next_graph) &&
			row->proven_revision == group->proven_revision,
		"next graph or proven revision of group %s", group->name);
	SAME(row->spec_count == ring->count, "group %s has %u specs, stored %u", group->name,
		ring->count, row->spec_count);
	for (uint32_t i = 0; i < ring->count; i++)
		SAME(spec_same(&row->specs[i], group_spec_from(group, ring->first + i)),
			"spec %llu of group %s", (unsigned long long)ring->first + i, group->name);
}

void rows_compare(struct sim *sim, const struct core *core)
{
	const struct rows *rows = &sim->storage.rows;
	const struct graph *graph;
	uint32_t graphs = 0, nodes = 0;

	for (uint32_t i = 0; i < core->group_count; i++) {
		compare_group(sim, core->groups[i]);
		TAILQ_FOREACH(graph, &core->groups[i]->graphs, entry) {
			compare_graph(sim, core, graph);
			graphs++;
		}
	}
	for (uint32_t ref = 0; ref < core->nodes.used; ref++)
		if (node_at(&core->nodes, ref)->used) {
			compare_node(sim, core, node_at(&core->nodes, ref));
			nodes++;
		}
	SAME(graphs == rows->graph_count, "%u graphs, stored %u", graphs, rows->graph_count);
	SAME(nodes == rows->node_count, "%u nodes, stored %u", nodes, rows->node_count);
}
