/* What must hold after every step, at every answer, and at rest. */
#include "sim.h"

/* Every node in the world is known as live, to the core and to the store, and no slot is there twice. */
static void check_world(struct sim *sim)
{
	const struct world *world = &sim->world;
	bool knows = sim->engine && !sim->storage.lost;

	for (uint32_t i = 0; i < world->used; i++) {
		const struct world_node *node = &world->nodes[i];
		const struct node_row *row;
		const struct node *known;

		if (!node->used)
			continue;
		row = rows_node(&sim->storage.rows, &node->id);
		if (!row || !node_live(&row->node))
			sim_fail(sim, "node %s is in the world, and not live in the store",
				sim_id(&node->id));
		known = knows ? core_node_find(engine_core(sim->engine), &node->id) : NULL;
		if (knows && (!known || !node_live(known)))
			sim_fail(sim, "node %s is in the world, and not live in the core",
				sim_id(&node->id));
		for (uint32_t j = 0; j < i; j++)
			if (world->nodes[j].used && world->nodes[j].slot == node->slot &&
				strcmp(world->nodes[j].group, node->group) == 0)
				sim_fail(sim, "slot %u of group %s is twice in the world",
					node->slot, node->group);
	}
}

static void check_bounds(struct sim *sim, const struct core *core)
{
	for (uint32_t i = 0; i < core->group_count; i++) {
		const struct group *group = core->groups[i];
		const struct graph *newest = TAILQ_LAST(&group->graphs, graph_list);

		if (newest && group->live > newest->max_live)
			sim_fail(sim, "group %s has %u live nodes, its newest graph allows %u",
				group->name, group->live, newest->max_live);
		if (newest && world_count(sim, group->name) > newest->max_live)
			sim_fail(sim, "group %s has %u nodes in the world, its newest graph allows %u",
				group->name, world_count(sim, group->name), newest->max_live);
	}
}

/* Counted from what the driver is at work on, not from the core's own count. */
static void check_parallel(struct sim *sim, const struct core *core, const struct group *group)
{
	uint32_t limit = group->spec.policy.max_parallel, at_work = 0;

	for (uint32_t i = 0; i < group->slots_used; i++) {
		const struct node *node = group->slots[i].node == NODE_NONE
			? NULL : node_at(&core->nodes, group->slots[i].node);

		at_work += node && node->op != OP_NONE && node->op != OP_KILL;
	}
	if (limit > 0 && at_work >= limit)
		sim_fail(sim, "a task of group %s starts besides %u others, %u may be in flight",
			group->name, at_work, limit);
}

void check_task_started(struct sim *sim, const struct notice *notice)
{
	const struct task *task = &notice->graph->tasks[notice->task];

	if (!sim->engine || task->attempt != 1 || task->action == ACTION_DO_NOTHING)
		return;
	check_parallel(sim, engine_core(sim->engine), notice->group);
	if (task->action == ACTION_SHUT_DOWN_NODE)
		floor_check_stop(sim, engine_core(sim->engine), notice);
}

/* A reader waits for what is with the store and what has been done since, and for no more. */
static void check_readers(struct sim *sim)
{
	int64_t most_ms = 2 * (int64_t)sim->config.commit_delay_max_ms +
		(sim->config.slow_clock ? 1000 : 100);
	const struct sim_request *request;

	TAILQ_FOREACH(request, &sim->requests, entry)
		if (request->reader && sim->mono_ms - request->submitted_ms > most_ms)
			sim_fail(sim, "reader %s waits since %lld ms", request->note,
				(long long)(sim->mono_ms - request->submitted_ms));
}

/* What is lost is lost wholly, and is said to be. */
static void check_lost(struct sim *sim, const struct core *core)
{
	bool lost = sim->storage.lost;

	if ((engine_lost(sim->engine) != NULL) != lost)
		sim_fail(sim, "the last load %s, but the engine says otherwise",
			lost ? "failed" : "worked");
	if (lost && (engine_clean(sim->engine) || core->graph_ids.count + core->node_ids.count > 0 ||
			core->group_count != 1))
		sim_fail(sim, "the state is lost, but there is something to read");
}

/* At the end of the step in which the core was loaded. */
static void check_loaded(struct sim *sim, const struct core *core)
{
	promises_check(sim, core);
	floor_check_loaded(sim, core);
	losses_loaded(sim, core);
}

void check_step(struct sim *sim)
{
	struct error error;
	struct core *core;

	check_world(sim);
	if (!sim->engine)
		return;
	core = engine_core(sim->engine);
	check_lost(sim, core);
	if (core_check(core, &error) < 0)
		sim_fail(sim, "%s", error.text);
	check_bounds(sim, core);
	check_readers(sim);
	if (sim->loaded && !sim->storage.lost) {
		sim->loaded = false;
		check_loaded(sim, core);
	}
	if (!engine_clean(sim->engine) ||
		sim->last_compared == engine_stats(sim->engine)->events + sim->storage.commits)
		return;
	sim->last_compared = engine_stats(sim->engine)->events + sim->storage.commits;
	rows_compare(sim, core);
	model_compare(sim, core);
	promises_check(sim, core);
	floor_remember(sim, core);
}

/* Answers. */

static const struct spec *newest_spec(const struct group_row *row)
{
	return row && row->spec_count > 0 ? &row->specs[row->spec_count - 1] : NULL;
}

static void check_updated(struct sim *sim, const struct sim_request *request)
{
	const struct core_event *event = &request->request.event;
	const struct model_graph *graph = model_graph(&sim->model, &event->ret_graph);
	const struct graph_row *stored = rows_graph(&sim->storage.rows, &event->ret_graph);
	const struct spec *spec = newest_spec(
		rows_group(&sim->storage.rows, event->update.group));

	if (!graph)
		sim_fail(sim, "%s is answered, but no event told of its graph", request->note);
	if (!spec || spec->revision < graph->revision)
		sim_fail(sim, "%s is answered, but its spec is not stored", request->note);
	if (stored && !sim_same_origin(&stored->graph.origin, &event->origin))
		sim_fail(sim, "%s is answered, but somebody else asked for its graph",
			request->note);
	if (spec->revision == graph->revision && (spec->size != event->update.size ||
		spec->version != event->update.version || strcmp(spec->note, request->note) != 0))
		sim_fail(sim, "%s is answered, but another spec is stored", request->note);
}

static void check_not_updated(struct sim *sim, const struct sim_request *request)
{
	const struct core_event *event = &request->request.event;
	const struct group_row *row = rows_group(&sim->storage.rows, event->update.group);

	for (uint32_t i = 0; row && i < row->spec_count; i++)
		if (row->specs[i].note && strcmp(row->specs[i].note, request->note) == 0)
			sim_fail(sim, "%s failed, but its spec is stored", request->note);
	if (model_graph(&sim->model, &event->ret_graph) ||
		rows_graph(&sim->storage.rows, &event->ret_graph))
		sim_fail(sim, "%s failed, but there is its graph", request->note);
}

static void check_done(struct sim *sim, const struct sim_request *request)
{
	const struct core_event *event = &request->request.event;
	const struct node_row *node = rows_node(&sim->storage.rows, &event->id);
	const struct graph_row *graph = rows_graph(&sim->storage.rows, &event->id);

	switch (event->kind) {
	case CORE_UPDATE:
		check_updated(sim, request);
		break;
	case CORE_KILL:
		if (node && node_live(&node->node) && node->node.op != OP_KILL &&
			!promise_spared(sim, &event->id))
			sim_fail(sim, "%s is answered, but the node is not being killed",
				request->note);
		break;
	case CORE_MARK:
		if (node && node_live(&node->node) && node->node.marked != event->mark &&
			promise_asked(sim, request->note))
			sim_fail(sim, "%s is answered, but the mark is not stored", request->note);
		break;
	case CORE_CANCEL:
		if (graph && (graph->graph.state != GRAPH_CANCELLED ||
			!sim_same_origin(&graph->graph.canceller, &event->origin)))
			sim_fail(sim, "%s is answered, but the graph is not cancelled by its user",
				request->note);
		break;
	default:
		break;
	}
}

static void check_read(struct sim *sim, const struct sim_request *request,
	const struct error *failed)
{
	if (failed) {
		if (failed->code != ERR_STORAGE || !sim->storage.lost)
			sim_fail(sim, "reader %s fails, but the state is not lost", request->note);
		return;
	}
	if (!engine_clean(sim->engine))
		sim_fail(sim, "reader %s has its turn too early", request->note);
	rows_compare(sim, engine_core(sim->engine));
}

void check_answer(struct sim *sim, const struct sim_request *request, const struct error *failed)
{
	if (request->reader) {
		check_read(sim, request, failed);
		return;
	}
	if (!failed) {
		check_done(sim, request);
		promise_give(sim, request);
		return;
	}
	if (failed->code == ERR_STORAGE && !sim->storage.lost &&
		sim->storage.failures == request->failures_before)
		sim_fail(sim, "%s fails, but the store did not", request->note);
	if (request->request.event.kind == CORE_UPDATE)
		check_not_updated(sim, request);
}

/* Rest. */

static void check_node_at_rest(struct sim *sim, const struct group *group, const struct node *node)
{
	const struct world_node *there = world_find(sim, &node->id);

	if (node->state != NODE_RUNNING || !node->available || node->op != OP_NONE)
		sim_fail(sim, "at rest node %s is %s, available %d, op %d", sim_id(&node->id),
			node_state_name(node->state), node->available, node->op);
	if (node->version != group->spec.version)
		sim_fail(sim, "at rest node %s is at version %llu", sim_id(&node->id),
			(unsigned long long)node->version);
	if (!there || there->state != WORLD_RUNNING || there->version != node->version ||
		there->unhealthy)
		sim_fail(sim, "at rest node %s does not run in the world", sim_id(&node->id));
}

/* A node that could not be replaced may have recovered on its own, and then no new graph is made. */
static bool healed_otherwise(const struct graph *newest)
{
	return newest->state == GRAPH_FAILED && newest->reason == REASON_HEAL;
}

static void check_group_at_rest(struct sim *sim, const struct core *core, const struct group *group,
	bool updated)
{
	const struct graph *newest = TAILQ_LAST(&group->graphs, graph_list);

	if (group->live != group->spec.size || world_count(sim, group->name) != group->spec.size)
		sim_fail(sim, "at rest group %s has %u live nodes and %u in the world, %u declared",
			group->name, group->live, world_count(sim, group->name),
			group->spec.size);
	for (uint32_t i = 0; i < group->slots_used; i++)
		if (group->slots[i].node != NODE_NONE)
			check_node_at_rest(sim, group, node_at(&core->nodes, group->slots[i].node));
	if (newest && newest->state == GRAPH_SUCCEEDED && group->losses > 0)
		sim_fail(sim, "at rest group %s has yet to replace nodes in %u slots", group->name,
			group->losses);
	if (newest && newest->state != GRAPH_SUCCEEDED && (updated || !healed_otherwise(newest)))
		sim_fail(sim, "at rest the newest graph of group %s is %s", group->name,
			graph_state_name(newest->state));
}

/* What was given up (a release that never worked, a cancelled graph) stays as it is, until the next
 * UPDATE; all else has got where it was to get. */
static bool given_up(const struct group *group)
{
	const struct graph *newest = TAILQ_LAST(&group->graphs, graph_list);

	return newest && (newest->state == GRAPH_CANCELLED ||
		(newest->state == GRAPH_FAILED && group->proven_revision != group->spec.revision));
}

void check_rest(struct sim *sim, bool updated)
{
	const struct core *core = sim->engine ? engine_core(sim->engine) : NULL;

	if (!core || !engine_clean(sim->engine))
		sim_fail(sim, "at rest the engine is not clean");
	if (sim->storage.told_failed && !sim->storage.failing)
		sim_fail(sim, "at rest the store works, and nobody was told");
	if (!TAILQ_EMPTY(&sim->requests))
		sim_fail(sim, "at rest %s has not been answered",
			TAILQ_FIRST(&sim->requests)->note);
	for (uint32_t i = 0; i < core->group_count; i++) {
		const struct group *group = core->groups[i];

		if (group->active)
			sim_fail(sim, "at rest graph %s of group %s still runs",
				sim_id(&group->active->id), group->name);
		if (group->spec.revision > 0 && (updated || !given_up(group)))
			check_group_at_rest(sim, core, group, updated);
	}
}
