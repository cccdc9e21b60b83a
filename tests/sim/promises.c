/* What was answered with OK: no crash and no failed commit may take it back. */
#include <stdio.h>
#include <stdlib.h>

#include "proto/mem.h"
#include "sim.h"

static struct promise *promise_add(struct sim *sim, const struct sim_request *request)
{
	struct promises *promises = &sim->promises;
	struct promise *promise;

	if (promises->count == promises->capacity) {
		promises->capacity = promises->capacity ? promises->capacity * 2 : 16;
		promises->items = mem_realloc(promises->items, promises->capacity,
			sizeof *promises->items);
	}
	promise = &promises->items[promises->count++];
	*promise = (struct promise){.kind = request->request.event.kind,
		.id = request->request.event.id};
	strcpy(promise->note, request->note);
	return promise;
}

static struct promise *promise_find(const struct sim *sim, const char *note)
{
	for (size_t i = sim->promises.count; i-- > 0;)
		if (strcmp(sim->promises.items[i].note, note) == 0)
			return &sim->promises.items[i];
	return NULL;
}

bool promise_asked(const struct sim *sim, const char *note)
{
	return promise_find(sim, note) != NULL;
}

bool promise_given(const struct sim *sim, const char *note)
{
	const struct promise *promise = promise_find(sim, note);

	return promise && promise->given;
}

/* A mark holds until the next one of its node is asked for, answered or not. */
void promise_ask(struct sim *sim, const struct sim_request *request)
{
	const struct core_event *event = &request->request.event;
	struct promises *promises = &sim->promises;

	if (event->kind != CORE_MARK)
		return;
	for (size_t i = promises->count; i-- > 0;)
		if (promises->items[i].kind == CORE_MARK &&
			id_equal(&promises->items[i].id, &event->id))
			promises->items[i] = promises->items[--promises->count];
	promise_add(sim, request)->mark = event->mark;
}

void promise_give(struct sim *sim, const struct sim_request *request)
{
	const struct core_event *event = &request->request.event;
	struct promise *promise = promise_find(sim, request->note);

	if (!promise && event->kind == CORE_MARK)
		return; /* there is a later one */
	if (!promise)
		promise = promise_add(sim, request);
	promise->given = true;
	if (event->kind != CORE_UPDATE)
		return;
	promise->id = event->ret_graph;
	strcpy(promise->group, event->update.group);
	promise->revision = model_graph(&sim->model, &event->ret_graph)->revision;
	promise->size = event->update.size;
	promise->version = event->update.version;
}

static void check_spec(const struct sim *sim, const struct core *core,
	const struct promise *promise)
{
	const struct group *group = core_group_find(core, promise->group);
	const struct spec *spec;

	if (!group || group->spec.revision < promise->revision)
		sim_fail(sim, "%s was answered, but its revision %llu of group %s is not known",
			promise->note, (unsigned long long)promise->revision, promise->group);
	if (promise->revision < group->specs.first)
		return; /* it is not kept any more */
	spec = group_spec_from(group, promise->revision);
	if (!spec || spec->revision != promise->revision || spec->size != promise->size ||
		spec->version != promise->version || !spec->note ||
		strcmp(spec->note, promise->note) != 0)
		sim_fail(sim, "%s was answered, but revision %llu of group %s is another one",
			promise->note, (unsigned long long)promise->revision, promise->group);
}

/* The user of a request has the name of the request. */
static void check_origins(const struct sim *sim, const struct graph *graph,
	const struct promise *promise)
{
	if (promise->kind == CORE_UPDATE && strcmp(graph->origin.user, promise->note) != 0)
		sim_fail(sim, "%s was answered, but \"%s\" is said to have asked for its graph",
			promise->note, graph->origin.user);
	if (promise->kind == CORE_CANCEL && strcmp(graph->canceller.user, promise->note) != 0)
		sim_fail(sim, "%s was answered, but \"%s\" is said to have cancelled the graph",
			promise->note, graph->canceller.user);
}

static void check_mark(const struct sim *sim, const struct core *core, const struct node *node,
	const struct promise *promise)
{
	const struct origin *marker = node_marker(&core->nodes, node);

	if (node->marked != promise->mark)
		sim_fail(sim, "%s was answered, but the mark is another one", promise->note);
	if (promise->mark && (!marker || strcmp(marker->user, promise->note) != 0))
		sim_fail(sim, "%s was answered, but \"%s\" is said to have marked the node", promise->note,
			marker ? marker->user : "");
}

void promise_spare(struct sim *sim, const struct id *id)
{
	ids_add(&sim->promises.spared, id);
}

bool promise_spared(const struct sim *sim, const struct id *id)
{
	return ids_place(&sim->promises.spared, id) < sim->promises.spared.count;
}

static void check_promise(const struct sim *sim, const struct core *core,
	const struct promise *promise)
{
	const struct node *node = core_node_find(core, &promise->id);
	const struct graph *graph = core_graph_find(core, &promise->id);

	if (graph)
		check_origins(sim, graph, promise);
	if (promise->kind == CORE_UPDATE)
		check_spec(sim, core, promise);
	else if (promise->kind == CORE_KILL && node && node_live(node) && node->op != OP_KILL &&
		!promise_spared(sim, &promise->id))
		sim_fail(sim, "%s was answered, but the node lives on", promise->note);
	else if (promise->kind == CORE_MARK && node && node_live(node))
		check_mark(sim, core, node, promise);
	else if (promise->kind == CORE_CANCEL && graph && graph->state != GRAPH_CANCELLED)
		sim_fail(sim, "%s was answered, but the graph is not cancelled", promise->note);
}

void promises_check(const struct sim *sim, const struct core *core)
{
	for (size_t i = 0; i < sim->promises.count; i++)
		if (sim->promises.items[i].given)
			check_promise(sim, core, &sim->promises.items[i]);
}

void promises_fini(struct promises *promises)
{
	free(promises->items);
	free(promises->spared.ids);
	*promises = (struct promises){0};
}
