/* All that a store has to keep of a core as text, so that two states can be compared. */
#ifndef IMD_TESTS_STORE_STATE_H
#define IMD_TESTS_STORE_STATE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "unit.h"

/* What can be in large numbers is told as one number. */
enum { STATE_LISTED = 64 };

static inline uint64_t state_mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0xff51afd7ed558ccd);
	return hash ^ hash >> 32;
}

static inline uint64_t state_mix_id(uint64_t hash, const struct id *id)
{
	uint64_t halves[2];

	memcpy(halves, id->bytes, sizeof halves);
	return state_mix(state_mix(hash, halves[0]), halves[1]);
}

static inline uint64_t state_mix_text(uint64_t hash, const char *text)
{
	for (; text && *text; text++)
		hash = state_mix(hash, (uint8_t)*text);
	return state_mix(hash, text ? 1 : 2);
}

static inline const char *state_id(const struct id *id)
{
	static char texts[4][ID_TEXT_LEN + 1];
	static unsigned next;
	char *text = texts[next++ % 4];

	id_format_z(id, text);
	return text;
}

static inline const char *state_or_none(const char *text)
{
	return text ? text : "(none)";
}

static inline void state_spec(FILE *out, const struct spec *spec)
{
	fprintf(out, "  spec %" PRIu64 ": size %u version %" PRIu64 " surge %u/%d unavailable %u/%d"
		" parallel %u min-ready %" PRIu64 " at %" PRIi64 " by %u %s, %s, %s\n", spec->revision,
		spec->size, spec->version, spec->policy.max_surge.value,
		spec->policy.max_surge.percent, spec->policy.max_unavailable.value,
		spec->policy.max_unavailable.percent, spec->policy.max_parallel,
		spec->policy.min_ready_ms, spec->created_us, (unsigned)spec->origin.uid,
		spec->origin.user, reason_name(spec->reason), state_or_none(spec->note));
}

static inline uint64_t state_edges(const struct graph *graph, uint32_t task)
{
	uint64_t hash = 0;
	uint32_t count;
	const uint32_t *list = graph_prereqs(graph, task, &count);

	for (uint32_t i = 0; i < count; i++)
		hash = state_mix(hash, list[i]);
	hash = state_mix(hash, count);
	list = graph_dependents(graph, task, &count);
	for (uint32_t i = 0; i < count; i++)
		hash = state_mix(hash, list[i]);
	return state_mix(hash, count);
}

static inline void state_task(FILE *out, const struct graph *graph, uint32_t number)
{
	const struct task *task = &graph->tasks[number];

	fprintf(out, "    task %u: %s %s node %s@%" PRIu64 " slot %u, %s, attempt %u, %" PRIi64
		" to %" PRIi64 ", %s, edges %016" PRIx64 "\n", number, task_action_name(task->action),
		task_description_name(task->description), state_id(&task->node), task->version,
		task->slot, task_state_name(task->state), task->attempt, task->started_us,
		task->finished_us, state_or_none(graph_task_error(graph, number)),
		state_edges(graph, number));
}

static inline uint64_t state_mix_task(uint64_t hash, const struct graph *graph, uint32_t number)
{
	const struct task *task = &graph->tasks[number];

	hash = state_mix_id(hash, &task->node);
	hash = state_mix(hash, (uint64_t)task->action << 16 | task->description << 8 | task->state);
	hash = state_mix(state_mix(hash, task->version), (uint64_t)task->slot << 16 | task->attempt);
	hash = state_mix(hash, (uint64_t)task->started_us);
	hash = state_mix(hash, (uint64_t)task->finished_us);
	hash = state_mix_text(hash, graph_task_error(graph, number));
	return state_mix(hash, state_edges(graph, number));
}

static inline void state_tasks(FILE *out, const struct graph *graph)
{
	uint64_t hash = 0;

	for (uint32_t t = 0; t < graph->task_count; t++)
		if (graph->task_count <= STATE_LISTED)
			state_task(out, graph, t);
		else
			hash = state_mix_task(hash, graph, t);
	if (graph->task_count > STATE_LISTED)
		fprintf(out, "    %u tasks: %016" PRIx64 "\n", graph->task_count, hash);
}

static inline void state_counts(FILE *out, const struct graph *graph)
{
	if (graph_ended(graph))
		fprintf(out, "    %u succeeded, %u failed, %u cancelled\n",
			graph->counts[TASK_SUCCEEDED], graph->counts[TASK_FAILED],
			graph->counts[TASK_CANCELLED]);
}

static inline void state_graph(FILE *out, const struct graph *graph)
{
	fprintf(out, "  graph %" PRIu64 " %s: revision %" PRIu64 ", %s, %s, %u tasks, %u edges, floor"
		" %u, ceiling %u, created %" PRIi64 " started %" PRIi64 " dropped %" PRIi64
		" finished %" PRIi64 ", successor %s, failed %d, %s\n", graph->serial,
		state_id(&graph->id), graph->revision, graph_state_name(graph->state),
		reason_name(graph->reason), graph->task_count, graph->edge_count,
		graph->min_available, graph->max_live, graph->created_us, graph->started_us,
		graph->dropped_us, graph->finished_us, state_id(&graph->successor),
		(int)graph->failed_task, state_or_none(graph->error));
	fprintf(out, "    asked for by %u \"%s\", cancelled by %u \"%s\"\n",
		(unsigned)graph->origin.uid, graph->origin.user, (unsigned)graph->canceller.uid,
		graph->canceller.user);
	state_counts(out, graph);
	state_tasks(out, graph);
}

static inline void state_node(FILE *out, const struct core *core, const struct node *node)
{
	const struct origin *marker = node_marker(&core->nodes, node);

	fprintf(out, "  node %s: slot %u version %" PRIu64 " revision %" PRIu64 ", %s, op %d, mark %d,"
		" by %u \"%s\", created %" PRIi64 " started %" PRIi64 " finished %" PRIi64 ", %s\n",
		state_id(&node->id), node->slot, node->version, node->revision,
		node_state_name(node->state), node->op, node->marked, marker ? (unsigned)marker->uid : 0,
		marker ? marker->user : "", node->created_us, node->started_us, node_live(node) ? 0 : node->finished_us,
		state_or_none(node->error));
}

static inline uint64_t state_mix_node(uint64_t hash, const struct core *core, const struct node *node)
{
	const struct origin *marker = node_marker(&core->nodes, node);

	if (marker)
		hash = state_mix_text(state_mix(hash, marker->uid), marker->user);
	hash = state_mix_id(hash, &node->id);
	hash = state_mix(hash, (uint64_t)node->slot << 24 | node->state << 16 | node->op << 8 |
		node->marked);
	hash = state_mix(state_mix(hash, node->version), node->revision);
	hash = state_mix(hash, (uint64_t)node->created_us);
	hash = state_mix(hash, (uint64_t)node->started_us);
	return state_mix_text(hash, node->error);
}

static inline void state_live_nodes(FILE *out, const struct core *core, const struct group *group)
{
	uint64_t hash = 0;

	for (uint32_t slot = 0; slot < group->slots_used; slot++) {
		uint32_t ref = group_slot_node(group, slot);

		if (ref == NODE_NONE)
			continue;
		if (group->live <= STATE_LISTED)
			state_node(out, core, node_at(&core->nodes, ref));
		else
			hash = state_mix_node(hash, core, node_at(&core->nodes, ref));
	}
	if (group->live > STATE_LISTED)
		fprintf(out, "  %u nodes: %016" PRIx64 "\n", group->live, hash);
}

/* In the order in which they ended; of those that ended at one time, no order is kept. */
static inline void state_ended_nodes(FILE *out, const struct core *core, const struct group *group)
{
	const struct node **list = calloc(group->ended.count + 1, sizeof *list);
	uint32_t count = 0;
	uint64_t number = 0;

	ck_assert_ptr_nonnull(list);
	for (uint32_t ref; (ref = group_ended_from(group, &number)) != NODE_NONE; number++) {
		const struct node *node = node_at(&core->nodes, ref);
		uint32_t i = count++;

		for (; i > 0 && list[i - 1]->finished_us == node->finished_us &&
			memcmp(&list[i - 1]->id, &node->id, sizeof node->id) > 0; i--)
			list[i] = list[i - 1];
		list[i] = node;
	}
	for (uint32_t i = 0; i < count; i++)
		state_node(out, core, list[i]);
	free(list);
}

/* Of a group that nobody has asked anything of, nothing is stored. */
static inline void state_group(FILE *out, const struct core *core, const struct group *group)
{
	const struct spec *spec;
	const struct graph *graph;

	fprintf(out, "group %u %s\n", group->index, group->name);
	if (group->spec.revision == 0)
		return;
	fprintf(out, "  next %s, proven %" PRIu64 "\n", state_id(&group->next_graph),
		group->proven_revision);
	for (uint64_t r = 1; (spec = group_spec_from(group, r)) != NULL; r = spec->revision + 1)
		state_spec(out, spec);
	TAILQ_FOREACH(graph, &group->graphs, entry)
		state_graph(out, graph);
	state_live_nodes(out, core, group);
	state_ended_nodes(out, core, group);
}

/* All that a store keeps, a line for each thing; the text is the caller's. */
static inline char *state_text(const struct core *core)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(out);
	for (uint32_t i = 0; i < core->group_count; i++)
		state_group(out, core, core->groups[i]);
	ck_assert_int_eq(fclose(out), 0);
	return text;
}

/* The same of one graph. */
static inline char *state_graph_text(const struct graph *graph)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(out);
	state_graph(out, graph);
	ck_assert_int_eq(fclose(out), 0);
	return text;
}

/* Fails with the first lines that differ. */
static inline void state_expect(const char *is, const char *expected, const char *when)
{
	if (strcmp(is, expected) == 0)
		return;
	for (;;) {
		size_t len = strcspn(is, "\n"), wanted = strcspn(expected, "\n");

		if (len != wanted || memcmp(is, expected, len) != 0)
			ck_abort_msg("seed %" PRIu64 ", %s: what was loaded is\n%.*s\nand not\n%.*s",
				unit_seed, when, (int)len, is, (int)wanted, expected);
		is += len + (is[len] != '\0');
		expected += wanted + (expected[wanted] != '\0');
	}
}

#endif
