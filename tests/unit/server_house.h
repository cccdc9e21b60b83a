/* The real server and engine in a house of their own: its store answers and its clock goes as the test says,
 * and its clients are sockets. There is one of it, from begin() to end(). */
#ifndef IMD_TESTS_SERVER_HOUSE_H
#define IMD_TESTS_SERVER_HOUSE_H

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "driver/mock.h"
#include "proto/mem.h"
#include "server/server.h"
#include "unit.h"

enum { PASSES = 50, CLIENTS = 3 };

static struct {
	struct event_base *base;
	struct server *server;
	struct engine *engine;
	bool woken;
	int64_t now_ms;
	char directory[64];
	struct sockaddr_un address;
	int clients[CLIENTS];
	/* Of the store: */
	bool unreadable;
	uint64_t seq, flying_seq;
	struct id incarnation;
	store_done_fn *done; /* NULL: no commit under way */
	void *done_arg;
	bool copying;
	store_read_fn *piece; /* NULL: no piece of a copy is read */
	void *piece_arg;
	store_fetched_fn *fetched; /* NULL: no graph is read back */
	void *fetched_arg;
} house;

/* A store that keeps nothing but the number of the last event. */

static inline int house_load(struct store *store, struct core *core, struct store_history *ret_history,
	struct error *error)
{
	(void)store;
	(void)core;
	*ret_history = (struct store_history){.incarnation = house.incarnation, .event_seq = house.seq};
	return house.unreadable ? error_set(error, ERR_INTERNAL, "no memory") : 0;
}

static inline void house_commit(struct store *store, const struct core *core, const struct change *changes,
	size_t count, uint64_t event_seq, store_done_fn *done, void *arg)
{
	(void)store;
	(void)core;
	(void)changes;
	(void)count;
	house.flying_seq = event_seq;
	house.done = done;
	house.done_arg = arg;
}

static inline void house_probe(struct store *store, store_done_fn *done, void *arg)
{
	(void)store;
	done(arg, NULL);
}

/* A copy whose pieces come when the test says so. */

static inline struct store_copy *house_copy_begin(struct store *store, struct error *error)
{
	(void)store;
	(void)error;
	ck_assert(!house.copying);
	house.copying = true;
	return (struct store_copy *)&house; /* nobody but this store looks into it */
}

static inline void house_copy_read(struct store_copy *copy, store_read_fn *done, void *arg)
{
	ck_assert_ptr_eq(copy, &house);
	ck_assert(house.copying && !house.piece);
	house.piece = done;
	house.piece_arg = arg;
}

static inline void piece_comes(const void *data, size_t len, const struct error *error)
{
	store_read_fn *done = house.piece;

	ck_assert_ptr_nonnull(done);
	house.piece = NULL;
	done(house.piece_arg, data, len, error);
}

static inline void house_copy_end(struct store_copy *copy)
{
	static const struct error ended = {ERR_CONFLICT, "the copy was ended"};

	ck_assert_ptr_eq(copy, &house);
	ck_assert(house.copying);
	house.copying = false;
	if (house.piece)
		piece_comes(NULL, 0, &ended);
}

static inline void house_fetch(struct store *store, uint64_t serial, store_fetched_fn *done, void *arg)
{
	(void)store;
	(void)serial;
	house.fetched = done;
	house.fetched_arg = arg;
}

static inline void house_free(struct store *store)
{
	free(store);
}

static inline void commit_ends(bool well)
{
	static const struct error full = {ERR_STORAGE, "the disk is full"};
	store_done_fn *done = house.done;

	ck_assert_ptr_nonnull(done);
	house.done = NULL;
	if (well)
		house.seq = house.flying_seq;
	done(house.done_arg, well ? NULL : &full);
}

/* The host. */

static inline void host_now(void *arg, struct now *ret_now)
{
	(void)arg;
	*ret_now = (struct now){.mono_ms = house.now_ms, .wall_us = house.now_ms * 1000};
}

static inline int64_t host_mono_us(void *arg)
{
	(void)arg;
	return house.now_ms * 1000;
}

static inline void host_wake(void *arg)
{
	(void)arg;
	house.woken = true;
}

static inline void host_arm(void *arg, int64_t deadline_ms)
{
	(void)arg;
	(void)deadline_ms;
}

static inline void host_storage(void *arg, const struct error *error)
{
	(void)arg;
	(void)error;
}

static inline void new_id(void *arg, struct id *ret_id)
{
	static uint8_t count;

	(void)arg;
	memset(ret_id, 0x5a, sizeof *ret_id);
	ret_id->bytes[0] = ++count;
}

static inline struct store *store_new(void)
{
	static const struct store_ops ops = {.name = "house", .load = house_load,
		.commit = house_commit, .probe = house_probe, .copy_begin = house_copy_begin,
		.copy_read = house_copy_read, .copy_end = house_copy_end, .fetch = house_fetch, .free = house_free};
	struct store *store = mem_zalloc(1, sizeof *store);

	store->ops = &ops;
	return store;
}

static inline void run(void)
{
	for (int pass = 0; pass < PASSES; pass++) {
		event_base_loop(house.base, EVLOOP_NONBLOCK);
		if (!house.woken)
			continue;
		house.woken = false;
		engine_turn(house.engine);
	}
}

static inline void connect_client(int client)
{
	house.clients[client] = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(house.clients[client], (struct sockaddr *)&house.address,
		sizeof house.address), 0);
	run();
}

/* The end of the reply to WATCH in a house that has just begun: its incarnation is all 0x77. */
#define HOUSE_WATCHED "OK seq=0 incarnation=77777777-7777-7777-7777-777777777777\n"

static inline void begin(void)
{
	struct server_config server = {.path = house.address.sun_path, .mode = 0600,
		.listen_fd = -1, .rules = {.max_clients = CLIENTS, .keep_events = 100}, .driver = "mock",
		.store = "house"};
	struct mock_config mock = {0};
	struct core_config core;
	struct error error;
	struct store_history history;

	memset(&house, 0, sizeof house);
	memset(&house.incarnation, 0x77, sizeof house.incarnation);
	strcpy(house.directory, "/tmp/imd-house-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(house.directory));
	house.address.sun_family = AF_UNIX;
	snprintf(house.address.sun_path, sizeof house.address.sun_path, "%s/imd.sock",
		house.directory);
	house.now_ms = 1000;
	house.base = event_base_new();
	house.server = server_new(house.base, &server, &error);
	ck_assert_msg(house.server != NULL, "%s", error.text);
	core_config_default(&core);
	core.new_id = new_id;
	core.keep_tasks = 0;
	house.engine = engine_new(&core, store_new(), mock_new(house.base, &mock),
		&(struct engine_host){host_now, host_mono_us, host_wake, host_arm, server_notice,
			server_last_seq, server_publish, server_retract, host_storage, house.server}, &history,
		&error);
	ck_assert_msg(house.engine != NULL, "%s", error.text);
	server_start(house.server, house.engine, &history);
	for (int i = 0; i < CLIENTS; i++)
		connect_client(i);
}

static inline void end(void)
{
	server_stop(house.server);
	engine_free(house.engine);
	server_free(house.server);
	for (int i = 0; i < CLIENTS; i++)
		close(house.clients[i]);
	event_base_free(house.base);
	strcat(house.address.sun_path, ".lock");
	unlink(house.address.sun_path);
	ck_assert_int_eq(rmdir(house.directory), 0);
}

static inline void say(int client, const char *text)
{
	ck_assert_int_eq(send(house.clients[client], text, strlen(text), 0), (int)strlen(text));
	run();
}

/* All that the client has got by now. */
static inline const char *got(int client)
{
	static char text[4096];
	ssize_t len;

	run();
	len = recv(house.clients[client], text, sizeof text - 1, MSG_DONTWAIT);
	text[len > 0 ? len : 0] = '\0';
	return text;
}

#endif
