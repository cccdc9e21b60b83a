/* Restarts in stories (core_story.h): what a store would have kept of the core is loaded into a fresh one. */
#ifndef IMD_TESTS_CORE_RESTART_H
#define IMD_TESTS_CORE_RESTART_H

#include "core_story.h"

static inline void *copy(const void *memory, size_t count, size_t size)
{
	void *new = calloc(count + 1, size);

	ck_assert_ptr_nonnull(new);
	if (count > 0)
		memcpy(new, memory, count * size);
	return new;
}

static inline char *copy_text(const char *text)
{
	return text ? copy(text, strlen(text), 1) : NULL;
}

/* A graph as a store gives it back: what only the executor knows is lost. */
static inline struct graph *copy_graph(const struct graph *graph)
{
	struct graph *new = copy(graph, 1, sizeof *graph);

	new->tasks = copy(graph->tasks, graph->task_count + 1, sizeof *graph->tasks);
	new->prereqs = copy(graph->prereqs, graph->edge_count, sizeof *graph->prereqs);
	new->dependents = copy(graph->dependents, graph->edge_count, sizeof *graph->dependents);
	new->errors = copy(graph->errors, graph->error_count, sizeof *graph->errors);
	for (uint32_t i = 0; i < graph->error_count; i++)
		new->errors[i] = copy_text(graph->errors[i]);
	new->error = copy_text(graph->error);
	memset(&new->entry, 0, sizeof new->entry);
	if (!graph_ended(graph))
		memset(new->counts, 0xee, sizeof new->counts);
	memset(&new->ready, 0xee, sizeof new->ready);
	memset(&new->floor, 0xee, sizeof new->floor);
	new->index = new->group = 0xeeee;
	new->changed = false;
	for (uint32_t t = 0; t < new->task_count; t++) {
		new->tasks[t].gate = GATE_NONE;
		new->tasks[t].pending = 0xeeee;
		new->tasks[t].changed = false;
	}
	return new;
}

static inline int load_node(struct core *core, const char *group, uint32_t ref, struct error *error)
{
	struct node node = *node_at(&story.core.nodes, ref);
	uint32_t loaded;

	node.error = copy_text(node.error);
	node.graph = node.task = node.settle = 0xeeee;
	if (core_load_node(core, group, &node, &loaded, error) == 0)
		return 0;
	free(node.error);
	return -1;
}

static inline int load_nodes(struct core *core, const struct group *group, struct error *error)
{
	for (uint64_t number = 0;; number++) {
		uint32_t ref = group_ended_from(group, &number);

		if (ref == NODE_NONE)
			break;
		if (load_node(core, group->name, ref, error) < 0)
			return -1;
	}
	for (uint32_t slot = 0; slot < group->slots_used; slot++)
		if (group->slots[slot].node != NODE_NONE &&
			load_node(core, group->name, group->slots[slot].node, error) < 0)
			return -1;
	return 0;
}

static inline int load_graphs(struct core *core, const struct group *group, struct error *error)
{
	const struct graph *graph;

	TAILQ_FOREACH(graph, &group->graphs, entry) {
		struct graph *new = copy_graph(graph);

		if (core_load_graph(core, group->name, new, error) < 0) {
			graph_free(new);
			return -1;
		}
	}
	return 0;
}

static inline int load_group(struct core *core, const struct group *group, struct error *error)
{
	const struct spec *kept;

	if (core_load_group(core, group->name, &group->next_graph, group->proven_revision, error) < 0)
		return -1;
	for (uint64_t r = 1; (kept = group_spec_from(group, r)) != NULL; r = kept->revision + 1) {
		struct spec spec = *kept;

		spec.note = copy_text(spec.note);
		ck_assert_int_eq(core_load_spec(core, group->name, &spec, error), 0);
	}
	if (load_graphs(core, group, error) < 0)
		return -1;
	return load_nodes(core, group, error);
}

/* Stops the core and starts another one from what a store would have kept of it. -1 if it is refused; then the story is
 * over. */
static inline int try_restart(struct error *error)
{
	struct core fresh;
	int ret = 0;

	core_init(&fresh, &story.core.config);
	fresh.counters = story.core.counters;
	for (uint32_t i = 0; i < story.core.group_count && ret == 0; i++)
		ret = load_group(&fresh, story.core.groups[i], error);
	core_fini(&story.core);
	story.core = fresh;
	/* The indices look things up in the core, which has moved. */
	story.core.graph_ids.context = &story.core;
	story.core.node_ids.context = &story.core;
	story.did[0] = story.told[0] = '\0';
	story.now.mono_ms = 100;
	return ret < 0 ? -1 : core_load_end(&story.core, &story.now, &story.update, error);
}

static inline void restart(void)
{
	struct error error;

	ck_assert_msg(try_restart(&error) == 0, "%s", error.text);
	story_check();
	story_pass();
}

#endif
