/* Watches: cursors into the ring, and their turns at the sockets.
 *
 *      WATCH ──► pending ──────┐ the reply to WATCH is made
 *                              ▼
 *   off      idle ──event──► ready ──socket full, or a reply waits──► blocked
 *    ▲        ▲                │ ▲                                       │
 *    │        └───caught up────┘ └────────all has been written───────────┘
 *    └──── UNWATCH, lagged, closed: from any of them
 *
 * The idle ones stand in a list for each kind of watch, so that an event costs nothing to those
 * whose kind it is not; blocked ones stand in no list and cost nothing at all. Events go from the
 * ring to the socket without a copy. Only of an event that the socket took in part, or that finds
 * it full, is the rest put into the bufferevent's output, whose draining then says when to go on:
 * so the output holds less than one event for a watcher that does not read. */
#ifndef IMD_SERVER_WATCH_H
#define IMD_SERVER_WATCH_H

#include <event2/event.h>
#include <stdint.h>
#include <sys/uio.h>

#include "link.h"
#include "ring.h"

#define WATCH_ANY_GROUP UINT32_MAX
#define WATCH_ANY_GRAPH UINT64_MAX

enum watch_kind { WATCH_NODES, WATCH_GRAPHS, WATCH_TASKS, WATCH_ALL, WATCH_KIND_COUNT };
enum watch_state { WATCH_OFF, WATCH_PENDING, WATCH_IDLE, WATCH_READY, WATCH_BLOCKED };
enum { WATCH_VECTORS = 256 };

struct watch_filter {
	uint64_t graph; /* a serial, or WATCH_ANY_GRAPH */
	uint32_t group; /* an index, or WATCH_ANY_GROUP */
	enum watch_kind kind;
};

struct watch {
	struct link link;
	struct watch_filter filter;
	uint64_t cursor; /* the last event that was written or passed over; not kept while idle */
	enum watch_state state;
	bool over; /* the graph that is watched had ended before: no event will come */
	int socket_bytes; /* the size that the socket's buffer had before it was made narrow, 0: it has it */
};

/* What one call writes: the events behind `from` up to `to` that pass the filter, as runs of bytes.
 * Watchers that are equally far share it. */
struct watch_batch {
	struct watch_filter filter;
	uint64_t from, to; /* to 0: there is none */
	bool ends; /* `to` is the last event that there will be for the filter */
	size_t bytes;
	int count;
	struct iovec vectors[WATCH_VECTORS];
};

struct watchers {
	struct link idle[WATCH_KIND_COUNT];
	struct link ready;
	uint32_t count;
	struct event *turn;
	uint64_t turned; /* the last event that was published before the last turn */
	struct watch_batch batch;
};

struct server;
struct session;

/* The kinds of watches that get an event of this type, as a set of bits. */
uint32_t watch_kinds(unsigned type);

int watchers_init(struct server *server, struct event_base *base);
void watchers_fini(struct server *server);
/* Events behind `before`, of these kinds, have become visible: those who watch them have a turn. */
void watchers_wake(struct server *server, uint64_t before, uint32_t kinds);
/* The events up to seq are about to become visible, and old ones to be dropped: those who are ready
 * have their turn now, where it would come late. */
void watchers_hurry(struct server *server, uint64_t seq);

/* Begins a watch behind the event `cursor`; nothing is written before watch_begin. */
void watch_prepare(struct session *session, const struct watch_filter *filter, uint64_t cursor);
/* Adds the line that joins the records and the events of a watch, "OK seq=40 incarnation=...", to the replies. */
void watch_add_ok(struct server *server, uint64_t seq);
/* The reply to WATCH is on its way: events may follow. */
void watch_begin(struct session *session);
void watch_end(struct session *session);
/* All that waited for the session's socket has been written. */
void watch_unblock(struct session *session);

#endif
