#include "turns.h"

#include "internal.h"

/* Less than this is nobody's concern, and need not be forgotten at the next pass. */
enum { SPENT_SMALL = PASS_MAX / 4 };

static void on_next_pass(evutil_socket_t fd, short what, void *arg)
{
	struct turns *turns = arg;
	struct link deferred;

	(void)fd;
	(void)what;
	turns->pass++;
	link_init(&deferred);
	link_join(&deferred, &turns->deferred);
	while (!link_empty(&deferred)) {
		struct session *session = LINK_OWNER(deferred.next, struct session, turn);

		link_remove(&session->turn);
		session_go(session);
	}
}

int turns_init(struct turns *turns, struct event_base *base)
{
	link_init(&turns->deferred);
	turns->next_pass = evtimer_new(base, on_next_pass, turns);
	return turns->next_pass ? 0 : -1;
}

void turns_fini(struct turns *turns)
{
	if (turns->next_pass)
		event_free(turns->next_pass);
	turns->next_pass = NULL;
}

/* A timer of no time is due in the next pass, after what has arrived for others by then. */
static void arm(struct turns *turns)
{
	if (!evtimer_pending(turns->next_pass, NULL))
		event_add(turns->next_pass, &(struct timeval){0, 0});
}

static struct user *user_of(const struct session *session)
{
	struct turns *turns = &session->server->turns;
	struct user *user = users_find(&session->server->users, session->uid);

	if (user->pass != turns->pass) {
		user->pass = turns->pass;
		user->spent = 0;
	}
	return user;
}

bool turns_take(struct session *session)
{
	if (link_empty(&session->turn) && user_of(session)->spent < TURN_USER_MAX)
		return true;
	turns_defer(session);
	return false;
}

void turns_defer(struct session *session)
{
	struct turns *turns = &session->server->turns;

	if (link_empty(&session->turn))
		link_append(&turns->deferred, &session->turn);
	arm(turns);
}

void turns_spend(struct session *session, size_t cost)
{
	struct user *user = user_of(session);

	user->spent += cost;
	if (user->spent >= SPENT_SMALL)
		arm(&session->server->turns);
}
