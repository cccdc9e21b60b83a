/* The server: a socket in the file system, its clients, and the log of events that they watch. */
#ifndef IMD_SERVER_SERVER_H
#define IMD_SERVER_SERVER_H

#include <event2/event.h>

#include "access.h"
#include "engine/engine.h"

struct server;

/* What may be changed while clients are served. */
struct server_rules {
	uint32_t max_clients;  /* of which the last few are for administrators; see places_for in server.c */
	uint32_t max_clients_per_user; /* 0: no limit */
	uint64_t send_timeout_ms; /* how long a plan or a copy may wait to be read; 0: without limit */
	uint64_t keep_events;  /* events that a watcher may fall behind */
	struct access_rules access; /* its texts outlive the server, or the next server_configure */
};

struct server_config {
	const char *path;      /* of the socket; with listen_fd only to be shown */
	unsigned mode;         /* of the socket file */
	int listen_fd;         /* a socket handed over by systemd, never unlinked; -1: none */
	struct server_rules rules;
	const char *driver;    /* names for STATS */
	const char *store;
};

/* Takes the path's lock, removes a stale socket file, binds and listens; clients are not accepted
 * before server_start. ERR_CONFLICT where another daemon serves the path; ERR_DENIED,
 * ERR_BAD_ARGUMENT, ERR_INTERNAL otherwise. */
struct server *server_new(struct event_base *base, const struct server_config *config,
	struct error *error);
/* Begins to accept. Events are numbered after those of the history. The engine must outlive the server's clients
 * (server_stop). */
void server_start(struct server *server, struct engine *engine, const struct store_history *history);
/* Goes by other rules from here on. Clients that are there stay, but for those that watch and may not any
 * more; events that are not to be kept any more go with the next commit. */
void server_configure(struct server *server, const struct server_rules *rules);
/* Accepts no more, and begins nothing new: whoever waits for nothing is told ERR shutting-down and closed at
 * once, the others when they have been answered. `drained` is called once nobody is left, never from within. */
void server_drain(struct server *server, void (*drained)(void *arg), void *arg);
/* The same for everybody at once; but whose change is under way, so that nobody knows yet whether it will be
 * carried out, is not told anything. Removes the socket file if it is its own. */
void server_stop(struct server *server);
void server_free(struct server *server);

/* What it has to do, and what its clients and events take. */
struct server_load {
	uint64_t clients, watchers;
	uint64_t requests; /* since the start */
	uint64_t last_seq; /* of the last event that may be seen */
	uint64_t ring_events, ring_bytes;
	const char *store;
};
void server_load(const struct server *server, struct server_load *ret_load);

/* For the engine's host; arg is the server. */
void server_notice(void *arg, const struct notice *notice);
uint64_t server_last_seq(void *arg);
void server_publish(void *arg, uint64_t seq);
void server_retract(void *arg, uint64_t seq);

#endif
