/* The status line while one commit follows another. */
#include "notify.h"
#include "server_house.h"
#include "status.h"

static int manager;
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static void manager_open(void)
{
	snprintf(address.sun_path, sizeof address.sun_path, "%s/manager", house.directory);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(manager, (struct sockaddr *)&address, sizeof address), 0);
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
}

static const char *manager_read(void)
{
	static char text[NOTIFY_STATUS_SIZE + 16];
	ssize_t len = recv(manager, text, sizeof text - 1, 0);

	text[len > 0 ? len : 0] = '\0';
	return text;
}

static void not_later(void *arg, int delay_ms)
{
	(void)arg;
	ck_abort_msg("the manager reads, and is to be told %d ms later", delay_ms);
}

START_TEST(a_rollout_does_not_keep_it_back)
{
	struct status status;

	begin();
	manager_open();
	notify_open(not_later, NULL);
	ck_assert_int_eq(status_init(&status, house.base), 0);
	status_start(&status, house.engine);
	ck_assert_str_eq(manager_read(), "STATUS=groups: 1, nodes: 0, available: 0");
	say(0, "UPDATE 0 1 quiet=yes\n");
	say(1, "UPDATE 0 1 quiet=yes group=a\n");
	status_soon(&status);
	ck_assert_int_eq(event_base_loop(house.base, EVLOOP_ONCE), 0); /* its time comes, in the midst of a commit */
	run();
	ck_assert_str_eq(manager_read(), "");
	for (int commit = 0; commit < 3 && house.done != NULL; commit++) {
		say(2, "UPDATE 0 1 quiet=yes group=b\n"); /* there is always one more to store */
		commit_ends(true);
		run();
	}
	ck_assert_str_eq(manager_read(), "STATUS=groups: 2, nodes: 0, available: 0");
	status_fini(&status);
	unlink(address.sun_path);
	close(manager);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("daemon");
	TCase *tests = tcase_create("status");

	tcase_add_test(tests, a_rollout_does_not_keep_it_back);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
