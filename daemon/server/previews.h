/* Plans that are listed from memory of their own: PLAN, and graphs that were read back from the store. They may be
 * large, and whoever may read can ask for them. So all of them together have a limit, of which a share is kept for
 * those who may make changes; each other user has a share; and of large plans one is made in a pass of the loop,
 * in the order of the requests. */
#ifndef IMD_SERVER_PREVIEWS_H
#define IMD_SERVER_PREVIEWS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "link.h"
#include "proto/error.h"
#include "proto/limits.h"

struct server;
struct session;

enum {
	PREVIEW_LARGE = 10000, /* nodes that a plan is about; a smaller one takes less than some milliseconds */
	/* Of one user who may only read: the largest plan of a new group, and small ones beside it; */
	PREVIEW_TASKS_USER = LIMIT_SIZE + PREVIEW_LARGE,
	PREVIEW_TASKS_READERS = 2 * PREVIEW_TASKS_USER, /* of all of these, */
	PREVIEW_TASKS_MAX = 4 * PREVIEW_TASKS_USER,     /* and of everybody */
};

struct previews {
	uint64_t tasks;         /* being listed, */
	uint64_t readers_tasks; /* and of these for users who may only read */
	struct link waiting;    /* sessions whose plan has its turn in a later pass */
	struct event *next_pass;
	bool made;              /* a large plan, in this pass */
};

int previews_init(struct previews *previews, struct event_base *base);
void previews_fini(struct previews *previews);

/* Whether a session may make a plan about so many nodes in this pass. If not, it waits (WAIT_PASS), and session_go
 * is called for it. */
bool previews_turn(struct session *session, uint64_t nodes);

/* Counts tasks for a session that has none counted. ERR_TOO_MANY if that is more than a limit allows; 0 tasks ask
 * whether there is any room. */
int previews_reserve(struct session *session, uint32_t tasks, struct error *error);
void previews_release(struct session *session);

#endif
