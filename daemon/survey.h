/* The state of the daemon, written to the log when somebody asks for it with a signal. */
#ifndef IMD_SURVEY_H
#define IMD_SURVEY_H

#include "engine/engine.h"
#include "server/server.h"

struct survey {
	struct engine_request request;
	struct engine *engine;
	const struct server *server;
	bool waits; /* for the engine */
};

/* Writes it as soon as all that the core knows is durable. The struct must last until survey_end. */
void survey_begin(struct survey *survey, struct engine *engine, const struct server *server);
void survey_end(struct survey *survey);

#endif
