/* What the store does for a request besides commits: it reads a copy of the state, or a graph. An
 * errand goes on when its request is forgotten, and its outcome is dropped then. */
#ifndef IMD_ENGINE_ERRANDS_H
#define IMD_ENGINE_ERRANDS_H

#include "requests.h"

struct errand;
TAILQ_HEAD(errand_list, errand);

struct errands {
	struct store *store;
	struct errand_list under_way;
	struct engine_requests over; /* to be answered */
	void (*wake)(void *arg);     /* have errands_answer called */
	void *arg;
};

void errands_init(struct errands *errands, struct store *store, void (*wake)(void *arg), void *arg);
/* When the store is gone. */
void errands_fini(struct errands *errands);

void errands_read(struct errands *errands, struct store_copy *copy, struct engine_request *request);
void errands_fetch(struct errands *errands, const struct graph *graph,
	struct engine_request *request);
void errands_forget(struct errands *errands, struct engine_request *request);
/* Answers the requests whose errands are over. A graph that was read back means nothing where the state
 * that it is of is lost (NULL: it is not): whoever asked for it gets this error. */
void errands_answer(struct errands *errands, const struct error *lost);

#endif
