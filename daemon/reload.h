/* The settings read again while imd runs: what can be changed is applied, and no client or task is lost. */
#ifndef IMD_RELOAD_H
#define IMD_RELOAD_H

#include "config.h"
#include "engine/engine.h"
#include "server/server.h"

struct reload {
	struct config *config; /* that is in effect */
	int argc;
	char **argv;           /* what the options were, and are once more */
	struct server *server;
	struct engine *engine;
	struct driver *mock;
	bool handed_in;        /* the service manager listens */
};

/* Reads the files, and applies what is new. Where they are wrong nothing changes. The log says what came
 * of it, and the service manager hears when it begins and when it is over. */
void reload_run(struct reload *reload);

#endif
