/* What may happen to a daemon: users, deaths, bad days of the world and of the store, clocks, crashes. */
#include <stdlib.h>

#include "sim.h"

const char *happen_group_name(uint32_t number)
{
	static const char *const names[GROUP_NAMES] = {"default", "a", "web.1"};

	return names[number];
}

static struct amount random_amount(struct sim *sim)
{
	static const uint32_t percents[] = {0, 10, 25, 50, 100};
	struct amount amount = {.percent = sim_chance(sim, 30)};

	amount.value = amount.percent ? percents[sim_below(sim, 5)] : sim_below(sim, 4);
	return amount;
}

static void random_policy(struct sim *sim, struct policy *policy)
{
	policy->max_surge = random_amount(sim);
	policy->max_unavailable = random_amount(sim);
	if (sim_chance(sim, 20))
		policy->max_parallel = 1 + sim_below(sim, 3);
	if (sim_chance(sim, 25))
		policy->min_ready_ms = 1 + sim_below(sim, 3000);
}

static struct sim_request *random_update(struct sim *sim)
{
	struct sim_request *request = request_new(sim);
	const char *name = happen_group_name(sim_below(sim, sim->config.groups));
	const struct group *group = core_group_find(engine_core(sim->engine), name);
	struct core_event *event = request_update(request, name, sim_below(sim, 8),
		1 + sim_below(sim, VERSION_MAX));

	random_policy(sim, &event->update.policy);
	if (group && group->spec.revision > 0 && sim_chance(sim, 30)) { /* the same again, or near */
		event->update.version = group->spec.version;
		if (sim_chance(sim, 50))
			event->update.size = group->spec.size;
	}
	event->update.has_if_revision = sim_chance(sim, 10);
	event->update.if_revision = sim_chance(sim, 70) && group ? group->spec.revision
								 : sim_below(sim, 5);
	return request;
}

static void happen_update(struct sim *sim)
{
	struct sim_request *request = random_update(sim);

	if (engine_clean(sim->engine) && sim_chance(sim, 50))
		request_update_previewed(request);
	else
		request_submit(request);
}

/* Any node that is kept; most often a live one. */
static const struct node *any_node(struct sim *sim)
{
	const struct core *core = engine_core(sim->engine);

	for (int tries = 0; tries < 8 && core->nodes.used > 0; tries++) {
		const struct node *node = node_at(&core->nodes, sim_below(sim, core->nodes.used));

		if (node->used && (node_live(node) || tries > 6))
			return node;
	}
	return NULL;
}

static void submit_about(struct sim *sim, enum core_event_kind kind, const struct id *id)
{
	struct sim_request *request = request_new(sim);
	struct core_event *event = &request->request.event;

	*event = (struct core_event){.kind = kind, .id = *id};
	if (kind == CORE_MARK)
		event->mark = sim_chance(sim, 70);
	request_submit(request);
}

static void happen_kill(struct sim *sim)
{
	const struct node *node = any_node(sim);
	struct id nobody = {{1}};

	submit_about(sim, CORE_KILL, node ? &node->id : &nobody);
}

static void happen_mark(struct sim *sim)
{
	const struct node *node = any_node(sim);

	if (node)
		submit_about(sim, CORE_MARK, &node->id);
}

static void happen_cancel(struct sim *sim)
{
	const struct core *core = engine_core(sim->engine);
	const struct group *group = core->groups[sim_below(sim, core->group_count)];
	const struct graph *newest = TAILQ_LAST(&group->graphs, graph_list);

	if (newest)
		submit_about(sim, CORE_CANCEL, &newest->id);
}

static void happen_burst(struct sim *sim)
{
	for (uint32_t left = 2 + sim_below(sim, 3); left > 0; left--) {
		happen_update(sim);
		if (sim_chance(sim, 30))
			happen_kill(sim);
	}
}

static void happen_read(struct sim *sim)
{
	request_wait(request_new(sim));
}

static void happen_exit(struct sim *sim)
{
	struct world_node *node = world_any_running(sim);

	if (node)
		world_exit(sim, node);
}

static void happen_health(struct sim *sim)
{
	struct world_node *node = world_any_running(sim);

	if (node)
		world_set_health(sim, node, node->unhealthy);
}

static void happen_bad_version(struct sim *sim)
{
	uint32_t version = 1 + sim_below(sim, VERSION_MAX);

	sim->world.bad[version] = !sim->world.bad[version];
	sim_say(sim, "world: version %u is %s", version, sim->world.bad[version] ? "bad" : "good");
}

static void happen_flaky(struct sim *sim)
{
	sim->world.flaky_percent = 10 + sim_below(sim, 80);
	sim_later(sim, sim_below(sim, 10 * (sim->config.gap_max_ms + 1)), QUEUE_WORLD_MENDS, 0);
	sim_say(sim, "world: is flaky, %u percent", sim->world.flaky_percent);
}

static void happen_store_fails(struct sim *sim)
{
	sim->storage.failing = true;
	sim_later(sim, sim_below(sim, 8 * (sim->config.gap_max_ms + 1)), QUEUE_STORE_MENDS, 0);
	sim_say(sim, "store: fails");
}

static void happen_jump(struct sim *sim)
{
	int64_t jump_us = (int64_t)(sim_random(&sim->jump_random) % 7200000000) - 3600000000;

	if (!sim->config.wall_jumps)
		return;
	sim->wall_us += jump_us;
	sim_say(sim, "the wall clock jumps by %lld us", (long long)jump_us);
}

/* The daemon reads its settings again: at any moment, also while a commit is under way or the state is lost. */
static void happen_configure(struct sim *sim)
{
	static const uint32_t by_name[GROUP_NAMES] = {1, 0, 2}; /* a config has them in this order */
	struct core_config *core = &sim->config.core;

	sim_core_random(core, sim);
	random_policy(sim, &core->policy);
	core->policy_count = 0;
	for (uint32_t i = 0; i < GROUP_NAMES; i++) {
		struct group_policy *group = &sim->policies[core->policy_count];

		if (sim_chance(sim, 50))
			continue;
		*group = (struct group_policy){.group = happen_group_name(by_name[i])};
		random_policy(sim, &group->policy);
		core->policy_count++;
	}
	core->policies = sim->policies;
	core_configure(engine_core(sim->engine), core);
	sim->configured++;
	sim_say(sim, "configured: %u graphs, %u tasks, %u specs, %u nodes are kept, %u retries",
		core->keep_graphs, (unsigned)core->keep_tasks, core->keep_specs, core->keep_nodes,
		core->retries);
}

static const struct happening {
	void (*happen)(struct sim *sim);
	uint32_t weight;
	bool needs_engine;
} happenings[] = {
	{happen_update, 28, true},
	{happen_burst, 4, true},
	{happen_kill, 10, true},
	{happen_mark, 4, true},
	{happen_cancel, 4, true},
	{happen_read, 10, true},
	{request_forget_any, 3, true},
	{happen_exit, 11, false},
	{happen_health, 0, false}, /* their weights are of the seed */
	{happen_bad_version, 4, false},
	{happen_flaky, 3, false},
	{happen_store_fails, 3, false},
	{happen_jump, 4, false},
	{happen_configure, 0, true},
	{sim_crash, 0, true},
};

enum { HAPPENING_COUNT = sizeof happenings / sizeof happenings[0] };

static uint32_t weight_of(const struct sim *sim, const struct happening *happening)
{
	if (happening->happen == sim_crash)
		return sim->config.crash_weight;
	if (happening->happen == happen_configure)
		return sim->config.configure_weight;
	return happening->happen == happen_health ? sim->config.health_weight : happening->weight;
}

void happen(struct sim *sim)
{
	const struct happening *happening = happenings;
	uint32_t sum = 0, choice;

	for (uint32_t i = 0; i < HAPPENING_COUNT; i++)
		sum += weight_of(sim, &happenings[i]);
	choice = sim_below(sim, sum);
	while (choice >= weight_of(sim, happening))
		choice -= weight_of(sim, happening++);
	if (sim->engine || !happening->needs_engine)
		happening->happen(sim);
	if (--sim->happenings_left > 0)
		sim_later(sim, sim_chance(sim, 30) ? 0 : sim_below(sim, sim->config.gap_max_ms + 1),
			QUEUE_HAPPENING, 0);
}
