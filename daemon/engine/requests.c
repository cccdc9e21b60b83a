#include "requests.h"

#include <assert.h>

void requests_add(struct engine_requests *list, struct engine_request *request)
{
	assert(!request->list);
	request->list = list;
	TAILQ_INSERT_TAIL(list, request, entry);
}

void requests_add_first(struct engine_requests *list, struct engine_request *request)
{
	assert(!request->list);
	request->list = list;
	TAILQ_INSERT_HEAD(list, request, entry);
}

void requests_remove(struct engine_request *request)
{
	TAILQ_REMOVE(request->list, request, entry);
	request->list = NULL;
}

void requests_move(struct engine_requests *from, struct engine_requests *to)
{
	struct engine_request *request;

	while ((request = TAILQ_FIRST(from)) != NULL) {
		requests_remove(request);
		requests_add(to, request);
	}
}

void requests_answer(struct engine_requests *list, const struct error *failed)
{
	struct engine_requests now = TAILQ_HEAD_INITIALIZER(now);
	struct engine_request *request;

	requests_move(list, &now);
	while ((request = TAILQ_FIRST(&now)) != NULL) {
		requests_remove(request);
		request->done(request, failed ? failed : request->failed ? &request->error : NULL);
	}
}
