/* Turns: one user's sessions do not take a pass from the others, whatever they ask for. */
#include <signal.h>
#include <sys/syscall.h>

#include "server/internal.h"
#include "server_house.h"

enum { ALICE = 5000, BOB = 5001, FAR_SLOT = 3 * LISTING_VISITS };

static uid_t connecting; /* the user of the next client */

int getsockopt(int fd, int level, int option, void *restrict value, socklen_t *restrict len)
{
	if (level == SOL_SOCKET && option == SO_PEERCRED) {
		*(struct ucred *)value = (struct ucred){.pid = 1, .uid = connecting, .gid = connecting};
		return 0;
	}
	return (int)syscall(SYS_getsockopt, fd, level, option, value, len);
}

/* Clients 0 and 1 are Alice's, and client 2 is Bob's. */
static void begin_turns(void)
{
	connecting = ALICE;
	begin();
	close(house.clients[2]);
	run();
	connecting = BOB;
	connect_client(2);
}

static struct session *session_of(int client)
{
	struct link *link = house.server->sessions.next;

	while (client-- > 0)
		link = link->next;
	return LINK_OWNER(link, struct session, link);
}

static void one_pass(void)
{
	event_base_loop(house.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void send_ping(int client)
{
	ck_assert_int_eq(send(house.clients[client], "PING\n", 5, 0), 5);
}

static bool answered(int client)
{
	char text[100];

	return recv(house.clients[client], text, sizeof text, MSG_DONTWAIT) > 0;
}

START_TEST(a_user_who_has_spent_a_pass_waits_for_the_next_one)
{
	turns_spend(session_of(0), TURN_USER_MAX);
	ck_assert(!turns_take(session_of(0)));
	ck_assert(!turns_take(session_of(1)));
	ck_assert(turns_take(session_of(2)));
	one_pass();
	ck_assert(turns_take(session_of(0)));
	ck_assert(turns_take(session_of(1)));
}
END_TEST

START_TEST(what_is_left_of_a_pass_can_be_used)
{
	turns_spend(session_of(0), TURN_USER_MAX - 1);
	ck_assert(turns_take(session_of(1)));
}
END_TEST

START_TEST(a_client_may_go_while_it_is_deferred)
{
	signal(SIGPIPE, SIG_IGN); /* as imd does */
	turns_spend(session_of(0), TURN_USER_MAX);
	ck_assert(!turns_take(session_of(1)));
	close(house.clients[1]);
	run();
	connect_client(1);
	send_ping(1);
	run();
	ck_assert(answered(1));
}
END_TEST

/* A deferred client is not read from without end, and loses nothing. */
START_TEST(a_client_that_is_deferred_again_and_again_is_answered_in_order)
{
	char block[4000], text[8000];
	size_t got_bytes = 0;
	ssize_t len;

	for (size_t i = 0; i < sizeof block; i += 5)
		memcpy(block + i, "PING\n", 5);
	ck_assert_int_eq(send(house.clients[0], block, sizeof block, 0), sizeof block);
	ck_assert_int_eq(send(house.clients[1], block, sizeof block, 0), sizeof block);
	for (int pass = 0; pass < PASSES; pass++) {
		turns_spend(session_of(0), TURN_USER_MAX / 2);
		one_pass();
		while ((len = recv(house.clients[0], text, sizeof text, MSG_DONTWAIT)) > 0)
			got_bytes += (size_t)len;
	}
	ck_assert_uint_eq(got_bytes, sizeof block / 5 * 3);
}
END_TEST

static void no_id(void *arg, struct id *ret_id)
{
	(void)arg;
	memset(ret_id, 0, sizeof *ret_id);
}

/* One node in a slot far away, as after a group was made much smaller. */
START_TEST(a_listing_stops_after_many_free_slots)
{
	struct node node = {.slot = FAR_SLOT, .state = NODE_RUNNING, .id = {{1}}, .revision = 1, .created_us = 1,
		.started_us = 1};
	struct spec spec = {.revision = 1, .created_us = 1};
	struct core_config config;
	struct listing listing;
	struct buf buf = BUF_INIT;
	struct error error;
	struct core core;
	size_t visits;
	uint32_t ref;
	int goes = 0;

	core_config_default(&config);
	config.new_id = no_id;
	core_init(&core, &config);
	ck_assert_msg(core_load_spec(&core, "default", &spec, &error) == 0, "%s", error.text);
	ck_assert_msg(core_load_node(&core, "default", &node, &ref, &error) == 0, "%s", error.text);
	listing_init(&listing);
	listing_of_group(&listing, PARTS(PART_NODES), core_group_find(&core, "default"));
	for (; !listing_over(&listing); goes++) {
		ck_assert_uint_eq(buf.len, 0);
		ck_assert_int_eq(listing_go(&listing, &core, &buf, LIMIT_WAITING, &visits, &error), 0);
		ck_assert_uint_le(visits, LISTING_VISITS);
	}
	ck_assert_int_eq(goes, FAR_SLOT / LISTING_VISITS + 1);
	ck_assert_uint_gt(buf.len, 0);
	buf_fini(&buf);
	core_fini(&core);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("turns");
	TCase *turns = tcase_create("turns"), *listings = tcase_create("listings");

	tcase_add_checked_fixture(turns, begin_turns, end);
	tcase_add_test(turns, a_user_who_has_spent_a_pass_waits_for_the_next_one);
	tcase_add_test(turns, what_is_left_of_a_pass_can_be_used);
	tcase_add_test(turns, a_client_may_go_while_it_is_deferred);
	tcase_add_test(turns, a_client_that_is_deferred_again_and_again_is_answered_in_order);
	tcase_add_test(listings, a_listing_stops_after_many_free_slots);
	suite_add_tcase(suite, turns);
	suite_add_tcase(suite, listings);
	return unit_run(suite, CK_FORK_GETENV);
}
