/* Lists of requests that wait for the engine. */
#ifndef IMD_ENGINE_REQUESTS_H
#define IMD_ENGINE_REQUESTS_H

#include "engine.h"

/* A request is in one list at most, and knows in which. */
void requests_add(struct engine_requests *list, struct engine_request *request);
/* As the next one to be taken. */
void requests_add_first(struct engine_requests *list, struct engine_request *request);
void requests_remove(struct engine_request *request);
void requests_move(struct engine_requests *from, struct engine_requests *to);
/* Answers all of a list as it is now, each with `failed` or else as it says itself; who is answered may
 * ask again. */
void requests_answer(struct engine_requests *list, const struct error *failed);

#endif
