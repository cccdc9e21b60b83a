/* Turns: how much of a pass of the loop one user may take. Each session has its share of a pass (PASS_MAX), and all
 * sessions of a user together have TURN_USER_MAX: with more, those that follow go on in a later pass, in the order in
 * which they came. So a user with many connections, or whose requests take much and answer little, delays the
 * others by one such share. */
#ifndef IMD_SERVER_TURNS_H
#define IMD_SERVER_TURNS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link.h"
#include "proto/limits.h"

struct session;

/* What a session has to do is reckoned in bytes of replies, and by these. */
enum {
	PASS_MAX = LIMIT_WAITING,     /* of one session, before others have their turn */
	PASS_TASK_COST = 64,          /* a planned task */
	PASS_REQUEST_COST = 256,      /* a request, whatever it answers */
	PASS_VISIT_COST = 16,         /* an entry that a listing passes over */
	TURN_USER_MAX = 4 * PASS_MAX, /* of all sessions of a user */
};

struct turns {
	struct link deferred;    /* sessions that go on in the next pass */
	struct event *next_pass;
	uint64_t pass;           /* the number of the one that is under way */
};

int turns_init(struct turns *turns, struct event_base *base);
void turns_fini(struct turns *turns);

/* Whether the session's user has something left of this pass. If not, session_go is called for it in a later one. */
bool turns_take(struct session *session);
/* Has session_go called for it in a later pass, if that is not to come already. */
void turns_defer(struct session *session);
/* Counts what a session has done in its turn. */
void turns_spend(struct session *session, size_t cost);

#endif
