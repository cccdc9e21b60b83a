/* Requests of users: made, submitted, forgotten, lost in a crash; each is answered once and checked. */
#include <stdio.h>
#include <stdlib.h>

#include "proto/mem.h"
#include "sim.h"

static void request_free(struct sim_request *request)
{
	TAILQ_REMOVE(&request->sim->requests, request, entry);
	free(request);
}

static void request_done(struct engine_request *base, const struct error *failed)
{
	struct sim_request *request = (struct sim_request *)base;
	struct sim *sim = request->sim;

	if (!sim->dying) {
		sim_say(sim, "answer: %s: %s", request->note, failed ? failed->text : "OK");
		sim->answered++;
		if (failed) {
			sim->refused++;
			sim->refusal = *failed;
		}
		check_answer(sim, request, failed);
	}
	request_free(request);
	if (sim->happenings_left > 1 && sim_chance(sim, 10)) {
		struct sim_request *next = request_new(sim);

		if (sim_chance(sim, 50)) {
			request_wait(next);
			return;
		}
		request_update(next, happen_group_name(sim_below(sim, sim->config.groups)),
			sim_below(sim, 8), 1 + sim_below(sim, VERSION_MAX));
		request_submit(next);
	}
}

struct sim_request *request_new(struct sim *sim)
{
	struct sim_request *request = mem_zalloc(1, sizeof *request);

	request->sim = sim;
	request->request.done = request_done;
	snprintf(request->note, sizeof request->note, "r%llu",
		(unsigned long long)++sim->request_number);
	TAILQ_INSERT_TAIL(&sim->requests, request, entry);
	return request;
}

struct core_event *request_update(struct sim_request *request, const char *group, uint32_t size,
	uint64_t version)
{
	struct core_event *event = &request->request.event;

	*event = (struct core_event){.kind = CORE_UPDATE};
	event->update.group = group;
	event->update.size = size;
	event->update.version = version;
	event->update.policy = request->sim->config.core.policy;
	event->update.note = request->note;
	return event;
}

/* Every request is another user's, so that whatever is told of a user can be traced to what that asked. */
static void request_sign(struct sim_request *request)
{
	struct origin *origin = &request->request.event.origin;

	origin->uid = (uid_t)strtoul(request->note + 1, NULL, 10);
	snprintf(origin->user, sizeof origin->user, "%s", request->note);
}

static void request_begin(struct sim_request *request)
{
	request->submitted_ms = request->sim->mono_ms;
	request->failures_before = request->sim->storage.failures;
}

void request_submit(struct sim_request *request)
{
	const struct core_event *event = &request->request.event;

	sim_say(request->sim, "submit: %s: kind %d %s %s size %u version %llu", request->note,
		event->kind, event->kind == CORE_UPDATE ? event->update.group : "",
		sim_id(&event->id), event->kind == CORE_UPDATE ? event->update.size : 0,
		event->kind == CORE_UPDATE ? (unsigned long long)event->update.version : 0);
	request_sign(request);
	request_begin(request);
	promise_ask(request->sim, request);
	engine_submit(request->sim->engine, &request->request);
}

void request_wait(struct sim_request *request)
{
	request->reader = true;
	request_begin(request);
	engine_wait(request->sim->engine, &request->request);
}

void request_forget_any(struct sim *sim)
{
	struct sim_request *request;
	uint32_t skip = sim_below(sim, 4);

	TAILQ_FOREACH(request, &sim->requests, entry)
		if (skip-- == 0)
			break;
	if (!request)
		return;
	sim_say(sim, "forget: %s", request->note);
	engine_forget(sim->engine, &request->request);
	request_free(request);
}

void request_drop_all(struct sim *sim)
{
	struct sim_request *request;

	while ((request = TAILQ_FIRST(&sim->requests)) != NULL)
		request_free(request);
}

/* Previews. */

static void compare_plans(struct sim *sim, const struct graph *told, const struct graph *made)
{
	if (!id_equal(&told->id, &made->id) || told->revision != made->revision ||
		told->task_count != made->task_count || told->edge_count != made->edge_count ||
		told->min_available != made->min_available || told->max_live != made->max_live ||
		!sim_same_origin(&told->origin, &made->origin))
		sim_fail(sim, "UPDATE made another graph than the preview told");
	for (uint32_t t = 0; t < told->task_count; t++) {
		const struct task *a = &told->tasks[t], *b = &made->tasks[t];

		if (!id_equal(&a->node, &b->node) || a->version != b->version ||
			a->slot != b->slot || a->action != b->action ||
			a->description != b->description || a->prereqs != b->prereqs)
			sim_fail(sim, "UPDATE made another task %u than the preview told", t);
	}
	if (told->edge_count > 0 && memcmp(told->prereqs, made->prereqs,
					    told->edge_count * sizeof *told->prereqs) != 0)
		sim_fail(sim, "UPDATE made other edges than the preview told");
}

void request_update_previewed(struct sim_request *request)
{
	struct sim *sim = request->sim;
	struct core *core = engine_core(sim->engine);
	const struct graph *made;
	struct graph *told = NULL;
	struct error error;
	struct core_event event;
	bool possible;

	request_sign(request);
	event = request->request.event;
	event.now = (struct now){.mono_ms = sim->mono_ms, .wall_us = sim_wall_us(sim)};
	possible = core_preview(core, &event, &told, &error) == 0;
	request_submit(request);
	/* It waits for readers to have their turn, or it came a little later, when min-ready is over. */
	if (request->request.event.now.mono_ms != event.now.mono_ms) {
		graph_free(told);
		return;
	}
	made = core_graph_find(core, &request->request.event.ret_graph);
	if (possible == request->request.failed)
		sim_fail(sim, "UPDATE and its preview do not agree whether it is possible");
	if (possible && made)
		compare_plans(sim, told, made);
	if (!possible && error.code != request->request.error.code)
		sim_fail(sim, "UPDATE fails otherwise than its preview");
	graph_free(told);
}
