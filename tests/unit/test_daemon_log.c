/* The log: one line for each event, whatever is in it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/journal.h"
#include "daemon/log.h"
#include "datagrams.h"
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

/* ---- a pipe that nobody reads -------------------------------------------------------------- */

/* Fills it up, by a description that does not wait: how many bytes that took. */
static size_t stderr_fill(void)
{
	int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK);
	size_t count = 0;

	ck_assert_int_ge(fd, 0);
	while (write(fd, "X", 1) == 1)
		count++;
	close(fd);
	return count;
}

static void stderr_read(char *got, size_t len)
{
	for (size_t had = 0; had < len;) {
		ssize_t part = read(pipe_end, got + had, len - had);

		ck_assert_int_gt(part, 0);
		had += (size_t)part;
	}
}

static void stderr_drain(size_t count)
{
	char *got = malloc(count);

	stderr_read(got, count);
	free(got);
}

static size_t stderr_unread(void)
{
	int unread;

	ck_assert_int_eq(ioctl(pipe_end, FIONREAD, &unread), 0);
	return (size_t)unread;
}

static void lose_events(void)
{
	size_t fillers = stderr_fill();

	log_event(LEVEL_ERR, "unseen", LOG_U64("n", 1));
	log_event(LEVEL_DEBUG, "below-the-level", LOG_U64("n", 1));
	log_event(LEVEL_INFO, "unseen", LOG_U64("n", 2));
	ck_assert_uint_eq(stderr_unread(), fillers);
	stderr_drain(fillers);
	log_set_level(LEVEL_ERR);
	log_event(LEVEL_INFO, "below-the-level", LOG_U64("n", 2));
	ck_assert_uint_eq(stderr_unread(), 0);
	log_event(LEVEL_ERR, "seen", LOG_U64("n", 3));
	ck_assert_str_eq(log_read(), "<4>log-lost lines=2\n<3>seen n=3\n");
	log_event(LEVEL_ERR, "seen", LOG_U64("n", 4));
	ck_assert_str_eq(log_read(), "<3>seen n=4\n");
}

START_TEST(what_is_lost_is_counted)
{
	stderr_open();
	lose_events();
}
END_TEST

/* With a description of its own. That of the others stays as it was. */
START_TEST(what_is_lost_is_counted_where_it_is_opened)
{
	stderr_open();
	log_open();
	lose_events();
	ck_assert_int_eq(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
}
END_TEST

/* The line is larger than a pipe. */
static void begin_a_line(void)
{
	static char value[100000], got[sizeof value];
	const char begin[] = "<6>long text=";

	memset(value, 'x', sizeof value - 1);
	log_event(LEVEL_INFO, "long", LOG_STR("text", value));
	log_event(LEVEL_INFO, "unseen", LOG_U64("n", 1));
	stderr_read(got, strlen(begin));
	ck_assert_mem_eq(got, begin, strlen(begin));
	stderr_drain(stderr_unread());
	log_event(LEVEL_INFO, "seen", LOG_U64("n", 2));
	stderr_drain(stderr_unread() - strlen("x\n<4>log-lost lines=1\n<6>seen n=2\n"));
	ck_assert_str_eq(log_read(), "x\n<4>log-lost lines=1\n<6>seen n=2\n");
}

START_TEST(a_line_that_was_begun_is_ended)
{
	stderr_open();
	begin_a_line();
}
END_TEST

START_TEST(a_line_that_was_begun_is_ended_where_it_is_opened)
{
	stderr_open();
	log_open();
	begin_a_line();
}
END_TEST

/* ---- the journal --------------------------------------------------------------------------- */

/* stderr is the journal's only where the variable tells of just that pipe. Its entries come here. */
static void journal_begin(uintmax_t off_by)
{
	struct stat found;
	char stream[64];

	stderr_open();
	ck_assert_int_eq(fstat(STDERR_FILENO, &found), 0);
	snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)found.st_dev, (uintmax_t)found.st_ino + off_by);
	setenv("JOURNAL_STREAM", stream, 1);
	log_open();
	ck_assert_int_eq(journal_open(reader_open()), 0);
}

START_TEST(another_connection_is_not_the_journal)
{
	journal_begin(1);
	log_event(LEVEL_INFO, "seen", LOG_U64("n", 1));
	ck_assert_str_eq(log_read(), "<6>seen n=1\n");
	ck_assert_str_eq(reader_read(), "");
}
END_TEST

START_TEST(an_event_is_an_entry)
{
	journal_begin(0);
	log_event(LEVEL_DEBUG, "below-the-level", LOG_STR("none", NULL));
	log_event(LEVEL_WARNING, "things", LOG_STR("took-so", "a \"b\""), LOG_STR("none", NULL),
		LOG_U64("n", UINT64_MAX), LOG_STR("empty", ""));
	ck_assert_str_eq(reader_read(),
		"MESSAGE=things took-so=\"a \\\"b\\\"\" n=18446744073709551615 empty=\"\"\n"
		"PRIORITY=4\nSYSLOG_IDENTIFIER=imd\nIMD_TOOK_SO=a \"b\"\nIMD_N=18446744073709551615\n"
		"IMD_EMPTY=\n");
	log_event(LEVEL_INFO, "stopping", LOG_STR("signal", "TERM"));
	ck_assert_str_eq(reader_read(), "MESSAGE=stopping signal=TERM\nPRIORITY=6\nSYSLOG_IDENTIFIER=imd\n"
		"MESSAGE_ID=3da93d1a418b40238a2c7faec951620f\nIMD_SIGNAL=TERM\n");
	ck_assert_str_eq(reader_read(), "");
	ck_assert_uint_eq(stderr_unread(), 0);
}
END_TEST

#define LOST_ENTRY(n) "MESSAGE=log-lost lines=" n "\nPRIORITY=4\nSYSLOG_IDENTIFIER=imd\n" \
	"MESSAGE_ID=77453850f32d4bfaa5515ffff5ae2335\nIMD_LINES=" n "\n"
#define SEEN_ENTRY(n) "MESSAGE=seen n=" n "\nPRIORITY=6\nSYSLOG_IDENTIFIER=imd\nIMD_N=" n "\n"

START_TEST(what_a_full_journal_loses_is_counted)
{
	int fillers;

	journal_begin(0);
	fillers = reader_fill();
	for (uint64_t n = 0; n < 3; n++)
		log_event(LEVEL_INFO, "unseen", LOG_U64("n", n));
	ck_assert_uint_eq(stderr_unread(), 0);
	reader_drain(fillers);
	ck_assert_str_eq(reader_read(), "");
	log_event(LEVEL_INFO, "seen", LOG_U64("n", 3));
	ck_assert_str_eq(reader_read(), LOST_ENTRY("3"));
	ck_assert_str_eq(reader_read(), SEEN_ENTRY("3"));
	ck_assert_str_eq(reader_read(), "");
}
END_TEST

START_TEST(a_journal_that_goes_and_comes_back)
{
	size_t fillers;

	journal_begin(0);
	close(reader);
	log_event(LEVEL_INFO, "refused", LOG_U64("n", 1));
	ck_assert_str_eq(log_read(), "<6>refused n=1\n");
	reader_unlink();
	log_event(LEVEL_INFO, "not-there", LOG_U64("n", 2));
	ck_assert_str_eq(log_read(), "<6>not-there n=2\n");
	fillers = stderr_fill();
	log_event(LEVEL_INFO, "unseen", LOG_U64("n", 3));
	ck_assert_uint_eq(stderr_unread(), fillers);
	reader_bind();
	log_event(LEVEL_INFO, "seen", LOG_U64("n", 4));
	ck_assert_str_eq(reader_read(), LOST_ENTRY("1"));
	ck_assert_str_eq(reader_read(), SEEN_ENTRY("4"));
}
END_TEST

static Suite *log_suite(void)
{
	Suite *suite = suite_create("log");
	TCase *tests = tcase_create("lines");
	TCase *unread = tcase_create("unread");
	TCase *journal = tcase_create("journal");

	tcase_add_test(tests, a_line_has_priority_event_and_fields);
	tcase_add_test(tests, a_line_stays_a_line);
	tcase_add_test(tests, the_level_leaves_lines_out);
	tcase_add_test(tests, levels_have_names);
	suite_add_tcase(suite, tests);
	tcase_add_test(unread, what_is_lost_is_counted);
	tcase_add_test(unread, what_is_lost_is_counted_where_it_is_opened);
	tcase_add_test(unread, a_line_that_was_begun_is_ended);
	tcase_add_test(unread, a_line_that_was_begun_is_ended_where_it_is_opened);
	suite_add_tcase(suite, unread);
	tcase_add_test(journal, another_connection_is_not_the_journal);
	tcase_add_test(journal, an_event_is_an_entry);
	tcase_add_test(journal, what_a_full_journal_loses_is_counted);
	tcase_add_test(journal, a_journal_that_goes_and_comes_back);
	suite_add_tcase(suite, journal);
	return suite;
}

/* Each test has a process of its own: they change descriptors and the environment. */
int main(void)
{
	return unit_run(log_suite(), CK_FORK);
}
