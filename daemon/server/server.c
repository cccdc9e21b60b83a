#include "server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "internal.h"
#include "proto/mem.h"
#include "records.h"

enum {
	HANGUPS_EVERY_S = 1,
	RECHECK_EVERY_S = 10, /* whether those who watch still may */
	KEPT_PART = 10,      /* of the places for clients a tenth, */
	KEPT_MAX = 3,        /* and so many at most, are for administrators */
	STRANGERS_PART = 10, /* and a tenth at most goes to users without any right */
};

uint64_t server_errors(const struct server *server)
{
	uint64_t errors = 0;

	for (int code = 0; code < ERR_CODE_COUNT; code++)
		errors += server->errors[code];
	return errors;
}

/* ---- clients ------------------------------------------------------------------------------- */

static void shed(struct server *server, int fd, const char *text)
{
	server->errors[ERR_TOO_MANY]++;
	send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void on_no_room(void *arg, int fd)
{
	shed(arg, fd, "ERR too-many the daemon is out of file descriptors\n");
}

/* How many clients with these rights there may be among all: others could keep administrators out by staying, and
 * these could keep out root and the user of imd. */
static uint32_t places_for(uint32_t max_clients, unsigned rights)
{
	uint32_t kept = max_clients / KEPT_PART;

	if (rights & MAY_ALWAYS)
		return max_clients;
	if (rights & MAY_CHANGE)
		return max_clients - (kept > 0 ? 1 : 0);
	return max_clients - (kept < KEPT_MAX ? kept : KEPT_MAX);
}

/* How many of them may be users who may neither read nor change: idle ones must not keep others out. */
static uint32_t places_for_strangers(uint32_t max_clients)
{
	uint32_t places = max_clients / STRANGERS_PART;

	return places > 0 ? places : 1;
}

/* Why a client is not let in; NULL: it is. */
static const char *no_place(struct server *server, int fd, uid_t uid)
{
	const struct server_rules *rules = &server->config.rules;
	int64_t until_ms;
	unsigned rights;

	if (!engine_has_memory(server->engine, server->clients + 1))
		return "ERR too-many not enough memory for another client\n";
	if (server->clients >= rules->max_clients)
		return "ERR too-many client limit reached\n";
	if (rules->max_clients_per_user > 0 &&
		users_clients(&server->users, uid) >= rules->max_clients_per_user)
		return "ERR too-many client limit of this user reached\n";
	rights = access_rights(&server->access, server->engine, fd, uid, &until_ms);
	if (server->clients >= places_for(rules->max_clients, rights))
		return rights & MAY_CHANGE
			? "ERR too-many the remaining connection is reserved for root and the user of imd\n"
			: "ERR too-many the remaining connections are reserved for administrators\n";
	if (rights == 0 && server->strangers >= places_for_strangers(rules->max_clients))
		return "ERR too-many client limit of users without rights reached\n";
	return NULL;
}

static void on_accepted(void *arg, int fd)
{
	struct server *server = arg;
	uid_t uid = peer_uid(fd);
	const char *why = no_place(server, fd, uid);

	if (why)
		shed(server, fd, why);
	else
		session_new(server, fd, uid);
}

static void server_reap(struct server *server)
{
	while (!link_empty(&server->dead))
		session_free(LINK_OWNER(server->dead.next, struct session, link));
}

static void on_reap(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;

	(void)fd;
	(void)what;
	server_reap(server);
	if (server->drained != NULL && link_empty(&server->sessions))
		server->drained(server->drained_arg);
}

/* A client that has shut its sending side and only watches is waited for by nothing: its socket
 * stays readable, and there is nothing to write. That it is gone for good is looked up. */
static void on_hangups(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	struct link *link, *next;
	bool more = false;

	(void)fd;
	(void)what;
	for (link = server->sessions.next; link != &server->sessions; link = next) {
		struct session *session = LINK_OWNER(link, struct session, link);

		next = link->next;
		if (!session->eof || (session->watch.state == WATCH_OFF && session->copy == NULL))
			continue;
		if (session_hung_up(session)) {
			session_mute(session);
			session_go(session);
		} else {
			more = true;
		}
	}
	if (more)
		server_watch_hangups(server);
}

/* A user who has lost all rights keeps no more connections than others without rights. */
static void check_place(struct server *server, struct session *session)
{
	static const struct error why = {ERR_TOO_MANY, "client limit of users without rights reached"};

	session_rights(session);
	if (session->rights == 0 && server->strangers > places_for_strangers(server->config.rules.max_clients))
		session_dismiss(session, &why);
}

/* Rights may end at any time: a user leaves a group. Those who send requests are checked at each; those who
 * only watch, or only stay, here. */
static void recheck(struct server *server)
{
	struct link *link, *next;

	for (link = server->sessions.next; link != &server->sessions; link = next) {
		struct session *session = LINK_OWNER(link, struct session, link);

		next = link->next;
		session->rights_fresh = false;
		session_check_watch(session);
		if (!session->dead)
			check_place(server, session);
	}
}

static void on_recheck(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	recheck(arg);
}

/* Without groups all clients may watch, and nobody loses that. */
static void recheck_arm(struct server *server)
{
	const struct access_rules *rules = &server->config.rules.access;

	if (rules->admin_group || rules->read_group)
		event_add(server->recheck, &(struct timeval){RECHECK_EVERY_S, 0});
	else
		event_del(server->recheck);
}

void server_watch_hangups(struct server *server)
{
	if (!evtimer_pending(server->hangups, NULL))
		event_add(server->hangups, &(struct timeval){HANGUPS_EVERY_S, 0});
}

/* ---- setting up and taking down ------------------------------------------------------------ */

static int server_events_new(struct server *server)
{
	server->reaper = evtimer_new(server->base, on_reap, server);
	server->hangups = evtimer_new(server->base, on_hangups, server);
	server->recheck = event_new(server->base, -1, EV_PERSIST, on_recheck, server);
	if (server->reaper == NULL || server->hangups == NULL || !server->recheck ||
		turns_init(&server->turns, server->base) < 0 ||
		previews_init(&server->previews, server->base) < 0)
		return -1;
	recheck_arm(server);
	return watchers_init(server, server->base);
}

static const struct listener_host server_listens = {.accepted = on_accepted, .no_room = on_no_room};

struct server *server_new(struct event_base *base, const struct server_config *config,
	struct error *error)
{
	struct server *server = mem_zalloc(1, sizeof *server);

	server->config = *config;
	server->base = base;
	link_init(&server->sessions);
	link_init(&server->dead);
	words_init(&server->words);
	access_configure(&server->access, &config->rules.access);
	ring_init(&server->ring, config->rules.keep_events > 0 ? config->rules.keep_events : 1, 0);
	if (listener_init(&server->listener, config->path, config->mode, config->listen_fd,
		    error) < 0) {
		free(server);
		return NULL;
	}
	if (server_events_new(server) < 0 ||
		listener_set_up(&server->listener, base, &server_listens, server) < 0) {
		error_set(error, ERR_INTERNAL, "cannot set up the events of the server");
		server_free(server);
		return NULL;
	}
	return server;
}

void server_start(struct server *server, struct engine *engine, const struct store_history *history)
{
	struct now now = engine_now(engine);

	if (server->ring.last == 0)
		ring_init(&server->ring, server->ring.keep, history->event_seq);
	server->incarnation = history->incarnation;
	server->engine = engine;
	server->started_ms = now.mono_ms;
	server->started_us = now.wall_us;
	listener_start(&server->listener);
}

void server_configure(struct server *server, const struct server_rules *rules)
{
	struct link *link;

	server->config.rules = *rules;
	origins_clear(&server->origins); /* a user may have another name by now */
	access_configure(&server->access, &rules->access);
	recheck_arm(server);
	for (link = server->sessions.next; link != &server->sessions; link = link->next)
		LINK_OWNER(link, struct session, link)->rights_until_ms = INT64_MIN;
	recheck(server);
	ring_keep(&server->ring, rules->keep_events);
	server->spec_line.text.len = 0; /* that of a group without a spec shows the policy to come */
}

void server_drain(struct server *server, void (*drained)(void *arg), void *arg)
{
	struct link *link, *next;

	server->drained = drained;
	server->drained_arg = arg;
	listener_close(&server->listener);
	for (link = server->sessions.next; link != &server->sessions; link = next) {
		next = link->next;
		session_go(LINK_OWNER(link, struct session, link));
	}
	event_active(server->reaper, EV_TIMEOUT, 0);
}

void server_stop(struct server *server)
{
	while (!link_empty(&server->sessions))
		session_stop(LINK_OWNER(server->sessions.next, struct session, link));
	server_reap(server);
	listener_fini(&server->listener);
	server->engine = NULL;
}

void server_free(struct server *server)
{
	server_stop(server);
	watchers_fini(server);
	if (server->reaper != NULL)
		event_free(server->reaper);
	if (server->hangups != NULL)
		event_free(server->hangups);
	if (server->recheck)
		event_free(server->recheck);
	previews_fini(&server->previews);
	turns_fini(&server->turns);
	ring_fini(&server->ring);
	buf_fini(&server->spec_line.text);
	buf_fini(&server->out);
	free(server->users.list);
	words_fini(&server->words);
	free(server);
}

void server_load(const struct server *server, struct server_load *ret_load)
{
	*ret_load = (struct server_load){
		.clients = server->clients,
		.watchers = server->watchers.count,
		.requests = server->requests,
		.last_seq = server->ring.published,
		.ring_events = ring_events(&server->ring),
		.ring_bytes = ring_bytes(&server->ring),
		.store = server->config.store,
	};
}

/* ---- what the engine tells ----------------------------------------------------------------- */

void server_notice(void *arg, const struct notice *notice)
{
	struct server *server = arg;
	struct ring_event event = {
		.graph = notice->graph != NULL ? notice->graph->serial : RING_NO_GRAPH,
		.group = notice->group->index,
		.kinds = watch_kinds(notice->type),
	};

	records_event(ring_begin(&server->ring), server->ring.last + 1, notice);
	ring_end(&server->ring, &event);
}

uint64_t server_last_seq(void *arg)
{
	const struct server *server = arg;

	return server->ring.last;
}

void server_publish(void *arg, uint64_t seq)
{
	struct server *server = arg;
	uint64_t before = server->ring.published;

	if (seq == before)
		return;
	watchers_hurry(server, seq);
	watchers_wake(server, before, ring_publish(&server->ring, seq));
}

void server_retract(void *arg, uint64_t seq)
{
	struct server *server = arg;

	ring_retract(&server->ring, seq);
	server->spec_line.text.len = 0; /* its group may be another one now */
}
