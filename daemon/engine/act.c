#include "act.h"

static void act_once(const struct core *core, struct driver *driver, const struct action *action)
{
	const struct node *node = node_at(&core->nodes, action->node);
	const struct driver_ops *ops = driver->ops;
	struct driver_node target;

	if (!node->used || !id_equal(&node->id, &action->id))
		return;
	if (action->kind != DO_INSPECT && action->call != node->calls)
		return;
	target = (struct driver_node){.id = node->id, .slot = node->slot, .version = node->version,
		.group = core->groups[node->group]->name};
	if (action->kind == DO_START && node->op == OP_START)
		ops->start(driver, &target);
	else if (action->kind == DO_STOP && node->op == OP_STOP)
		ops->stop(driver, &target);
	else if (action->kind == DO_CANCEL && node->op == OP_CANCEL)
		ops->cancel(driver, &target);
	else if (action->kind == DO_KILL && node->op == OP_KILL)
		ops->kill(driver, &target);
	else if (action->kind == DO_INSPECT && node->inspecting && node_live(node))
		ops->inspect(driver, &target);
}

void act(const struct core *core, struct driver *driver, const struct update *update)
{
	for (size_t i = 0; i < update->action_count; i++)
		act_once(core, driver, &update->actions[i]);
}
