/* A watch: records as of now, then events, with a new connection whenever one has ended. */
#ifndef IMD_CTL_WATCH_H
#define IMD_CTL_WATCH_H

#include "ctl.h"
#include "proto/position.h"

enum { WATCH_GOES_ON = -1 };

/* What the watcher may have missed, the smaller first. */
enum watch_gap {
	GAP_NONE,
	GAP_RESUMED,   /* a connection ended; events continue after the last one seen, as far as imd knows */
	GAP_RESTARTED, /* the watch began with records, or with the present if none are wanted */
};

struct watch {
	struct ctl *ctl;
	const char *what;     /* NODES, GRAPHS, TASKS, ALL */
	const char *graph;    /* its argument, or NULL */
	const char *group;    /* NULL: not said */
	bool initial;         /* whether the records as of now are wanted */
	bool silent;          /* that it reconnected is not said */
	struct position seen; /* the last event; without an incarnation if imd tells none */
	uint64_t lagged_at;   /* seen.seq at the last time that imctl fell behind */
	int64_t connected_ms; /* when the connection was made */
	int delay_ms;         /* before the next try to make one */
	bool away;            /* the connection was lost, and not only closed because it was too slow */
	bool replaced;        /* and imd has a different state, since events were handed on last */
	enum watch_gap gap;   /* since events were handed on last */
	int status;           /* WATCH_GOES_ON, or the exit status: set by the functions to end it */
	struct reply_handler handler; /* what to do with records and events */
	/* Called before events go on after a gap, to find out with watch_ask what they will not tell;
	 * again if the connection ends meanwhile. May be NULL. Returns 0 or an exit status. */
	int (*settle)(void *arg, enum watch_gap gap);
	/* Called where the watch is refused on a new connection: prints that, and returns an exit
	 * status. May be NULL. */
	int (*refused)(void *arg, const struct line *err);
};

/* Connects where there is no connection, asks for the watch and reads its records; again where imd is
 * restarted meanwhile. 0 or an exit status. */
int watch_begin(struct watch *watch);
/* The same, but the end of the reply, OK or ERR, is the caller's to judge. */
int watch_open(struct watch *watch, const struct line **ret_end);
/* Hands on events until watch->status is set or something fails; that imd goes away is no failure.
 * Returns the exit status. */
int watch_run(struct watch *watch);
/* Sends another request on the connection of the watch, and releases it. The end of the reply is
 * the caller's to judge. */
int watch_ask(struct watch *watch, struct buf *request, const struct reply_handler *handler,
	const struct line **ret_end);

#endif
