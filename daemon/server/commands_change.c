/* Requests that change the state. */
#include <string.h>

#include "commands.h"
#include "proto/mem.h"
#include "session_copy.h"

static int policy_read(const struct request *request, struct policy *policy, struct error *error)
{
	const char *surge = request->options[OPT_MAX_SURGE];
	const char *unavailable = request->options[OPT_MAX_UNAVAILABLE];
	const char *parallel = request->options[OPT_MAX_PARALLEL];
	const char *ready = request->options[OPT_MIN_READY];
	uint64_t number;

	if (surge != NULL &&
		arg_amount(surge, "max-surge", LIMIT_SURGE_PERCENT, &policy->max_surge, error) < 0)
		return -1;
	if (unavailable != NULL && arg_amount(unavailable, "max-unavailable",
			LIMIT_UNAVAILABLE_PERCENT, &policy->max_unavailable, error) < 0)
		return -1;
	if (parallel != NULL) {
		if (arg_number(parallel, "max-parallel", 0, LIMIT_SIZE, &number, error) < 0)
			return -1;
		policy->max_parallel = (uint32_t)number;
	}
	if (ready != NULL && arg_duration(ready, "min-ready", &policy->min_ready_ms, error) < 0)
		return -1;
	return 0;
}

static int note_check(const char *note, struct error *error)
{
	if (note != NULL && strlen(note) > LIMIT_NOTE)
		return error_set(error, ERR_BAD_ARGUMENT, "note has %zu bytes; %d are the most",
			strlen(note), LIMIT_NOTE);
	return 0;
}

int request_update(const struct session *session, const struct request *request,
	struct core_event *ret_event, struct error *error)
{
	const struct core *core = engine_core(session->server->engine);
	const char *if_revision = request->options[OPT_IF_REVISION];
	struct core_event event = {.kind = CORE_UPDATE};

	event.update.note = request->options[OPT_NOTE];
	if (request_group_name(request, &event.update.group, error) < 0)
		return -1;
	event.update.policy = *core_policy(&core->config, event.update.group);
	if (arg_size(request->args[0].text, &event.update.size, error) < 0 ||
		arg_version(request->args[1].text, &event.update.version, error) < 0 ||
		policy_read(request, &event.update.policy, error) < 0 ||
		note_check(event.update.note, error) < 0)
		return -1;
	if (if_revision != NULL) {
		event.update.has_if_revision = true;
		if (arg_number(if_revision, "if-revision", 0, INT64_MAX, &event.update.if_revision,
			    error) < 0)
			return -1;
	}
	event.origin = session_origin(session);
	*ret_event = event;
	return 0;
}

/* The line that a request came in is gone when the engine comes to it. */
static void session_keep_strings(struct session *session)
{
	struct core_event *event = &session->request.event;
	size_t group_size = strlen(event->update.group) + 1;
	size_t note_size = event->update.note != NULL ? strlen(event->update.note) + 1 : 0;
	char *strings = mem_alloc(group_size + note_size);

	memcpy(strings, event->update.group, group_size);
	event->update.group = strings;
	if (note_size > 0) {
		memcpy(strings + group_size, event->update.note, note_size);
		event->update.note = strings + group_size;
	}
	session->strings = strings;
}

int cmd_update(struct session *session, const struct request *request, struct error *error)
{
	if (request_bool(request, OPT_QUIET, false, &session->quiet, error) < 0 ||
		request_update(session, request, &session->request.event, error) < 0)
		return -1;
	session_keep_strings(session);
	session_submit(session);
	return 0;
}

int cmd_kill(struct session *session, const struct request *request, struct error *error)
{
	struct node *node;

	if (request_node(session, request, 0, &node, error) < 0)
		return -1;
	session->request.event = (struct core_event){
		.kind = CORE_KILL,
		.id = node->id,
		.origin = session_origin(session),
	};
	session_submit(session);
	return 0;
}

int cmd_mark(struct session *session, const struct request *request, struct error *error)
{
	struct node *node;
	bool mark;

	if (request_bool(request, OPT_MARK, true, &mark, error) < 0 ||
		request_node(session, request, 0, &node, error) < 0)
		return -1;
	session->request.event = (struct core_event){
		.kind = CORE_MARK,
		.id = node->id,
		.mark = mark,
		.origin = session_origin(session),
	};
	session_submit(session);
	return 0;
}

int cmd_backup(struct session *session, const struct request *request, struct error *error)
{
	(void)request;
	return session_copy_begin(session, error);
}

int cmd_cancel(struct session *session, const struct request *request, struct error *error)
{
	struct graph *graph;

	if (request_graph(session, request, 0, &graph, error) < 0)
		return -1;
	session->request.event = (struct core_event){
		.kind = CORE_CANCEL,
		.id = graph->id,
		.origin = session_origin(session),
	};
	session_submit(session);
	return 0;
}
