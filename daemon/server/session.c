#include "session.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "commands.h"
#include "internal.h"
#include "log.h"
#include "proto/mem.h"
#include "session_copy.h"
#include "session_listing.h"

enum { FLUSH_BYTES = 64 * 1024 };

/* ---- output -------------------------------------------------------------------------------- */

void session_mute(struct session *session)
{
	if (session->mute)
		return;
	session->mute = true;
	watch_end(session);
	bufferevent_disable(session->bev, EV_WRITE);
	/* The bufferevent keeps the front of its output for itself. */
	evbuffer_unfreeze(session->output, 1);
	evbuffer_drain(session->output, session_waiting(session));
	evbuffer_freeze(session->output, 1);
}

/* Writes at once as far as the socket takes it. Returns how much it took. */
static size_t session_send(struct session *session, const char *data, size_t len)
{
	ssize_t sent = send(session->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent >= 0)
		return (size_t)sent;
	if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
		session_mute(session);
	return 0;
}

int session_keep(struct session *session, const char *data, size_t len)
{
	bool bypassed = mem_reserve_bypass(true);
	int ret = evbuffer_add(session->output, data, len);

	mem_reserve_bypass(bypassed);
	return ret;
}

/* Hands over the replies that were made: to the socket where nothing waits before them, and what it
 * does not take to the bufferevent. A session that has had its share of the pass leaves all to it,
 * and so to the next pass: others have their turn in between. */
void session_flush(struct session *session)
{
	struct server *server = session->server;
	struct buf *out = &server->out;
	bool at_once = server->pass_spent < PASS_MAX && session_waiting(session) == 0;
	size_t sent = 0;

	if (out->len == 0)
		return;
	server->pass_spent += out->len;
	if (at_once && !session->mute)
		sent = session_send(session, out->data, out->len);
	if (sent < out->len && !session->mute &&
		session_keep(session, out->data + sent, out->len - sent) < 0)
		session_close(session);
	out->len = 0;
}

void session_error(struct session *session, const struct error *error)
{
	struct buf *out = &session->server->out;

	session->server->errors[error->code]++;
	buf_add(out, "ERR ", 4);
	buf_add_str(out, err_code_name(error->code));
	buf_add_char(out, ' ');
	buf_add_str(out, error->text);
	buf_add_char(out, '\n');
}

/* ---- the engine ---------------------------------------------------------------------------- */

static void session_changed(struct session *session, const struct error *failed)
{
	const struct core_event *event = &session->request.event;

	free(session->strings);
	session->strings = NULL;
	if (failed == NULL && event->kind == CORE_MARK)
		audit_marked(session);
	if (session->quit)
		return;
	if (failed != NULL) {
		session_error(session, failed);
	} else if (event->kind == CORE_UPDATE) {
		listing_of_graph(&session->listing,
			PARTS(PART_GRAPH) | (session->quiet ? 0 : PARTS(PART_TASKS)), &event->ret_graph);
		session_list(session, FINISH_PLAN);
	} else {
		reply_ok(session);
	}
}

static void session_fetched(struct session *session, const struct error *failed)
{
	struct engine *engine = session->server->engine;
	struct graph *graph = session->request.fetched;

	session->request.fetched = NULL;
	if (failed == NULL) {
		listing_of_preview(&session->listing, session->parts, graph,
			engine_core(engine)->groups[graph->group]->name);
		session_list(session, session->finish);
		return;
	}
	session_error(session, failed);
	session_listing_drop(session);
	if (session->finish == FINISH_WATCH)
		watch_end(session);
}

static void on_engine(struct engine_request *request, const struct error *failed)
{
	struct session *session = LINK_OWNER(request, struct session, request);
	enum session_wait wait = session->wait;

	assert(session->server->out.len == 0);
	session->wait = WAIT_NOTHING;
	if (wait == WAIT_CHANGE)
		session_changed(session, failed);
	else if (wait == WAIT_COPY)
		session_copied(session, failed);
	else if (wait == WAIT_FETCH)
		session_fetched(session, failed);
	/* A wait that failed is over as well: what comes next finds that the state is lost. */
	session_go(session);
}

void session_submit(struct session *session)
{
	session->wait = WAIT_CHANGE;
	engine_submit(session->server->engine, &session->request);
}

/* ---- input --------------------------------------------------------------------------------- */

static bool session_may_handle(const struct session *session)
{
	return session->wait == WAIT_NOTHING && !session->listing_on && session->copy == NULL &&
		!session->quit && !session->dead && session_waiting(session) < LIMIT_WAITING &&
		session->server->drained == NULL;
}

static void session_line_too_long(struct session *session)
{
	struct error error;

	error_set(&error, ERR_LINE_TOO_LONG, "a request has at most %d bytes", LIMIT_REQUEST);
	session->server->requests++;
	session_error(session, &error);
}

/* Handles a line without its LF; returns false where it is to be handled again later. */
static bool session_line(struct session *session, const char *line, size_t len)
{
	size_t shown = len > 0 && line[len - 1] == '\r' ? len - 1 : len;

	if (session->discarding) {
		session->discarding = false;
		return true;
	}
	if (shown > LIMIT_REQUEST) {
		session_line_too_long(session);
		return true;
	}
	return command_handle(session, line, len);
}

/* Input that has no LF: returns how much of it is to be forgotten. */
static size_t session_part(struct session *session, size_t len)
{
	if (!session->discarding && len > LIMIT_REQUEST + 1) {
		session_line_too_long(session);
		session->discarding = true;
	}
	return session->discarding ? len : 0;
}

/* The whole input as one run of bytes. It is nearly always in one piece; else it is short, for
 * not much more than a request is read before it is handled. */
static const char *session_input(struct session *session, size_t len)
{
	struct evbuffer_iovec piece;

	if (evbuffer_peek(session->input, -1, NULL, &piece, 1) == 1 && piece.iov_len == len)
		return piece.iov_base;
	return (const char *)evbuffer_pullup(session->input, (ev_ssize_t)len);
}

/* Handles the lines that are there, as far as it may. */
static void session_handle(struct session *session)
{
	size_t len = evbuffer_get_length(session->input), used = 0;
	const char *data, *end;

	if (len == 0 || !session_may_handle(session))
		return;
	data = session_input(session, len);
	if (data == NULL) {
		session_close(session);
		return;
	}
	while (used < len && session_may_handle(session)) {
		end = memchr(data + used, '\n', len - used);
		if (end == NULL) {
			used += session_part(session, len - used);
			break;
		}
		if (!session_line(session, data + used, (size_t)(end - data) - used))
			break;
		used = (size_t)(end - data) + 1;
		if (session->server->out.len >= FLUSH_BYTES)
			session_flush(session);
	}
	if (used > 0)
		evbuffer_drain(session->input, used);
}

/* Reads no more than a request ahead of what is handled. Left enabled, a full input would be read
 * again and again. */
static void session_set_reading(struct session *session)
{
	bool wanted = !session->eof && !session->quit &&
		evbuffer_get_length(session->input) <= LIMIT_REQUEST + 1;

	if (wanted == session->reading)
		return;
	session->reading = wanted;
	if (wanted)
		bufferevent_enable(session->bev, EV_READ);
	else
		bufferevent_disable(session->bev, EV_READ);
}

/* Whether nothing will come of the session any more. */
static bool session_through(const struct session *session)
{
	if (session->listing_on || session->copy != NULL || session->wait == WAIT_CHANGE ||
		session->wait == WAIT_FETCH || session_waiting(session) > 0)
		return false;
	if (session->quit)
		return true;
	return session->eof && session->wait == WAIT_NOTHING &&
		(session->watch.state == WATCH_OFF || session->mute);
}

/* Whether something that was begun has not been answered. */
static bool session_owes(const struct session *session)
{
	return session->listing_on || session->copy != NULL || session_waiting(session) > 0 ||
		(session->wait != WAIT_NOTHING && session->wait != WAIT_TURN && session->wait != WAIT_PASS);
}

/* After a pass: what the session waits for next. */
static void session_settle(struct session *session)
{
	if (session_through(session)) {
		session_close(session);
		return;
	}
	if (session->server->drained != NULL && !session_owes(session)) {
		session_stop(session);
		return;
	}
	session_set_reading(session);
	if (session->eof && (session->watch.state != WATCH_OFF || session->copy != NULL))
		server_watch_hangups(session->server);
	if (session->watch.state == WATCH_OFF)
		return;
	if (session->watch.state == WATCH_BLOCKED && session_waiting(session) == 0 &&
		!session_replies(session))
		watch_unblock(session);
}

void session_go(struct session *session)
{
	if (session->dead)
		return;
	if (!turns_take(session)) {
		session_flush(session);
		if (!session->dead)
			session_set_reading(session);
		return;
	}
	session->server->pass_spent = 0;
	session->rights_fresh = false;
	if (session->listing_on && session->wait == WAIT_NOTHING)
		session_listing_go(session);
	if (session->copy != NULL)
		session_copy_go(session);
	session_handle(session);
	session_flush(session);
	if (session->dead)
		return;
	turns_spend(session, session->server->pass_spent);
	session_settle(session);
}

/* ---- the connection ------------------------------------------------------------------------ */

static void on_input(struct bufferevent *bev, void *arg)
{
	(void)bev;
	session_go(arg);
}

/* The output has been written. */
static void on_output(struct bufferevent *bev, void *arg)
{
	(void)bev;
	session_go(arg);
}

bool session_hung_up(const struct session *session)
{
	struct pollfd pollfd = {.fd = session->fd};

	return poll(&pollfd, 1, 0) > 0 && (pollfd.revents & (POLLHUP | POLLERR)) != 0;
}

static void on_end(struct bufferevent *bev, short what, void *arg)
{
	struct session *session = arg;

	(void)bev;
	if (what & BEV_EVENT_TIMEOUT) {
		log_event(LEVEL_INFO, "client-dropped", LOG_U64("uid", session->uid),
			LOG_STR("reason", "it does not read its reply"));
		session_close(session);
		return;
	}
	if (what & BEV_EVENT_READING) {
		/* libevent has disabled EV_READ. */
		session->eof = true;
		session->reading = false;
		if ((session->watch.state != WATCH_OFF || session->copy != NULL) && session_hung_up(session))
			session_mute(session);
	}
	if ((what & BEV_EVENT_WRITING) || (what & BEV_EVENT_ERROR))
		session_mute(session);
	session_go(session);
}

void session_set_deadline(struct session *session, bool on)
{
	uint64_t ms = session->server->config.rules.send_timeout_ms;
	const struct timeval timeout = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};

	bufferevent_set_timeouts(session->bev, NULL, on && ms > 0 ? &timeout : NULL);
}

struct origin session_origin(const struct session *session)
{
	struct server *server = session->server;

	return origins_find(&server->origins, server->engine, session->uid);
}

struct session *session_new(struct server *server, int fd, uid_t uid)
{
	struct session *session = mem_zalloc(1, sizeof *session);

	session->server = server;
	session->fd = fd;
	session->uid = uid;
	session->request.done = on_engine;
	listing_init(&session->listing);
	link_init(&session->watch.link);
	link_init(&session->preview.link);
	link_init(&session->turn);
	session->bev = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (session->bev == NULL) {
		close(fd);
		free(session);
		return NULL;
	}
	session->input = bufferevent_get_input(session->bev);
	session->output = bufferevent_get_output(session->bev);
	bufferevent_setcb(session->bev, on_input, on_output, on_end, session);
	session->reading = true;
	if (bufferevent_enable(session->bev, EV_READ) < 0) {
		bufferevent_free(session->bev);
		free(session);
		return NULL;
	}
	link_append(&server->sessions, &session->link);
	server->clients++;
	users_add(&server->users, uid);
	session->rights = MAY_READ; /* no stranger, until looked up */
	session->rights_until_ms = INT64_MIN;
	session_rights(session);
	return session;
}

void session_close(struct session *session)
{
	struct server *server = session->server;

	if (session->dead)
		return;
	session->dead = true;
	watch_end(session);
	if (session->wait != WAIT_NOTHING && session->wait != WAIT_PASS)
		engine_forget(server->engine, &session->request);
	session->wait = WAIT_NOTHING;
	session_copy_drop(session);
	session_listing_drop(session);
	free(session->strings);
	session->strings = NULL;
	bufferevent_setcb(session->bev, NULL, NULL, NULL, NULL);
	bufferevent_disable(session->bev, EV_READ | EV_WRITE);
	link_remove(&session->preview.link);
	link_remove(&session->turn);
	link_remove(&session->link);
	link_append(&server->dead, &session->link);
	server->clients--;
	server->strangers -= session->rights == 0;
	users_remove(&server->users, session->uid);
	event_active(server->reaper, EV_TIMEOUT, 0);
}

void session_free(struct session *session)
{
	assert(session->dead);
	link_remove(&session->link);
	bufferevent_free(session->bev);
	free(session);
}

void session_shut_down(struct session *session, const struct error *why)
{
	struct buf *out = &session->server->out;

	assert(out->len == 0);
	listing_end_line(&session->listing, out);
	session_error(session, why);
	if (!session->mute && session_waiting(session) > 0) {
		evbuffer_unfreeze(session->output, 1);
		evbuffer_write(session->output, session->fd);
		evbuffer_freeze(session->output, 1);
	}
	if (!session->mute && session_waiting(session) == 0)
		session_send(session, out->data, out->len);
	out->len = 0;
	session_close(session);
}

/* Whether a change was begun whose reply is not made to its end: nothing is to be said in place of that, for it
 * would be taken for the reply. */
static bool session_owes_change(const struct session *session)
{
	return session->wait == WAIT_CHANGE ||
		(session->listing_on && session->finish == FINISH_PLAN && session->listing.preview == NULL);
}

void session_dismiss(struct session *session, const struct error *why)
{
	if (session_owes_change(session))
		session_close(session);
	else
		session_shut_down(session, why);
}

void session_stop(struct session *session)
{
	static const struct error why = {ERR_SHUTTING_DOWN, "the daemon ends"};

	session_dismiss(session, &why);
}

/* ---- rights -------------------------------------------------------------------------------- */

unsigned session_rights(struct session *session)
{
	struct server *server = session->server;

	if (session->rights_fresh)
		return session->rights;
	session->rights_fresh = true;
	if (session->rights_until_ms == INT64_MAX ||
		engine_now(server->engine).mono_ms < session->rights_until_ms)
		return session->rights;
	server->strangers -= session->rights == 0;
	session->rights = access_rights(&server->access, server->engine, session->fd, session->uid,
		&session->rights_until_ms);
	server->strangers += session->rights == 0;
	return session->rights;
}

void session_check_watch(struct session *session)
{
	struct origin origin;
	struct error why;

	if (session->watch.state == WATCH_OFF || (session_rights(session) & MAY_READ))
		return;
	origin = session_origin(session);
	audit_denied(session, verb_row(VERB_watch), &origin);
	access_deny(&session->server->access, verb_row(VERB_watch), origin.user, &why);
	session_dismiss(session, &why);
}
