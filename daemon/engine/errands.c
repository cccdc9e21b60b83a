#include "errands.h"

#include <stdlib.h>

#include "proto/mem.h"

struct errand {
	TAILQ_ENTRY(errand) entry;
	struct errands *errands;
	struct engine_request *request; /* NULL: it was forgotten */
	uint32_t group;                 /* of the graph that is fetched */
};

void errands_init(struct errands *errands, struct store *store, void (*wake)(void *arg), void *arg)
{
	*errands = (struct errands){.store = store, .wake = wake, .arg = arg};
	TAILQ_INIT(&errands->under_way);
	TAILQ_INIT(&errands->over);
}

void errands_fini(struct errands *errands)
{
	struct errand *errand;

	while ((errand = TAILQ_FIRST(&errands->under_way)) != NULL) {
		TAILQ_REMOVE(&errands->under_way, errand, entry);
		free(errand);
	}
}

static struct errand *errand_begin(struct errands *errands, struct engine_request *request)
{
	struct errand *errand = mem_zalloc(1, sizeof *errand);

	errand->errands = errands;
	errand->request = request;
	request->errand = errand;
	request->failed = false;
	request->fetched = NULL;
	TAILQ_INSERT_TAIL(&errands->under_way, errand, entry);
	return errand;
}

static void errand_end(struct errand *errand, struct graph *graph, const struct error *error)
{
	struct errands *errands = errand->errands;
	struct engine_request *request = errand->request;

	TAILQ_REMOVE(&errands->under_way, errand, entry);
	free(errand);
	if (!request) {
		graph_free(graph);
		return;
	}
	request->errand = NULL;
	request->fetched = graph;
	request->failed = error != NULL;
	if (error)
		request->error = *error;
	requests_add(&errands->over, request);
	errands->wake(errands->arg);
}

static void on_read(void *arg, const void *data, size_t len, const struct error *error)
{
	struct errand *errand = arg;

	if (errand->request) {
		errand->request->data = data;
		errand->request->len = len;
	}
	errand_end(errand, NULL, error);
}

static void on_fetched(void *arg, struct graph *graph, const struct error *error)
{
	struct errand *errand = arg;

	if (graph)
		graph->group = errand->group;
	errand_end(errand, graph, error);
}

void errands_read(struct errands *errands, struct store_copy *copy, struct engine_request *request)
{
	errands->store->ops->copy_read(copy, on_read, errand_begin(errands, request));
}

void errands_fetch(struct errands *errands, const struct graph *graph,
	struct engine_request *request)
{
	struct store *store = errands->store;
	struct errand *errand = errand_begin(errands, request);

	errand->group = graph->group;
	store->ops->fetch(store, graph->serial, on_fetched, errand);
}

void errands_forget(struct errands *errands, struct engine_request *request)
{
	(void)errands;
	if (request->errand)
		request->errand->request = NULL;
	request->errand = NULL;
	graph_free(request->fetched);
	request->fetched = NULL;
}

void errands_answer(struct errands *errands, const struct error *lost)
{
	struct engine_request *request;

	TAILQ_FOREACH(request, &errands->over, entry) {
		if (!lost || !request->fetched)
			continue;
		graph_free(request->fetched);
		request->fetched = NULL;
		request->failed = true;
		request->error = *lost;
	}
	requests_answer(&errands->over, NULL);
}
