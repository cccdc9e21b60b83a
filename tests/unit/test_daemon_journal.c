/* The journal's native protocol: what an entry looks like, and how it gets to the journal. */
#include <fcntl.h>
#include <sys/stat.h>

#include "daemon/journal.h"
#include "datagrams.h"
#include "unit.h"

/* More than the room that a sender may ever have: twice what it asks for. */
enum { TOO_LARGE = 17 * 1024 * 1024 };

static void add(struct buf *entry, const char *key, const char *value)
{
	journal_field(entry, key, value, strlen(value));
}

static struct buf entry_of(const char *value)
{
	struct buf entry = BUF_INIT;

	add(&entry, "MESSAGE", value);
	return entry;
}

START_TEST(a_field_is_a_line)
{
	const char expected[] = "MESSAGE=two=three \"four\"\nEMPTY=\n";
	struct buf entry = entry_of("two=three \"four\"");

	add(&entry, "EMPTY", "");
	ck_assert_uint_eq(entry.len, sizeof expected - 1);
	ck_assert_mem_eq(entry.data, expected, entry.len);
	buf_fini(&entry);
}
END_TEST

/* The least byte of the length comes first, on every machine. */
START_TEST(a_value_of_several_lines_has_its_length)
{
	const char expected[] = "MESSAGE\n\x08\0\0\0\0\0\0\0foo\nbar\n\nPRIORITY=4\n";
	struct buf entry = entry_of("foo\nbar\n");

	add(&entry, "PRIORITY", "4");
	ck_assert_uint_eq(entry.len, sizeof expected - 1);
	ck_assert_mem_eq(entry.data, expected, entry.len);
	buf_fini(&entry);
}
END_TEST

START_TEST(an_entry_is_a_datagram)
{
	struct buf entry = entry_of("one");

	ck_assert_int_eq(journal_open(reader_open()), 0);
	ck_assert_int_eq(journal_send(&entry), 0);
	buf_fini(&entry);
	ck_assert_str_eq(reader_read(), "MESSAGE=one\n");
	ck_assert_str_eq(reader_read(), "");
}
END_TEST

/* The descriptor that comes in a message of no bytes. */
static int read_descriptor(void)
{
	char room[CMSG_SPACE(sizeof(int))], byte;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room,
		.msg_controllen = sizeof room};
	struct cmsghdr *control;
	int fd;

	ck_assert_int_eq(recvmsg(reader, &message, 0), 0);
	control = CMSG_FIRSTHDR(&message);
	ck_assert_ptr_nonnull(control);
	ck_assert_int_eq(control->cmsg_type, SCM_RIGHTS);
	memcpy(&fd, CMSG_DATA(control), sizeof fd);
	return fd;
}

START_TEST(an_entry_that_is_too_large_is_a_sealed_file)
{
	const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	char *value = malloc(TOO_LARGE + 1), *got = malloc(TOO_LARGE + 100);
	struct buf entry;
	int fd;

	memset(value, 'x', TOO_LARGE);
	value[TOO_LARGE] = '\0';
	entry = entry_of(value);
	ck_assert_int_eq(journal_open(reader_open()), 0);
	ck_assert_int_eq(journal_send(&entry), 0);
	fd = read_descriptor();
	ck_assert_int_eq(fcntl(fd, F_GET_SEALS) & seals, seals);
	ck_assert_int_eq(pread(fd, got, TOO_LARGE + 100, 0), (ssize_t)entry.len);
	ck_assert_mem_eq(got, entry.data, entry.len);
	buf_fini(&entry);
	free(value);
	free(got);
}
END_TEST

START_TEST(a_full_queue_is_told_from_no_journal)
{
	struct buf entry = entry_of("one");
	int fillers;

	ck_assert_int_eq(journal_open(reader_open()), 0);
	fillers = reader_fill();
	ck_assert_int_eq(journal_send(&entry), -EAGAIN);
	reader_drain(fillers);
	close(reader);
	ck_assert_int_eq(journal_send(&entry), -ECONNREFUSED);
	reader_unlink();
	ck_assert_int_eq(journal_send(&entry), -ENOENT);
	reader_bind();
	ck_assert_int_eq(journal_send(&entry), 0);
	ck_assert_str_eq(reader_read(), "MESSAGE=one\n");
	buf_fini(&entry);
}
END_TEST

static Suite *journal_suite(void)
{
	Suite *suite = suite_create("journal");
	TCase *tests = tcase_create("journal");

	tcase_add_test(tests, a_field_is_a_line);
	tcase_add_test(tests, a_value_of_several_lines_has_its_length);
	tcase_add_test(tests, an_entry_is_a_datagram);
	tcase_add_test(tests, an_entry_that_is_too_large_is_a_sealed_file);
	tcase_add_test(tests, a_full_queue_is_told_from_no_journal);
	suite_add_tcase(suite, tests);
	return suite;
}

/* Each test has a process of its own, and in it the one socket. */
int main(void)
{
	return unit_run(journal_suite(), CK_FORK);
}
