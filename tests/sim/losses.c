/* Deaths and replacements: what is counted is what events tell, and no group has more nodes replaced than it
 * has lost. A node is lost when its kill begins, when it has died, or when it is stopped while it is unhealthy;
 * and once, even if it could not be killed or stopped, unless it recovers. */
#include "sim.h"

static uint32_t ledger_number(const char *group)
{
	uint32_t number = 0;

	while (number < GROUP_NAMES - 1 && strcmp(happen_group_name(number), group) != 0)
		number++;
	return number;
}

void losses_notice(struct sim_event *event, const struct notice *notice)
{
	event->ledger = ledger_number(notice->group->name);
	event->killed = notice->node && notice->node->op == OP_KILL;
	event->died = notice->type == EVENT_NODE_STATE && notice->node->died;
	event->replaces = notice->type == EVENT_TASK_SUCCEEDED &&
		notice->graph->tasks[notice->task].replaces;
}

void losses_tell_node(struct sim *sim, struct model_node *node, const struct sim_event *event)
{
	bool stops = event->node_state == NODE_SHUTTING_DOWN;

	sim->losses.deaths += event->died;
	if (event->node_state == NODE_RUNNING)
		node->lost = false;
	if (node->lost || !(event->died || (stops && (event->killed || node->state == NODE_UNHEALTHY))))
		return;
	node->lost = true;
	sim->losses.lost[event->ledger]++;
}

void losses_tell_task(struct sim *sim, const struct sim_event *event)
{
	sim->losses.replacements += event->replaces;
	sim->losses.replaced[event->ledger] += event->replaces;
}

/* What the core has yet to make up for, by its own account. */
static uint64_t outstanding(const struct core *core, const struct group *group)
{
	uint64_t count = group->losses;

	for (uint32_t i = 0; i < group->slots_used; i++)
		count += group->slots[i].node != NODE_NONE &&
			node_at(&core->nodes, group->slots[i].node)->heir;
	return count;
}

/* A stop that a kill hastens is told as a loss only by its end. */
static uint64_t killed_untold(const struct sim *sim, const struct core *core, const struct group *group)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < group->slots_used; i++) {
		const struct node *node = group->slots[i].node == NODE_NONE
			? NULL : node_at(&core->nodes, group->slots[i].node);

		count += node && node->op == OP_KILL && !model_node(&sim->model, &node->id)->lost;
	}
	return count;
}

void losses_boot(struct sim *sim)
{
	sim->losses.deaths = sim->losses.replacements = 0;
}

/* What the core has counted since the load is in no published event yet. */
static uint64_t replaced_unpublished(const struct sim *sim, uint32_t number)
{
	uint64_t count = 0;

	for (size_t i = 0; i < sim->noticed.count; i++)
		count += sim->noticed.items[i].replaces && sim->noticed.items[i].ledger == number;
	return count;
}

/* A load goes by what the kept nodes tell, and may find one once more that was replaced in another slot. It does
 * not find which live nodes were. */
void losses_loaded(struct sim *sim, const struct core *core)
{
	for (size_t i = 0; i < sim->model.node_count; i++) {
		const struct node *node = core_node_find(core, &sim->model.nodes[i].id);

		if (node && node_live(node))
			sim->model.nodes[i].lost = node->lost;
	}
	for (uint32_t i = 0; i < core->group_count; i++) {
		uint32_t number = ledger_number(core->groups[i]->name);
		uint64_t most = sim->losses.replaced[number] + replaced_unpublished(sim, number) +
			outstanding(core, core->groups[i]);

		if (sim->losses.lost[number] < most)
			sim->losses.lost[number] = most;
	}
}

void losses_compare(const struct sim *sim, const struct core *core)
{
	const struct losses *losses = &sim->losses;

	if (losses->deaths != core->counters.nodes_died ||
		losses->replacements != core->counters.nodes_replaced)
		sim_fail(sim, "%llu deaths and %llu replacements are counted, events told of %llu and %llu",
			(unsigned long long)core->counters.nodes_died,
			(unsigned long long)core->counters.nodes_replaced,
			(unsigned long long)losses->deaths,
			(unsigned long long)losses->replacements);
	for (uint32_t i = 0; i < core->group_count; i++) {
		const struct group *group = core->groups[i];
		uint32_t number = ledger_number(group->name);
		uint64_t lost = losses->lost[number] + killed_untold(sim, core, group);

		if (losses->replaced[number] > lost)
			sim_fail(sim, "group %s has lost %llu nodes, and %llu were replaced", group->name,
				(unsigned long long)lost,
				(unsigned long long)losses->replaced[number]);
	}
}
