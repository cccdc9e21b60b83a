/* Stories of one group: what users ask and what the driver answers goes in, and what the core does, tells
 * and has come to can be read as short texts. Every invariant is checked after every step.
 *
 * Nodes are named by their slots. Texts: `did` lists what the driver was asked ("start 0@1, stop 2"),
 * `told` the events ("task-started 0, node-started 0"), nodes_text the live nodes by slot (s starting, r
 * running, a available, u unhealthy, d shutting down; then the version; - a free slot), tasks_text the
 * states of a graph's tasks (w waiting, r running, f failed, s succeeded, c cancelled). */
#ifndef IMD_TESTS_CORE_STORY_H
#define IMD_TESTS_CORE_STORY_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "unit.h"

enum { STORY_TEXT = 65536 };

static struct story {
	struct core core;
	struct update update;
	struct now now;
	struct policy policy;   /* of the next update */
	uint8_t ids;            /* ids given out */
	char did[STORY_TEXT];
	char told[STORY_TEXT];
	char text[STORY_TEXT];
	struct error error;     /* of the last request that was refused */
	struct id graph;        /* of the last update */
	uint32_t available;     /* nodes, when the last event was told */
	uint64_t deaths, replaced; /* that events have told */
} story;

__attribute__((format(printf, 2, 3)))
static inline void story_add(char *text, const char *format, ...)
{
	size_t len = strlen(text);
	va_list args;

	ck_assert_uint_lt(len, STORY_TEXT - 1000);
	if (len > 0)
		len += (size_t)sprintf(text + len, ", ");
	va_start(args, format);
	vsnprintf(text + len, STORY_TEXT - len, format, args);
	va_end(args);
}

/* A stop of our own never takes an available node below the floor. */
static inline void story_check_floor(const struct notice *notice)
{
	const struct group *group = notice->group;

	if (strcmp(group->name, "default") != 0)
		return;
	if (notice->node && notice->node->state == NODE_SHUTTING_DOWN &&
		notice->node->op == OP_NONE && group->available < story.available)
		ck_assert_uint_ge(group->available, group->active->min_available);
	story.available = group->available;
}

static inline void story_notice(void *arg, const struct notice *notice)
{
	const char *type = event_type_name(notice->type);

	(void)arg;
	story_check_floor(notice);
	story.deaths += notice->type == EVENT_NODE_STATE && notice->node->died;
	story.replaced += notice->type == EVENT_TASK_SUCCEEDED &&
		notice->graph->tasks[notice->task].replaces;
	if (notice->node)
		story_add(story.told, "%s %u %s", type, notice->node->slot,
			node_state_name(notice->node->state));
	else if (notice->task != TASK_NONE)
		story_add(story.told, "%s %u", type, notice->task);
	else
		story_add(story.told, "%s %s", type, reason_name(notice->graph->reason));
}

static inline void story_id(void *arg, struct id *ret_id)
{
	(void)arg;
	*ret_id = (struct id){{0xab, 0xcd, ++story.ids, 0, 0, 0, 0x40, 0, 0x80}};
}

/* Begins with the defaults; `config` may be changed before the first step. */
static inline struct core_config story_config(void)
{
	struct core_config config;

	memset(&story, 0, sizeof story);
	core_config_default(&config);
	config.new_id = story_id;
	config.seed = 42;
	return config;
}

static inline void story_begin(const struct core_config *config)
{
	story.now = (struct now){.mono_ms = 5000, .wall_us = 1700000000000000};
	story.policy = config->policy;
	core_init(&story.core, config);
	update_init(&story.update, story_notice, NULL);
}

static inline void story_end(void)
{
	core_fini(&story.core);
	update_fini(&story.update);
}

static inline struct group *story_group(void)
{
	return core_group_find(&story.core, "default");
}

static inline struct node *node_in(uint32_t slot)
{
	uint32_t ref = group_slot_node(story_group(), slot);

	ck_assert_msg(ref != NODE_NONE, "no node lives in slot %u", slot);
	return node_at(&story.core.nodes, ref);
}

static inline void story_check(void)
{
	const struct group *group = story_group();
	struct error error;

	ck_assert_msg(core_check(&story.core, &error) == 0, "%s", error.text);
	if (group->active && group->replan < 0)
		ck_assert_uint_le(group->live, group->active->max_live);
	ck_assert_uint_eq(story.core.counters.nodes_died, story.deaths);
	ck_assert_uint_eq(story.core.counters.nodes_replaced, story.replaced);
	story.available = group->available;
}

/* The actions of the pass, in words; then they are with the driver. */
static inline void story_take(void)
{
	static const char *const words[] = {
		[DO_START] = "start", [DO_STOP] = "stop", [DO_CANCEL] = "cancel", [DO_KILL] = "kill",
		[DO_INSPECT] = "inspect",
	};

	for (size_t i = 0; i < story.update.action_count; i++) {
		const struct action *action = &story.update.actions[i];
		const struct node *node = core_node_find(&story.core, &action->id);

		ck_assert(node != NULL && node == node_at(&story.core.nodes, action->node));
		story_add(story.did, "%s %u@%d", words[action->kind], node->slot,
			(int)node->version);
	}
	core_changes_taken(&story.core, &story.update);
	update_clear(&story.update);
}

static inline void story_pass(void)
{
	while (core_run(&story.core, &story.now, 100, &story.update))
		story_check();
	story_check();
	story_take();
}

/* One event, and the pass after it. Where it does not say who asks, the tester does. */
static inline int story_step(struct core_event event)
{
	int result;

	event.now = story.now;
	if (!origin_known(&event.origin))
		strcpy(event.origin.user, "tester");
	result = core_step(&story.core, &event, &story.update, &story.error);
	story_check();
	story_pass();
	if (event.kind == CORE_UPDATE && result == 0)
		story.graph = event.ret_graph;
	return result;
}

static inline struct core_event update_event(uint32_t size, uint64_t version)
{
	return (struct core_event){.kind = CORE_UPDATE, .now = story.now, .update = {
		.group = "default", .size = size, .version = version, .policy = story.policy}};
}

static inline void update_to(uint32_t size, uint64_t version)
{
	ck_assert_int_eq(story_step(update_event(size, version)), 0);
}

static inline int ask(enum core_event_kind kind, const struct id *id)
{
	return story_step((struct core_event){.kind = kind, .id = *id, .mark = true});
}

/* What the driver says of the node in a slot. */

static inline void answer(uint32_t slot, enum core_result result, const char *text)
{
	struct node *node = node_in(slot);
	enum node_op op = node->op == OP_CANCEL ? OP_START : (enum node_op)node->op;

	ck_assert_msg(op != OP_NONE, "the driver was asked nothing of slot %u", slot);
	story_step((struct core_event){.kind = CORE_DONE, .id = node->id, .text = text,
		.done = {.op = op, .result = result}});
}

static inline void done(uint32_t slot)
{
	answer(slot, RESULT_OK, NULL);
}

/* Whatever the driver was asked, and is asked because of that, is done. */
static inline void all_done(void)
{
	for (uint32_t slot = 0; slot < story_group()->slots_used; slot++) {
		uint32_t ref = group_slot_node(story_group(), slot);

		if (ref == NODE_NONE || node_at(&story.core.nodes, ref)->op == OP_NONE)
			continue;
		done(slot);
		slot = UINT32_MAX; /* from the first again */
	}
	story.did[0] = story.told[0] = '\0';
}

static inline void health(uint32_t slot, bool healthy)
{
	story_step((struct core_event){.kind = CORE_HEALTH, .id = node_in(slot)->id,
		.healthy = healthy, .text = healthy ? NULL : "no pulse"});
}

static inline void exits(uint32_t slot)
{
	story_step((struct core_event){.kind = CORE_EXITED, .id = node_in(slot)->id,
		.text = "exit status 3"});
}

static inline void pass_ms(int64_t ms)
{
	story.now.mono_ms += ms;
	story.now.wall_us += ms * 1000;
	story_step((struct core_event){.kind = CORE_TICK});
}

/* How long until the core wants to be called, -1: never. */
static inline int64_t next_ms(void)
{
	int64_t deadline_ms = core_deadline(&story.core);

	return deadline_ms == INT64_MAX ? -1 : deadline_ms - story.now.mono_ms;
}

/* How things stand. */

static inline const char *nodes_text(void)
{
	const struct group *group = story_group();

	story.text[0] = '\0';
	for (uint32_t slot = 0; slot < group->slots_used; slot++) {
		uint32_t ref = group_slot_node(group, slot);
		const struct node *node = ref == NODE_NONE ? NULL : node_at(&story.core.nodes, ref);

		if (!node)
			sprintf(story.text + strlen(story.text), "- ");
		else
			sprintf(story.text + strlen(story.text), "%c%d ",
				node->available ? 'a' : "srud"[node->state], (int)node->version);
	}
	for (size_t len = strlen(story.text); len > 0 && strchr(" -", story.text[len - 1]); len--)
		story.text[len - 1] = '\0';
	return story.text;
}

static inline struct graph *last_graph(void)
{
	return TAILQ_LAST(&story_group()->graphs, graph_list);
}

static inline const char *tasks_text(const struct graph *graph)
{
	for (uint32_t t = 0; t < graph->task_count; t++)
		sprintf(story.text + t, "%c", "wrfsc"[graph->tasks[t].state]);
	story.text[graph->task_count] = '\0';
	return story.text;
}

static inline const char *gate_text(const struct graph *graph, uint32_t task)
{
	const char *name = task_gate_name(&graph->tasks[task]);

	return name ? name : "";
}

static inline void story_expect(const char *what, const char *is, const char *expected, int line)
{
	ck_assert_msg(!strcmp(is, expected), "line %d: %s are\n  %s\nand not\n  %s", line, what, is,
		expected);
}

#define expect_nodes(expected) story_expect("nodes", nodes_text(), expected, __LINE__)
#define expect_tasks(graph, expected) \
	story_expect("tasks", tasks_text(graph), expected, __LINE__)
#define expect_gate(graph, task, expected) \
	story_expect("gates", gate_text(graph, task), expected, __LINE__)
#define expect_graph(graph, expected) \
	story_expect("states", graph_state_name((graph)->state), expected, __LINE__)
/* What was done and told since the last time. */
#define expect_did(expected) \
	do { \
		story_expect("actions", story.did, expected, __LINE__); \
		story.did[0] = '\0'; \
	} while (0)
#define expect_told(expected) \
	do { \
		story_expect("events", story.told, expected, __LINE__); \
		story.told[0] = '\0'; \
	} while (0)

static inline void story_setup(void)
{
	struct core_config config = story_config();

	story_begin(&config);
}

static inline int story_main(const char *name, const TTest *const *tests, size_t count)
{
	Suite *suite = suite_create(name);
	TCase *stories = tcase_create(name);

	tcase_set_timeout(stories, 300);
	for (size_t i = 0; i < count; i++)
		tcase_add_test(stories, tests[i]);
	suite_add_tcase(suite, stories);
	return unit_run(suite, CK_FORK_GETENV);
}

#endif
