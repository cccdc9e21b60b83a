#include "watch.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/socket.h>

#include "internal.h"
#include "proto/names.h"
#include "proto/position.h"

enum {
	FEED_BYTES = 128 * 1024,    /* for one watcher in one turn, */
	FEED_EVENTS = 16 * 1024,    /* and events that are looked at for it */
	TURN_BYTES = 4 * 1024 * 1024, /* for all of them, before others have theirs */
	FEED_COST = 512,            /* what a call costs, in bytes */
	SOCKET_NARROW = 4 * 1024,   /* of a watcher that has not shown that it reads */
};

#define KIND(kind) (1u << (kind))

uint32_t watch_kinds(unsigned type)
{
	switch ((enum event_type)type) {
	case EVENT_NODE_STARTED:
	case EVENT_NODE_STATE:
		return KIND(WATCH_NODES) | KIND(WATCH_ALL);
	case EVENT_GRAPH_STARTED:
		return KIND(WATCH_GRAPHS) | KIND(WATCH_ALL);
	case EVENT_GRAPH_SUCCEEDED:
	case EVENT_GRAPH_FAILED:
	case EVENT_GRAPH_SUPERSEDED:
	case EVENT_GRAPH_CANCELLED:
		return KIND(WATCH_GRAPHS) | KIND(WATCH_TASKS) | KIND(WATCH_ALL);
	default:
		return KIND(WATCH_TASKS) | KIND(WATCH_ALL);
	}
}

static bool filter_passes(const struct watch_filter *filter, const struct ring_event *event)
{
	return (event->kinds & KIND(filter->kind)) != 0 &&
		(filter->group == WATCH_ANY_GROUP || filter->group == event->group) &&
		(filter->graph == WATCH_ANY_GRAPH || filter->graph == event->graph);
}

/* Only the end of a graph is told to those who watch graphs and to those who watch tasks. */
static bool filter_ends(const struct watch_filter *filter, const struct ring_event *event)
{
	uint32_t both = KIND(WATCH_GRAPHS) | KIND(WATCH_TASKS);

	return filter->graph != WATCH_ANY_GRAPH && (event->kinds & both) == both;
}

/* ---- what is written ----------------------------------------------------------------------- */

/* Adds a line to the runs of bytes; false where there is no place for another run. */
static bool batch_add(struct watch_batch *batch, const char *text, size_t len)
{
	struct iovec *last = batch->count > 0 ? &batch->vectors[batch->count - 1] : NULL;

	if (last != NULL && (char *)last->iov_base + last->iov_len == text) {
		last->iov_len += len;
	} else {
		if (batch->count == WATCH_VECTORS)
			return false;
		batch->vectors[batch->count].iov_base = (void *)(uintptr_t)text;
		batch->vectors[batch->count].iov_len = len;
		batch->count++;
	}
	batch->bytes += len;
	return true;
}

static void batch_make(struct watch_batch *batch, const struct ring *ring,
	const struct watch_filter *filter, uint64_t from)
{
	uint64_t end = ring->published;

	if (end - from > FEED_EVENTS)
		end = from + FEED_EVENTS;
	batch->filter = *filter;
	batch->from = from;
	batch->bytes = 0;
	batch->count = 0;
	batch->to = from;
	batch->ends = false;
	while (batch->to < end && batch->bytes < FEED_BYTES && !batch->ends) {
		const char *text;
		const struct ring_event *event = ring_at(ring, batch->to + 1, &text);
		bool passes = filter_passes(filter, event);

		if (passes && !batch_add(batch, text, event->len))
			return;
		batch->ends = passes && filter_ends(filter, event);
		batch->to++;
	}
}

/* Those that are equally far and watch the same are many: what is made for one serves all. */
static const struct watch_batch *batch_for(struct watchers *watchers, const struct ring *ring,
	const struct watch *watch)
{
	struct watch_batch *batch = &watchers->batch;

	if (batch->to == 0 || batch->from != watch->cursor ||
		batch->filter.kind != watch->filter.kind ||
		batch->filter.group != watch->filter.group ||
		batch->filter.graph != watch->filter.graph)
		batch_make(batch, ring, &watch->filter, watch->cursor);
	return batch;
}

/* ---- turns --------------------------------------------------------------------------------- */

/* Puts a watcher where it belongs by its cursor. */
static void watch_set_ready(struct server *server, struct watch *watch)
{
	bool caught_up = watch->cursor == server->ring.published;

	link_append(caught_up ? &server->watchers.idle[watch->filter.kind] : &server->watchers.ready,
		&watch->link);
	watch->state = caught_up ? WATCH_IDLE : WATCH_READY;
}

static void watch_set_blocked(struct watch *watch)
{
	link_remove(&watch->link);
	watch->state = WATCH_BLOCKED;
}

/* It fell off the ring: it is told, and closed. */
static void watch_lagged(struct session *session)
{
	struct server *server = session->server;

	buf_addf(&server->out, "ERR lagged seq=%" PRIu64 " the last event you got is %" PRIu64
		", and those before %" PRIu64 " are not kept any more\n", server->ring.published,
		session->watch.cursor, server->ring.first);
	server->errors[ERR_LAGGED]++;
	watch_end(session);
	session->quit = true;
	session_go(session);
}

/* The socket took `sent` bytes of a batch, and no more. */
static void watch_cut(struct session *session, const struct watch_batch *batch, size_t sent)
{
	const struct ring *ring = &session->server->ring;
	const struct ring_event *event;
	const char *text;
	uint64_t seq = batch->from;

	for (;;) {
		event = ring_at(ring, ++seq, &text);
		if (!filter_passes(&session->watch.filter, event))
			continue;
		if (sent < event->len)
			break;
		sent -= event->len;
	}
	session->watch.cursor = seq;
	if (filter_ends(&session->watch.filter, event))
		watch_end(session);
	else
		watch_set_blocked(&session->watch);
	if (session_keep(session, text + sent, event->len - sent) < 0)
		session_close(session);
}

static ssize_t batch_send(int fd, const struct watch_batch *batch)
{
	struct msghdr message = {
		.msg_iov = (struct iovec *)(uintptr_t)batch->vectors,
		.msg_iovlen = (size_t)batch->count,
	};
	ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS))
		return 0;
	return sent;
}

/* Writes what a watcher that is in no list may have now. Returns how much that was. */
static size_t watch_feed(struct server *server, struct session *session)
{
	struct watch *watch = &session->watch;
	const struct watch_batch *batch;
	ssize_t sent = 0;

	if (session_replies(session) || session_waiting(session) > 0) {
		watch_set_blocked(watch);
		return 0;
	}
	if (watch->cursor + 1 < server->ring.first) {
		watch_lagged(session);
		return 0;
	}
	batch = batch_for(&server->watchers, &server->ring, watch);
	if (batch->bytes > 0)
		sent = batch_send(session->fd, batch);
	if (sent < 0) {
		session_mute(session);
		session_go(session);
		/* What it had still to do may have added events, and so moved the text of others. */
		server->watchers.batch.to = 0;
		return 0;
	}
	if ((size_t)sent < batch->bytes) {
		watch_cut(session, batch, (size_t)sent);
	} else if (batch->ends) {
		watch_end(session);
		session_go(session); /* which may have waited for nothing else */
		server->watchers.batch.to = 0;
	} else {
		watch->cursor = batch->to;
		watch_set_ready(server, watch);
	}
	return (size_t)sent;
}

/* Those that are behind take their turns one after another, a share of bytes each, until all have
 * caught up or are blocked; or until it is time for what else the loop has to do. */
static void watchers_turn(struct server *server)
{
	struct watchers *watchers = &server->watchers;
	struct link *ready = &watchers->ready;
	size_t spent = 0;

	watchers->batch.to = 0;
	watchers->turned = server->ring.published;
	while (!link_empty(ready) && spent < TURN_BYTES) {
		struct watch *watch = LINK_OWNER(ready->next, struct watch, link);

		link_remove(&watch->link);
		spent += FEED_COST + watch_feed(server, LINK_OWNER(watch, struct session, watch));
	}
	if (!link_empty(ready))
		event_add(watchers->turn, &(struct timeval){0, 0});
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	watchers_turn(arg);
}

void watchers_wake(struct server *server, uint64_t before, uint32_t kinds)
{
	struct watchers *watchers = &server->watchers;

	for (int kind = 0; kind < WATCH_KIND_COUNT; kind++) {
		struct link *idle = &watchers->idle[kind];

		if ((kinds & KIND(kind)) == 0)
			continue;
		for (struct link *link = idle->next; link != idle; link = link->next) {
			struct watch *watch = LINK_OWNER(link, struct watch, link);

			watch->cursor = before;
			watch->state = WATCH_READY;
		}
		link_join(&watchers->ready, idle);
	}
	if (!link_empty(&watchers->ready))
		event_active(watchers->turn, EV_TIMEOUT, 0);
}

void watchers_hurry(struct server *server, uint64_t seq)
{
	struct watchers *watchers = &server->watchers;

	if (link_empty(&watchers->ready))
		watchers->turned = server->ring.published;
	else if (seq - watchers->turned > server->ring.keep / 2)
		watchers_turn(server);
}

/* ---- the socket's buffer ------------------------------------------------------------------- */

/* What a watcher does not read the kernel keeps, 200 KiB for each by default. It is trusted with that
 * once it has read a full one. */
static void socket_narrow(struct session *session)
{
	static const int narrow = SOCKET_NARROW;
	socklen_t len = sizeof session->watch.socket_bytes;

	if (getsockopt(session->fd, SOL_SOCKET, SO_SNDBUF, &session->watch.socket_bytes, &len) < 0 ||
		setsockopt(session->fd, SOL_SOCKET, SO_SNDBUF, &narrow, sizeof narrow) < 0)
		session->watch.socket_bytes = 0;
}

/* The kernel doubles what it is told, for its own needs, and tells the double. */
static void socket_widen(struct session *session)
{
	int bytes = session->watch.socket_bytes / 2;

	if (bytes == 0)
		return;
	session->watch.socket_bytes = 0;
	setsockopt(session->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

/* ---- beginning and ending ------------------------------------------------------------------ */

int watchers_init(struct server *server, struct event_base *base)
{
	struct watchers *watchers = &server->watchers;

	for (int kind = 0; kind < WATCH_KIND_COUNT; kind++)
		link_init(&watchers->idle[kind]);
	link_init(&watchers->ready);
	watchers->turn = evtimer_new(base, on_turn, server);
	return watchers->turn != NULL ? 0 : -1;
}

void watchers_fini(struct server *server)
{
	if (server->watchers.turn != NULL)
		event_free(server->watchers.turn);
	server->watchers.turn = NULL;
}

void watch_prepare(struct session *session, const struct watch_filter *filter, uint64_t cursor)
{
	session->watch.filter = *filter;
	session->watch.cursor = cursor;
	session->watch.state = WATCH_PENDING;
	session->watch.over = false;
	session->server->watchers.count++;
}

void watch_add_ok(struct server *server, uint64_t seq)
{
	struct position position = {.seq = seq, .incarnation = server->incarnation};

	buf_add(&server->out, "OK", 2);
	position_add_keys(&server->out, &position);
	buf_add_char(&server->out, '\n');
}

static void watch_go(struct session *session)
{
	watch_set_ready(session->server, &session->watch);
	if (session->watch.state == WATCH_READY)
		event_active(session->server->watchers.turn, EV_TIMEOUT, 0);
}

void watch_unblock(struct session *session)
{
	socket_widen(session);
	watch_go(session);
}

/* The reply is written before the turn comes, or else the turn finds it waiting. */
void watch_begin(struct session *session)
{
	if (session->watch.over) {
		watch_end(session);
		return;
	}
	socket_narrow(session);
	watch_go(session);
}

void watch_end(struct session *session)
{
	if (session->watch.state == WATCH_OFF)
		return;
	link_remove(&session->watch.link);
	session->watch.state = WATCH_OFF;
	socket_widen(session);
	session->server->watchers.count--;
}
