/* The status line: how things are, for the service manager, told anew a second after something has changed. */
#ifndef IMD_STATUS_H
#define IMD_STATUS_H

#include <stdbool.h>

#include "engine/engine.h"

struct event;
struct event_base;

struct status {
	struct engine_request request;
	struct event *timer;
	struct engine *engine;
	bool waits;          /* for the engine */
	bool wanted;         /* somebody reads it */
	bool storage_failed;
};

/* -1 where the loop has no room. The status must last until status_fini, which comes before the engine's end. */
int status_init(struct status *status, struct event_base *base);
void status_fini(struct status *status);
/* From here on it is read from this engine, and told. */
void status_start(struct status *status, struct engine *engine);
/* Something has changed: it is told soon, and once for all that changes meanwhile. */
void status_soon(struct status *status);

#endif
