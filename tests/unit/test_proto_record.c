/* Buffers, and the lines of records and events: written, and read back. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/buf.h"
#include "proto/record.h"
#include "unit.h"

static struct words words;
static struct buf buf;

static void setup(void)
{
	words_init(&words);
	buf = (struct buf)BUF_INIT;
}

static void teardown(void)
{
	words_fini(&words);
	buf_fini(&buf);
}

static void assert_buf(const char *expected)
{
	ck_assert_uint_eq(buf.len, strlen(expected));
	ck_assert_mem_eq(buf.data, expected, buf.len);
}

START_TEST(test_buf)
{
	buf_add(&buf, "", 0);
	ck_assert_ptr_null(buf.data);
	buf_add_str(&buf, "one");
	buf_add_char(&buf, ' ');
	buf_add(&buf, "two\0", 4);
	ck_assert_uint_eq(buf.len, 8);
	ck_assert_mem_eq(buf.data, "one two\0", 8);
	buf_fini(&buf);
	ck_assert_uint_eq(buf.len, 0);
	buf_addf(&buf, "%s-%d", "x", 7);
	assert_buf("x-7");
}
END_TEST

/* Every length around those at which it grows. */
START_TEST(test_buf_grows)
{
	for (int len = 0; len < 1100; len++) {
		buf.len = 0;
		buf_addf(&buf, "%*s|", len, "");
		ck_assert_uint_eq(buf.len, (size_t)len + 1);
		ck_assert_int_eq(buf.data[len], '|');
		buf_add_char(&buf, '!');
		ck_assert_int_eq(buf.data[len], '|');
		buf_fini(&buf);
		for (int i = 0; i < len; i++)
			buf_add_char(&buf, (char)('a' + i % 26));
		for (int i = 0; i < len; i++) {
			if (buf.data[i] != 'a' + i % 26)
				ck_abort_msg("byte %d of %d is another", i, len);
		}
	}
}
END_TEST

static void assert_u64(uint64_t value)
{
	char expected[24];

	snprintf(expected, sizeof expected, "%" PRIu64, value);
	buf.len = 0;
	buf_add_u64(&buf, value);
	if (buf.len != strlen(expected) || memcmp(buf.data, expected, buf.len) != 0)
		ck_abort_msg("%s became %.*s", expected, (int)buf.len, buf.data);
}

START_TEST(test_u64)
{
	uint64_t power = 1;

	for (uint64_t value = 0; value < 12000; value++)
		assert_u64(value);
	for (int digits = 1; digits <= 20; digits++) {
		assert_u64(power - 1);
		assert_u64(power);
		assert_u64(power + 1);
		power *= 10;
	}
	assert_u64(UINT64_MAX);
	assert_u64(UINT64_MAX - 1);
}
END_TEST

START_TEST(test_write)
{
	struct id id = {{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0x4d, 0xef, 0x8e, 0xdc, 0xba, 0x98, 0x76,
		0x54, 0x32, 0x10}};

	record_open(&buf, "NODE");
	record_id(&buf, "id", &id);
	record_word(&buf, "group", "web");
	record_u64(&buf, "slot", 0);
	record_str(&buf, "note", "a \"b\"");
	record_time(&buf, "created", INT64_C(1795336512227842));
	record_close(&buf);
	assert_buf("NODE id=01234567-89ab-4def-8edc-ba9876543210 group=web slot=0 "
		   "note=\"a \\\"b\\\"\" created=2026-11-22T08:35:12.227842Z\n");
}
END_TEST

START_TEST(test_write_nothing)
{
	record_open(&buf, "NODE");
	record_str(&buf, "a", NULL);
	record_str(&buf, "b", "");
	record_word(&buf, "c", NULL);
	record_word(&buf, "d", "");
	record_time(&buf, "e", 0);
	record_close(&buf);
	assert_buf("NODE\n");
}
END_TEST

static void parse(struct line *line, const char *text)
{
	struct error error = {.text = ""};

	ck_assert_msg(line_parse(line, &words, text, strlen(text), &error) == 0, "%s: %s", text,
		error.text);
}

START_TEST(test_parse_record)
{
	struct line line;

	parse(&line, "NODE id=x group=web error=\"a b\"");
	ck_assert_int_eq(line.kind, LINE_RECORD);
	ck_assert_str_eq(line.name, "NODE");
	ck_assert_str_eq(line_get(&line, "group"), "web");
	ck_assert_str_eq(line_get(&line, "error"), "a b");
	ck_assert_ptr_null(line_get(&line, "slot"));
	parse(&line, "STAT\r");
	ck_assert_str_eq(line.name, "STAT");
}
END_TEST

START_TEST(test_parse_event)
{
	struct line line;

	parse(&line, "EVENT 18446744073709551615 node-state node=x state=running");
	ck_assert_int_eq(line.kind, LINE_EVENT);
	ck_assert_uint_eq(line.seq, UINT64_MAX);
	ck_assert_str_eq(line.name, "node-state");
	ck_assert_str_eq(line_get(&line, "state"), "running");
}
END_TEST

START_TEST(test_parse_ok)
{
	struct line line;

	parse(&line, "OK");
	ck_assert_int_eq(line.kind, LINE_OK);
	ck_assert_str_eq(line.name, "OK");
	parse(&line, "OK graph=g tasks=4");
	ck_assert_int_eq(line.kind, LINE_OK);
	ck_assert_str_eq(line_get(&line, "tasks"), "4");
}
END_TEST

START_TEST(test_parse_err)
{
	struct line line;

	/* The text is no words: it may hold a single quote sign. */
	parse(&line, "ERR bad-argument size must be 1 to \"9  ok=\"");
	ck_assert_int_eq(line.kind, LINE_ERR);
	ck_assert_str_eq(line.name, "bad-argument");
	ck_assert_str_eq(line.text, "size must be 1 to \"9  ok=\"");
	ck_assert_ptr_null(line_get(&line, "ok"));
	parse(&line, "ERR gone\r");
	ck_assert_str_eq(line.name, "gone");
	ck_assert_str_eq(line.text, "");
	parse(&line, "ERRATA id=1");
	ck_assert_int_eq(line.kind, LINE_RECORD);
}
END_TEST

START_TEST(test_parse_metric)
{
	struct line line;

	/* Of another format: not made of words. */
	parse(&line, "imd_nodes{group=\"a\",state=\"running\"} 3\r");
	ck_assert_int_eq(line.kind, LINE_METRIC);
	ck_assert_str_eq(line.name, "METRIC");
	ck_assert_str_eq(line.text, "imd_nodes{group=\"a\",state=\"running\"} 3");
	ck_assert_ptr_null(line_get(&line, "group"));
	parse(&line, "# EOF");
	ck_assert_int_eq(line.kind, LINE_METRIC);
	ck_assert_str_eq(line.text, "# EOF");
}
END_TEST

START_TEST(test_parse_wrong)
{
	static const char *const wrong[] = {"", " ", "node id=1", "Node id=1", "id=1", "NODE x", "NODE id",
		"NODE id=1 x", "OK 7", "EVENT", "EVENT 7", "EVENT x node-state", "EVENT -1 node-state",
		"EVENT 7 Node-State", "EVENT 7 node=1", "EVENT seq=7 node-state",
		"EVENT 18446744073709551616 node-state", "EVENT 7 node-state x", "ERR", "ERR ",
		"ERR  code", "ERR co\tde x", "ERR code a\x01", "NODE id=\"", "imd id=1", "imd_a\x01", "\"NODE x\"", "9 a=b"};

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct line line;
		struct error error;

		ck_assert_msg(line_parse(&line, &words, wrong[i], strlen(wrong[i]), &error) == -1, "%s",
			wrong[i]);
		ck_assert_int_eq(error.code, ERR_BAD_REQUEST);
	}
}
END_TEST

/* A list as long as a group may be large comes through whole. */
START_TEST(test_parse_long)
{
	enum { ITEMS = 100000 };
	struct line line;
	size_t commas = 0;

	record_open(&buf, "TASK");
	buf_add_str(&buf, " prereqs=0");
	for (uint64_t i = 1; i < ITEMS; i++) {
		buf_add_char(&buf, ',');
		buf_add_u64(&buf, i);
	}
	record_u64(&buf, "state", 1);
	ck_assert_int_eq(line_parse(&line, &words, buf.data, buf.len, NULL), 0);
	for (const char *c = line_get(&line, "prereqs"); *c != '\0'; c++)
		commas += *c == ',';
	ck_assert_uint_eq(commas, ITEMS - 1);
	ck_assert_str_eq(line_get(&line, "state"), "1");
}
END_TEST

static Suite *record_suite(void)
{
	Suite *suite = suite_create("record");
	TCase *buf_case = tcase_create("buf");
	TCase *write_case = tcase_create("write");
	TCase *parse_case = tcase_create("parse");

	tcase_add_checked_fixture(buf_case, setup, teardown);
	tcase_set_timeout(buf_case, 60);
	tcase_add_test(buf_case, test_buf);
	tcase_add_test(buf_case, test_buf_grows);
	tcase_add_test(buf_case, test_u64);
	suite_add_tcase(suite, buf_case);
	tcase_add_checked_fixture(write_case, setup, teardown);
	tcase_add_test(write_case, test_write);
	tcase_add_test(write_case, test_write_nothing);
	suite_add_tcase(suite, write_case);
	tcase_add_checked_fixture(parse_case, setup, teardown);
	tcase_add_test(parse_case, test_parse_record);
	tcase_add_test(parse_case, test_parse_event);
	tcase_add_test(parse_case, test_parse_ok);
	tcase_add_test(parse_case, test_parse_err);
	tcase_add_test(parse_case, test_parse_metric);
	tcase_add_test(parse_case, test_parse_wrong);
	tcase_add_test(parse_case, test_parse_long);
	suite_add_tcase(suite, parse_case);
	return suite;
}

int main(void)
{
	return unit_run(record_suite(), CK_FORK_GETENV);
}
