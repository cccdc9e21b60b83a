/* The server's own: what its files share. */
#ifndef IMD_SERVER_INTERNAL_H
#define IMD_SERVER_INTERNAL_H

#include "audit.h"
#include "listener.h"
#include "origins.h"
#include "peer.h"
#include "previews.h"
#include "proto/buf.h"
#include "proto/words.h"
#include "ring.h"
#include "server.h"
#include "session.h"
#include "turns.h"
#include "watch.h"

/* The SPEC record that was asked for last. A revision never changes, so it is good as long as it is
 * about this one. */
struct spec_line {
	const struct group *group;
	uint64_t revision;
	struct buf text;
};

struct server {
	struct server_config config;
	struct event_base *base;
	struct engine *engine; /* NULL before server_start and behind server_stop */
	struct listener listener;
	struct link sessions;
	struct link dead;          /* closed, to be freed */
	struct event *reaper;      /* frees them */
	struct session *copying;   /* whose copy is in progress; NULL: none */
	struct event *hangups;     /* looks for clients that are gone, among those that only listen */
	uint32_t clients;
	void (*drained)(void *arg); /* NULL: it does not end */
	void *drained_arg;
	struct users users;        /* whose they are */
	uint32_t strangers;        /* clients that may neither change nor read */
	struct turns turns;
	struct previews previews;
	struct access access;
	struct event *recheck;     /* ends watches of users who may not read any more */
	struct ring ring;
	struct id incarnation;     /* that the numbers in the ring belong to */
	struct watchers watchers;
	struct origins origins;
	struct audit audit;
	struct buf out;            /* the replies of the pass that is under way */
	size_t pass_spent;
	struct error error;        /* of the request that is under way: on the stack it would be cleared for each */
	struct spec_line spec_line;
	struct words words;        /* the request that is under way */
	int64_t started_ms;        /* monotonic, */
	int64_t started_us;        /* and by the wall */
	uint64_t requests;
	uint64_t errors[ERR_CODE_COUNT];
};

/* How many ERR lines there were, of any code. */
uint64_t server_errors(const struct server *server);
/* A session has ended its input and goes on watching, or waits for a copy: a hangup shows in no other way. */
void server_watch_hangups(struct server *server);

#endif
