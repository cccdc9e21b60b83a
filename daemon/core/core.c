#include "core.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "proto/mem.h"

void core_config_default(struct core_config *config)
{
	*config = (struct core_config){
		.policy = {.max_unavailable = {.value = 1}},
		.max_groups = 1000,
		.keep_graphs = 100,
		.keep_tasks = 100000,
		.keep_specs = 100,
		.keep_nodes = 1000,
		.retries = 3,
		.retry_delay_ms = 1000,
		.retry_max_ms = 60000,
		.heal_delay_ms = 10000,
		.heal_max_ms = 300000,
		.heal_reset_ms = 600000,
	};
}

const struct policy *core_policy(const struct core_config *config, const char *group)
{
	size_t low = 0, high = config->policy_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(config->policies[middle].group, group);

		if (order == 0)
			return &config->policies[middle].policy;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return &config->policy;
}

static const struct id *graph_id_of(const void *context, uint32_t ref)
{
	const struct core *core = context;

	return &core->graphs[ref]->id;
}

static const struct id *node_id_of(const void *context, uint32_t ref)
{
	const struct core *core = context;

	return &node_at(&core->nodes, ref)->id;
}

void core_init(struct core *core, const struct core_config *config)
{
	assert(config->keep_specs > 0 && config->max_groups > 0);
	*core = (struct core){.config = *config, .jitter = config->seed, .next_serial = 1};
	id_index_init(&core->graph_ids, graph_id_of, core);
	node_pool_init(&core->nodes);
	id_index_init(&core->node_ids, node_id_of, core);
	timers_init(&core->timers);
	config->new_id(config->new_id_arg, &core->next_graph);
	core_group_create(core, "default");
}

void core_fini(struct core *core)
{
	for (uint32_t i = 0; i < core->group_count; i++)
		group_free(core->groups[i]);
	free(core->groups);
	free(core->by_name);
	free(core->graphs);
	free(core->graph_free);
	free(core->runnable);
	id_index_fini(&core->graph_ids);
	id_index_fini(&core->node_ids);
	node_pool_fini(&core->nodes);
	timers_fini(&core->timers);
}

void core_configure(struct core *core, const struct core_config *config)
{
	struct core_config fresh = *config;

	assert(config->keep_specs > 0 && config->max_groups > 0);
	fresh.tasks_stored = core->config.tasks_stored;
	fresh.seed = core->config.seed;
	fresh.new_id = core->config.new_id;
	fresh.new_id_arg = core->config.new_id_arg;
	core->config = fresh;
	core->unload_due = fresh.tasks_stored;
	/* A group that was never declared has no policy of its own, and is shown with the one to come. */
	for (uint32_t i = 0; i < core->group_count; i++) {
		struct group *group = core->groups[i];

		if (group->spec.revision == 0)
			group->spec.policy = *core_policy(&core->config, group->name);
	}
}

static void fire(struct core *core, const struct timer *timer)
{
	struct group *group;

	switch (timer->kind) {
	case TIMER_TASK:
		task_timer(core, core->graphs[timer->a], timer->b);
		break;
	case TIMER_HEAL:
		group = core->groups[timer->a];
		group->heal_timer = TIMER_NONE;
		if (heal_needed(group))
			group_replan_due(core, group, REASON_HEAL, NULL);
		break;
	case TIMER_READY:
		node_at(&core->nodes, timer->a)->ready_timer = TIMER_NONE;
		node_watch_ready(core, timer->a);
		break;
	default:
		assert(false);
	}
}

static int step_tick(struct core *core, struct core_event *event, struct error *error)
{
	struct timer timer;

	(void)event;
	(void)error;
	while (timers_pop(&core->timers, core->now.mono_ms, &timer))
		fire(core, &timer);
	return 0;
}

typedef int step_fn(struct core *core, struct core_event *event, struct error *error);

static step_fn *const steps[] = {
	[CORE_UPDATE] = step_update,
	[CORE_KILL] = step_kill,
	[CORE_MARK] = step_mark,
	[CORE_CANCEL] = step_cancel,
	[CORE_DONE] = step_done,
	[CORE_HEALTH] = step_health,
	[CORE_EXITED] = step_exited,
	[CORE_INSPECTED] = step_inspected,
	[CORE_TICK] = step_tick,
};

int core_step(struct core *core, struct core_event *event, struct update *update,
	struct error *error)
{
	core->now = event->now;
	core->update = update;
	return steps[event->kind](core, event, error);
}

void core_prefetch(const struct core *core, const struct id *node)
{
	id_index_prefetch(&core->node_ids, node);
}

/* Whatever the budget: a plan that is due is not stored, so it must not be due behind a commit. */
static void plan_due(struct core *core)
{
	for (uint32_t i = 0; i < core->runnable_count; i++) {
		struct group *group = core->groups[core->runnable[(core->runnable_head + i) %
			core->runnable_capacity]];

		if (group->replan >= 0)
			group_replan(core, group);
	}
}

bool core_run(struct core *core, const struct now *now, uint32_t budget, struct update *update)
{
	uint32_t left = budget;

	core->now = *now;
	core->update = update;
	core_graphs_unload(core);
	plan_due(core);
	while (core->runnable_count > 0 && left > 0) {
		struct group *group = core->groups[core->runnable[core->runnable_head]];

		core->runnable_head = (core->runnable_head + 1) % core->runnable_capacity;
		core->runnable_count--;
		group->runnable = false;
		left -= group_dispatch(core, group, left);
		if (group_can_dispatch(core, group))
			core_group_runnable(core, group);
	}
	return core->runnable_count > 0;
}

int64_t core_deadline(const struct core *core)
{
	return timers_next(&core->timers);
}

struct core_totals core_totals(const struct core *core)
{
	struct core_totals totals = {0};

	for (uint32_t i = 0; i < core->group_count; i++) {
		const struct group *group = core->groups[i];

		totals.live += group->live;
		totals.available += group->available;
		totals.in_flight += group->in_flight;
		for (int state = 0; state < NODE_STATE_COUNT; state++)
			totals.nodes[state] += group->states[state];
		if (group->active == NULL)
			continue;
		totals.active++;
		totals.graphs[group->active->state]++;
		totals.rolling = group;
	}
	return totals;
}
