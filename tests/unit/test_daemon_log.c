/* The log: one line for each event, whatever is in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log.h"
#include "unit.h"

static char text[1024];

/* What was logged since the last call; stderr is a pipe during a test. */
static int pipe_end = -1;

static void stderr_open(void)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	close(ends[1]);
	pipe_end = ends[0];
}

static const char *log_read(void)
{
	ssize_t got = read(pipe_end, text, sizeof text - 1);

	ck_assert_int_ge(got, 0);
	text[got] = '\0';
	return text;
}

START_TEST(a_line_has_priority_event_and_fields)
{
	stderr_open();
	log_event(LEVEL_WARNING, "things", LOG_STR("a", "plain"), LOG_U64("n", UINT64_MAX));
	ck_assert_str_eq(log_read(), "<4>things a=plain n=18446744073709551615\n");
}
END_TEST

START_TEST(a_line_stays_a_line)
{
	stderr_open();
	log_event(LEVEL_ERR, "odd", LOG_STR("text", "two\nlines \"and\" \x1b[1m"), LOG_STR("none", NULL));
	ck_assert_str_eq(log_read(), "<3>odd text=\"two\\nlines \\\"and\\\" \\x1b[1m\"\n");
}
END_TEST

START_TEST(the_level_leaves_lines_out)
{
	stderr_open();
	log_event(LEVEL_DEBUG, "unseen", LOG_U64("n", 1));
	log_set_level(LEVEL_DEBUG);
	log_event(LEVEL_DEBUG, "seen", LOG_U64("n", 2));
	ck_assert_str_eq(log_read(), "<7>seen n=2\n");
	log_set_level(LEVEL_ERR);
	log_event(LEVEL_WARNING, "unseen", LOG_U64("n", 3));
	log_event(LEVEL_ERR, "seen", LOG_U64("n", 4));
	ck_assert_str_eq(log_read(), "<3>seen n=4\n");
}
END_TEST

START_TEST(levels_have_names)
{
	ck_assert_int_eq(log_level_parse("err"), LEVEL_ERR);
	ck_assert_int_eq(log_level_parse("warning"), LEVEL_WARNING);
	ck_assert_int_eq(log_level_parse("notice"), LEVEL_NOTICE);
	ck_assert_int_eq(log_level_parse("info"), LEVEL_INFO);
	ck_assert_int_eq(log_level_parse("debug"), LEVEL_DEBUG);
	ck_assert_int_eq(log_level_parse("ERR"), -1);
	ck_assert_int_eq(log_level_parse(""), -1);
}
END_TEST

/* stderr is the journal's only where the variable tells of just that pipe. What goes to the journal is
 * not seen here. */
START_TEST(the_journal_is_recognized)
{
	struct stat found;
	char stream[64];

	stderr_open();
	ck_assert_int_eq(fstat(STDERR_FILENO, &found), 0);
	snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)found.st_dev, (uintmax_t)found.st_ino + 1);
	setenv("JOURNAL_STREAM", stream, 1);
	log_open();
	log_event(LEVEL_INFO, "seen", LOG_U64("n", 1));
	ck_assert_str_eq(log_read(), "<6>seen n=1\n");
	snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)found.st_dev, (uintmax_t)found.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_open();
	log_event(LEVEL_DEBUG, "below-the-level", LOG_STR("none", NULL));
	log_event(LEVEL_INFO, "unseen", LOG_STR("text", "two\nlines"), LOG_STR("none", NULL));
	unsetenv("JOURNAL_STREAM");
	log_open();
	log_event(LEVEL_INFO, "seen", LOG_U64("n", 2));
	ck_assert_str_eq(log_read(), "<6>seen n=2\n");
}
END_TEST

static Suite *log_suite(void)
{
	Suite *suite = suite_create("log");
	TCase *tests = tcase_create("log");

	tcase_add_test(tests, a_line_has_priority_event_and_fields);
	tcase_add_test(tests, a_line_stays_a_line);
	tcase_add_test(tests, the_level_leaves_lines_out);
	tcase_add_test(tests, levels_have_names);
	tcase_add_test(tests, the_journal_is_recognized);
	suite_add_tcase(suite, tests);
	return suite;
}

/* Each test has a process of its own: they change descriptors and the environment. */
int main(void)
{
	return unit_run(log_suite(), CK_FORK);
}
