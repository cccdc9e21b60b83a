/* A watch: records as of now, then events, with a new connection where imctl fell behind. */
#ifndef IMD_CTL_WATCH_H
#define IMD_CTL_WATCH_H

#include "ctl.h"

enum { WATCH_GOES_ON = -1 };

struct watch {
	struct ctl *ctl;
	const char *what;   /* NODES, GRAPHS, TASKS, ALL */
	const char *graph;  /* its argument, or NULL */
	const char *group;  /* NULL: not said */
	bool initial;       /* whether the records as of now are wanted */
	bool silent;        /* that it fell behind is not said */
	uint64_t seq;       /* of the last event that was seen */
	uint64_t lagged_at; /* seq at the last time that imctl fell behind */
	int status;         /* WATCH_GOES_ON, or the exit status: set by the functions to end it */
	struct reply_handler handler; /* what to do with records and events */
	/* Called where events were lost: the watch has begun anew, with records if they are wanted.
	 * May be NULL. Returns 0 or an exit status. */
	int (*lost)(void *arg);
};

/* On the open connection: asks for the watch and reads its records. 0 or an exit status. */
int watch_begin(struct watch *watch);
/* The same, but the end of the reply, OK or ERR, is the caller's to judge. */
int watch_try(struct watch *watch, const struct line **ret_end);
/* Hands on events until watch->status is set or something fails. Returns the exit status. */
int watch_run(struct watch *watch);

#endif
