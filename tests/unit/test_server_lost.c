/* What clients get while the state cannot be read: the real server and engine on a store that fails as
 * it is told to. */
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

#define LOST "ERR storage the state cannot be read just now: no memory\n"
#define FAILED "ERR storage the disk is full\n"

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
	store_done_fn *done; /* NULL: no commit under way */
	void *done_arg;
	store_fetched_fn *fetched; /* NULL: no graph is read back */
	void *fetched_arg;
} house;

/* A store that keeps nothing but the number of the last event. */

static int house_load(struct store *store, struct core *core, uint64_t *ret_event_seq,
	struct error *error)
{
	(void)store;
	(void)core;
	*ret_event_seq = house.seq;
	return house.unreadable ? error_set(error, ERR_INTERNAL, "no memory") : 0;
}

static void house_commit(struct store *store, const struct core *core, const struct change *changes,
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

static void house_probe(struct store *store, store_done_fn *done, void *arg)
{
	(void)store;
	done(arg, NULL);
}

static void house_fetch(struct store *store, uint64_t serial, store_fetched_fn *done, void *arg)
{
	(void)store;
	(void)serial;
	house.fetched = done;
	house.fetched_arg = arg;
}

static void house_free(struct store *store)
{
	free(store);
}

static void commit_ends(bool well)
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

static void host_now(void *arg, struct now *ret_now)
{
	(void)arg;
	*ret_now = (struct now){.mono_ms = house.now_ms, .wall_us = house.now_ms * 1000};
}

static int64_t host_mono_us(void *arg)
{
	(void)arg;
	return house.now_ms * 1000;
}

static void host_wake(void *arg)
{
	(void)arg;
	house.woken = true;
}

static void host_arm(void *arg, int64_t deadline_ms)
{
	(void)arg;
	(void)deadline_ms;
}

static void host_storage(void *arg, const struct error *error)
{
	(void)arg;
	(void)error;
}

static void new_id(void *arg, struct id *ret_id)
{
	(void)arg;
	static uint8_t count;

	memset(ret_id, 0x5a, sizeof *ret_id);
	ret_id->bytes[0] = ++count;
}

static struct store *store_new(void)
{
	static const struct store_ops ops = {.name = "house", .load = house_load,
		.commit = house_commit, .probe = house_probe, .fetch = house_fetch,
		.free = house_free};
	struct store *store = mem_zalloc(1, sizeof *store);

	store->ops = &ops;
	return store;
}

static void run(void)
{
	for (int pass = 0; pass < PASSES; pass++) {
		event_base_loop(house.base, EVLOOP_NONBLOCK);
		if (!house.woken)
			continue;
		house.woken = false;
		engine_turn(house.engine);
	}
}

static void begin(void)
{
	struct server_config server = {.path = house.address.sun_path, .mode = 0600,
		.listen_fd = -1, .rules = {.max_clients = CLIENTS, .keep_events = 100}, .driver = "mock",
		.store = "house"};
	struct mock_config mock = {0};
	struct core_config core;
	struct error error;
	uint64_t seq;

	memset(&house, 0, sizeof house);
	strcpy(house.directory, "/tmp/imd-lost-XXXXXX");
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
			server_last_seq, server_publish, server_retract, host_storage, house.server}, &seq, &error);
	ck_assert_msg(house.engine != NULL, "%s", error.text);
	server_start(house.server, house.engine, seq);
	for (int i = 0; i < CLIENTS; i++) {
		house.clients[i] = socket(AF_UNIX, SOCK_STREAM, 0);
		ck_assert_int_eq(connect(house.clients[i], (struct sockaddr *)&house.address,
			sizeof house.address), 0);
	}
	run();
}

static void end(void)
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

static void say(int client, const char *text)
{
	ck_assert_int_eq(send(house.clients[client], text, strlen(text), 0), (int)strlen(text));
	run();
}

/* All that the client has got by now. */
static const char *got(int client)
{
	static char text[4096];
	ssize_t len;

	run();
	len = recv(house.clients[client], text, sizeof text - 1, MSG_DONTWAIT);
	text[len > 0 ? len : 0] = '\0';
	return text;
}

static void lose_state(void)
{
	say(0, "UPDATE 1 1\n");
	house.unreadable = true;
	commit_ends(false);
	ck_assert_str_eq(got(0), FAILED);
	ck_assert_ptr_nonnull(engine_lost(house.engine));
}

START_TEST(requests_about_the_state_are_refused_and_the_others_answered)
{
	static const char *const refused[] = {"SPEC\n", "SPECS\n", "NODES\n", "NODE 12345\n",
		"GRAPHS\n", "GRAPH 12345\n", "TASKS 12345\n", "GROUPS\n", "STATS\n", "METRICS\n",
		"PLAN 1 1\n", "UPDATE 2 2\n", "KILL 12345\n", "MARK 12345\n", "CANCEL 12345\n", "WATCH ALL\n",
		"WATCH ALL initial=no\n"};

	begin();
	lose_state();
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		say(0, refused[i]);
		ck_assert_str_eq(got(0), LOST);
	}
	say(0, "PING\nNODES\nUNWATCH\nUPDATE 1\nQUIT\n");
	ck_assert_ptr_nonnull(strstr(got(0), "OK\n" LOST "OK\nERR bad-argument "));
	end();
}
END_TEST

START_TEST(who_waits_for_a_commit_when_the_state_is_lost_is_told)
{
	begin();
	say(0, "UPDATE 1 1\n");
	say(1, "NODES\nPING\nSPEC\n");
	say(2, "WATCH TASKS\nPING\n");
	house.unreadable = true;
	commit_ends(false);
	ck_assert_str_eq(got(0), FAILED);
	ck_assert_str_eq(got(1), LOST "OK\n" LOST);
	ck_assert_str_eq(got(2), LOST "OK\n");
	end();
}
END_TEST

START_TEST(an_update_whose_plan_cannot_be_listed_says_that_it_is_made)
{
	begin();
	say(0, "UPDATE 1 1\n");
	say(1, "UPDATE 2 1 group=a\n"); /* in the next commit, which the plan waits for */
	commit_ends(true);
	ck_assert_str_eq(got(0), "");
	house.unreadable = true;
	commit_ends(false);
	ck_assert_str_eq(got(0), "ERR storage the change is made, but "
		"the state cannot be read just now: no memory\n");
	ck_assert_str_eq(got(1), FAILED);
	end();
}
END_TEST

/* Reads on until this has come, or nothing more does; returns the last that came, a text. */
static const char *read_on(int client, const char *until)
{
	static char text[64 * 1024];
	size_t len = 0;

	for (;;) {
		ssize_t more;

		if (len > sizeof text / 2) { /* what is looked for may stand across two reads */
			memmove(text, text + len - 1024, 1024);
			len = 1024;
		}
		run();
		more = recv(house.clients[client], text + len, sizeof text - 1 - len, MSG_DONTWAIT);
		if (more <= 0)
			return text;
		len += (size_t)more;
		text[len] = '\0';
		if (strstr(text, until) != NULL)
			return text;
	}
}

START_TEST(a_line_that_is_begun_is_ended_before_the_error)
{
	static const char end_of_all[] = "\n" LOST;
	const char *text;

	begin();
	say(0, "PLAN 200000 1\n"); /* the line of the barrier is over a megabyte */
	ck_assert_ptr_nonnull(strstr(read_on(0, "prereqs=0,1,"), "prereqs=0,1,"));
	say(1, "UPDATE 1 1\n");
	house.unreadable = true;
	commit_ends(false);
	text = read_on(0, "\nERR ");
	ck_assert_uint_gt(strlen(text), strlen(end_of_all));
	ck_assert_str_eq(text + strlen(text) - strlen(end_of_all), end_of_all);
	ck_assert_ptr_null(strstr(text, "waits=")); /* with which the line would end */
	say(0, "PING\n");
	ck_assert_str_eq(got(0), "OK\n");
	end();
}
END_TEST

/* The group `web` comes to this spec, and its graph to its end. */
static void bring_web_to(const char *spec)
{
	char request[64];

	snprintf(request, sizeof request, "UPDATE %s group=web\n", spec);
	say(0, request);
	for (int commits = 0; house.done != NULL; commits++) {
		ck_assert_int_lt(commits, 100);
		commit_ends(true);
		run();
	}
	got(0);
}

/* Lost is all but the default group, which the graph is not of. */
START_TEST(a_graph_that_was_read_back_goes_with_the_state)
{
	char request[64] = "TASKS ";
	struct graph *graph, *read_back = mem_zalloc(1, sizeof *read_back);

	begin();
	bring_web_to("1 1");
	bring_web_to("2 1");
	graph = TAILQ_FIRST(&core_group_find(engine_core(house.engine), "web")->graphs);
	ck_assert(graph_ended(graph) && !graph_loaded(graph));
	*read_back = (struct graph){.id = graph->id, .state = graph->state};
	id_format_z(&graph->id, request + strlen(request));
	strcat(request, " group=web\n");
	say(1, request);
	ck_assert_ptr_nonnull(house.fetched);
	say(0, "UPDATE 1 1\n");
	house.unreadable = true;
	house.fetched(house.fetched_arg, read_back, NULL);
	commit_ends(false);
	ck_assert_str_eq(got(1), LOST);
	ck_assert_str_eq(got(0), FAILED);
	end();
}
END_TEST

START_TEST(a_watch_goes_on_behind_the_load)
{
	begin();
	say(1, "WATCH GRAPHS\n");
	ck_assert_str_eq(got(1), "OK seq=0\n");
	lose_state();
	house.now_ms += 999;
	say(0, "SPEC\n");
	ck_assert_str_eq(got(0), LOST);
	house.unreadable = false;
	house.now_ms += 1;
	engine_turn(house.engine);
	ck_assert_ptr_null(engine_lost(house.engine));
	say(0, "UPDATE 0 1\n");
	commit_ends(true);
	ck_assert_ptr_nonnull(strstr(got(0), "\nOK graph="));
	ck_assert_ptr_nonnull(strstr(got(1), "EVENT 1 graph-started "));
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("server");
	TCase *tests = tcase_create("lost");

	tcase_add_test(tests, requests_about_the_state_are_refused_and_the_others_answered);
	tcase_add_test(tests, who_waits_for_a_commit_when_the_state_is_lost_is_told);
	tcase_add_test(tests, an_update_whose_plan_cannot_be_listed_says_that_it_is_made);
	tcase_add_test(tests, a_line_that_is_begun_is_ended_before_the_error);
	tcase_add_test(tests, a_graph_that_was_read_back_goes_with_the_state);
	tcase_add_test(tests, a_watch_goes_on_behind_the_load);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
