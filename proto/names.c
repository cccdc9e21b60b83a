#include "names.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define NAME(enumerator, word) [enumerator] = word,
static const char *const node_states[NODE_STATE_COUNT] = {NODE_STATES(NAME)};
static const char *const graph_states[GRAPH_STATE_COUNT] = {GRAPH_STATES(NAME)};
static const char *const task_states[TASK_STATE_COUNT] = {TASK_STATES(NAME)};
static const char *const task_actions[TASK_ACTION_COUNT] = {TASK_ACTIONS(NAME)};
static const char *const task_descriptions[TASK_DESCRIPTION_COUNT] = {TASK_DESCRIPTIONS(NAME)};
static const char *const reasons[REASON_COUNT] = {REASONS(NAME)};
static const char *const event_types[EVENT_TYPE_COUNT] = {EVENT_TYPES(NAME)};
#undef NAME

static int name_parse(const char *const *names, int count, const char *word)
{
	for (int i = 0; i < count; i++) {
		if (strcmp(names[i], word) == 0)
			return i;
	}
	return -1;
}

const char *node_state_name(enum node_state state)
{
	assert((size_t)state < NODE_STATE_COUNT);
	return node_states[state];
}

const char *graph_state_name(enum graph_state state)
{
	assert((size_t)state < GRAPH_STATE_COUNT);
	return graph_states[state];
}

const char *task_state_name(enum task_state state)
{
	assert((size_t)state < TASK_STATE_COUNT);
	return task_states[state];
}

const char *task_action_name(enum task_action action)
{
	assert((size_t)action < TASK_ACTION_COUNT);
	return task_actions[action];
}

const char *task_description_name(enum task_description description)
{
	assert((size_t)description < TASK_DESCRIPTION_COUNT);
	return task_descriptions[description];
}

const char *reason_name(enum reason reason)
{
	assert((size_t)reason < REASON_COUNT);
	return reasons[reason];
}

const char *event_type_name(enum event_type type)
{
	assert((size_t)type < EVENT_TYPE_COUNT);
	return event_types[type];
}

int node_state_parse(const char *word)
{
	return name_parse(node_states, NODE_STATE_COUNT, word);
}

int graph_state_parse(const char *word)
{
	return name_parse(graph_states, GRAPH_STATE_COUNT, word);
}

int task_state_parse(const char *word)
{
	return name_parse(task_states, TASK_STATE_COUNT, word);
}

int task_action_parse(const char *word)
{
	return name_parse(task_actions, TASK_ACTION_COUNT, word);
}

int reason_parse(const char *word)
{
	return name_parse(reasons, REASON_COUNT, word);
}

int event_type_parse(const char *word)
{
	return name_parse(event_types, EVENT_TYPE_COUNT, word);
}
