/* How soon the group makes up for what it lost. Every slot has a backoff: the first loss is made up at
 * once, the next after heal-delay, doubled each time up to heal-max; a node that was available for
 * heal-reset clears it. A loss is planned for at once, and its start waits in the executor; an
 * unhealthy node goes on as it is until its slot's backoff has passed. */
#include "internal.h"

static uint64_t next_delay_ms(const struct core *core, uint64_t delay_ms)
{
	uint64_t next = delay_ms ? delay_ms * 2 : core->config.heal_delay_ms;

	return next < core->config.heal_max_ms ? next : core->config.heal_max_ms;
}

static void count_loss(struct core *core, const struct node *node)
{
	struct slot *slot = group_slot(core->groups[node->group], node->slot);

	if (node->started_us &&
		core->now.mono_ms - node->running_ms >= (int64_t)core->config.heal_reset_ms)
		slot->backoff_ms = 0;
	slot->not_before_ms = core->now.mono_ms + slot->backoff_ms;
	slot->backoff_ms = (uint32_t)next_delay_ms(core, slot->backoff_ms);
}

void heal_count_loss(struct core *core, uint32_t ref)
{
	const struct node *node = node_at(&core->nodes, ref);

	if (node->state != NODE_UNHEALTHY) /* that was counted when it became so */
		count_loss(core, node);
}

bool heal_needed(const struct group *group)
{
	const struct graph *latest = TAILQ_LAST(&group->graphs, graph_list);

	if (group->states[NODE_UNHEALTHY] > 0 || group->unplanned)
		return true;
	return !group->active && (group->live != group->spec.size || !latest ||
					 latest->state != GRAPH_SUCCEEDED);
}

void heal_later(struct core *core, struct group *group, int64_t at_ms)
{
	if (group->heal_timer != TIMER_NONE) {
		if (timers_get(&core->timers, group->heal_timer)->deadline_ms <= at_ms)
			return;
		timers_cancel(&core->timers, group->heal_timer);
	}
	group->heal_timer = timers_add(&core->timers, (struct timer){.kind = TIMER_HEAL,
		.deadline_ms = at_ms, .a = group->index});
}

void heal_unhealthy(struct core *core, uint32_t ref)
{
	struct node *node = node_at(&core->nodes, ref);
	struct group *group = core->groups[node->group];
	struct slot *slot = group_slot(group, node->slot);

	count_loss(core, node);
	if (slot->not_before_ms <= core->now.mono_ms)
		group_replan_due(core, group, REASON_HEAL, NULL);
	else
		heal_later(core, group, slot->not_before_ms);
}

/* A spec that was reached once is worth trying for again; a release that never worked is not. */
void heal_graph_ended(struct core *core, struct group *group, const struct graph *graph)
{
	if (graph->state == GRAPH_SUCCEEDED && graph->revision == group->spec.revision) {
		group->heal_delay_ms = 0;
		if (group->proven_revision == graph->revision)
			return;
		group->proven_revision = graph->revision;
		change_group(core, group);
	} else if (graph->state == GRAPH_FAILED &&
		   group->proven_revision == group->spec.revision) {
		group->heal_delay_ms = next_delay_ms(core, group->heal_delay_ms);
		heal_later(core, group, core->now.mono_ms + (int64_t)group->heal_delay_ms);
	}
}

/* A user has declared a spec: the past does not count any more. */
void heal_forget(struct core *core, struct group *group)
{
	for (uint32_t i = 0; i < group->slots_used; i++) {
		group->slots[i].backoff_ms = 0;
		group->slots[i].not_before_ms = 0;
	}
	group->heal_delay_ms = 0;
	if (group->heal_timer != TIMER_NONE)
		timers_cancel(&core->timers, group->heal_timer);
	group->heal_timer = TIMER_NONE;
}
