/* The service manager: what it hands over, and what it is told, whether it reads or not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/notify.h"
#include "datagrams.h"
#include "unit.h"

enum {
	HANDED_FD = 3,
	RETRY_FIRST_MS = 100,
	RETRY_MAX_MS = 3200,
};

/* ---- what it hands over -------------------------------------------------------------------- */

/* As systemd does it: descriptors from 3 on, and two variables. */
static void hand_over(int fd, const char *count)
{
	char pid[24];

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(dup2(fd, HANDED_FD), HANDED_FD);
	ck_assert_int_eq(dup2(fd, HANDED_FD + 1), HANDED_FD + 1);
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", count, 1);
}

static int socket_listening(void)
{
	const struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	/* An address of no name at all has the kernel choose an abstract one. */
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

START_TEST(nothing_handed_over)
{
	int fd = 0;
	struct error error;

	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	ck_assert_int_eq(notify_listen_fd(&fd, &error), 0);
	ck_assert_int_eq(fd, -1);
}
END_TEST

START_TEST(a_socket_handed_over)
{
	int fd = -1;
	struct error error;

	hand_over(socket_listening(), "1");
	ck_assert_int_eq(notify_listen_fd(&fd, &error), 0);
	ck_assert_int_eq(fd, HANDED_FD);
	ck_assert_ptr_null(getenv("LISTEN_FDS"));
}
END_TEST

START_TEST(too_much_handed_over)
{
	int fd = 0;
	struct error error;

	hand_over(socket_listening(), "2");
	ck_assert_int_eq(notify_listen_fd(&fd, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.text, "2 sockets were handed over"));
	ck_assert_int_eq(fd, -1);
}
END_TEST

START_TEST(something_else_handed_over)
{
	int fd = 0;
	int ends[2];
	struct error error;

	ck_assert_int_eq(pipe(ends), 0);
	hand_over(ends[0], "1");
	ck_assert_int_eq(notify_listen_fd(&fd, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.text, "is not a Unix stream socket that listens"));
	/* A datagram socket is not one either. */
	hand_over(socket(AF_UNIX, SOCK_DGRAM, 0), "1");
	ck_assert_int_eq(notify_listen_fd(&fd, &error), -1);
}
END_TEST

/* ---- what it is told ----------------------------------------------------------------------- */

static int asked_ms; /* the last delay that was asked for; 0: none */

static void on_later(void *arg, int delay_ms)
{
	ck_assert_ptr_eq(arg, &reader);
	asked_ms = delay_ms;
}

static void manager_open(void)
{
	setenv("NOTIFY_SOCKET", reader_open(), 1);
	notify_open(on_later, &reader);
	ck_assert(notify_wanted());
	ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
}

/* The next message, without the figures of a clock. */
static const char *manager_read(void)
{
	char *text = reader_read();
	char *clock = strstr(text, "_USEC=");

	if (clock != NULL) {
		ck_assert_uint_gt(strspn(clock + strlen("_USEC="), "0123456789"), 0);
		*clock = '\0';
	}
	return text;
}

START_TEST(a_manager_that_reads_is_told_at_once)
{
	manager_open();
	notify_ready();
	notify_status("two groups");
	notify_watchdog();
	notify_reloading();
	notify_ready();
	notify_stopping();
	ck_assert_str_eq(manager_read(), "READY=1");
	ck_assert_str_eq(manager_read(), "STATUS=two groups");
	ck_assert_str_eq(manager_read(), "WATCHDOG=1");
	ck_assert_str_eq(manager_read(), "RELOADING=1\nMONOTONIC");
	ck_assert_str_eq(manager_read(), "READY=1");
	ck_assert_str_eq(manager_read(), "STOPPING=1\nSTATUS=Stopping.");
	ck_assert_str_eq(manager_read(), "");
	ck_assert_int_eq(asked_ms, 0);
	notify_status("three groups");
	notify_reloading();
	notify_ready();
	notify_watchdog();
	ck_assert_str_eq(manager_read(), "WATCHDOG=1"); /* it ends, and lives until then */
	ck_assert_str_eq(manager_read(), "");
}
END_TEST

START_TEST(the_last_of_each_is_told_later)
{
	int fillers;

	manager_open();
	fillers = reader_fill();
	notify_status("old");
	notify_ready();
	for (int i = 0; i < 3; i++) {
		notify_reloading();
		notify_ready();
		notify_watchdog();
	}
	notify_status("new");
	notify_flush();
	reader_drain(fillers);
	ck_assert_str_eq(manager_read(), "");
	notify_flush();
	ck_assert_str_eq(manager_read(), "WATCHDOG=1");
	ck_assert_str_eq(manager_read(), "RELOADING=1\nMONOTONIC");
	ck_assert_str_eq(manager_read(), "READY=1");
	ck_assert_str_eq(manager_read(), "STATUS=new");
	notify_flush();
	ck_assert_str_eq(manager_read(), "");
}
END_TEST

/* A READY=1 from before a reload would end it too early; what comes behind it must not overtake it. */
START_TEST(what_is_left_keeps_its_order)
{
	int fillers;

	manager_open();
	fillers = reader_fill();
	notify_ready();
	reader_drain(2);
	notify_reloading();
	ck_assert_int_eq(reader_fill(), 1); /* what is left of that room */
	notify_ready();
	notify_status("as good as told");
	notify_stopping();
	reader_drain(fillers - 2);
	ck_assert_str_eq(manager_read(), "RELOADING=1\nMONOTONIC");
	reader_drain(1);
	ck_assert_str_eq(manager_read(), "");
	notify_flush();
	ck_assert_str_eq(manager_read(), "READY=1");
	ck_assert_str_eq(manager_read(), "STOPPING=1\nSTATUS=Stopping.");
	ck_assert_str_eq(manager_read(), "");
}
END_TEST

START_TEST(the_pauses_grow)
{
	int expected_ms = RETRY_FIRST_MS, fillers;

	manager_open();
	fillers = reader_fill();
	notify_watchdog();
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(asked_ms, expected_ms);
		expected_ms = expected_ms < RETRY_MAX_MS ? expected_ms * 2 : RETRY_MAX_MS;
		notify_flush();
	}
	ck_assert_int_eq(asked_ms, RETRY_MAX_MS);
	reader_drain(fillers);
	notify_flush();
	reader_fill();
	notify_watchdog();
	ck_assert_int_eq(asked_ms, RETRY_FIRST_MS);
}
END_TEST

START_TEST(a_manager_that_comes_back_is_told)
{
	manager_open();
	close(reader);
	notify_status("refused");
	ck_assert_int_ne(asked_ms, 0);
	reader_unlink();
	notify_ready();
	reader_bind();
	notify_flush();
	ck_assert_str_eq(manager_read(), "READY=1");
	ck_assert_str_eq(manager_read(), "STATUS=refused");
	ck_assert_str_eq(manager_read(), "");
}
END_TEST

START_TEST(a_manager_of_an_abstract_name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int len = snprintf(address.sun_path, sizeof address.sun_path, "@imd-test.%d", (int)getpid());

	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	address.sun_path[0] = '\0';
	reader = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(reader, (const struct sockaddr *)&address,
		(socklen_t)(sizeof address.sun_family + (size_t)len)), 0);
	notify_open(on_later, &reader);
	notify_ready();
	ck_assert_str_eq(manager_read(), "READY=1");
}
END_TEST

START_TEST(no_manager)
{
	char name[sizeof reader_address.sun_path + 1];
	const char *const names[] = {NULL, "", "relative", name};

	memset(name, 'x', sizeof name);
	name[0] = '/';
	name[sizeof name - 1] = '\0';
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (names[i] != NULL)
			setenv("NOTIFY_SOCKET", names[i], 1);
		notify_open(on_later, &reader);
		ck_assert(!notify_wanted());
		notify_ready();
		notify_flush();
		ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
	}
	ck_assert_int_eq(asked_ms, 0);
}
END_TEST

START_TEST(a_status_that_is_too_long_is_cut)
{
	char text[2 * NOTIFY_STATUS_SIZE];

	manager_open();
	memset(text, 'x', sizeof text);
	text[sizeof text - 1] = '\0';
	notify_status(text);
	ck_assert_uint_eq(strlen(manager_read()), strlen("STATUS=") + NOTIFY_STATUS_SIZE - 1);
}
END_TEST

START_TEST(watchdog_is_asked_for_by_the_environment)
{
	char pid[24];

	unsetenv("WATCHDOG_USEC");
	ck_assert_uint_eq(notify_watchdog_us(), 0);
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	setenv("WATCHDOG_USEC", "30000000", 1);
	ck_assert_uint_eq(notify_watchdog_us(), 30000000);
}
END_TEST

static Suite *notify_suite(void)
{
	Suite *suite = suite_create("notify");
	TCase *handed = tcase_create("handed over");
	TCase *told = tcase_create("told");

	tcase_add_test(handed, nothing_handed_over);
	tcase_add_test(handed, a_socket_handed_over);
	tcase_add_test(handed, too_much_handed_over);
	tcase_add_test(handed, something_else_handed_over);
	suite_add_tcase(suite, handed);
	tcase_add_test(told, a_manager_that_reads_is_told_at_once);
	tcase_add_test(told, the_last_of_each_is_told_later);
	tcase_add_test(told, what_is_left_keeps_its_order);
	tcase_add_test(told, the_pauses_grow);
	tcase_add_test(told, a_manager_that_comes_back_is_told);
	tcase_add_test(told, a_manager_of_an_abstract_name);
	tcase_add_test(told, no_manager);
	tcase_add_test(told, a_status_that_is_too_long_is_cut);
	tcase_add_test(told, watchdog_is_asked_for_by_the_environment);
	suite_add_tcase(suite, told);
	return suite;
}

/* Each test has a process of its own: they change descriptors and the environment. */
int main(void)
{
	return unit_run(notify_suite(), CK_FORK);
}
