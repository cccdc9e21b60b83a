/* Splitting lines into words, and writing words that can be read back. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/limits.h"
#include "proto/words.h"
#include "unit.h"

static struct words words;

static void setup(void)
{
	words_init(&words);
}

static void teardown(void)
{
	words_fini(&words);
}

/* Splits a copy that has exactly its length, so that reading beyond the end is found out. */
static int split(const char *line, size_t len, size_t max_words, struct error *error)
{
	char *copy = malloc(len > 0 ? len : 1);
	int result;

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, line, len);
	result = words_split(&words, copy, len, max_words, error);
	free(copy);
	if (result < 0)
		ck_assert_uint_eq(words.count, 0);
	return result;
}

static void assert_splits(const char *line, size_t count)
{
	struct error error = {.text = ""};

	ck_assert_msg(split(line, strlen(line), 0, &error) == 0, "%s: %s", line, error.text);
	ck_assert_uint_eq(words.count, count);
}

static void assert_word(size_t index, const char *key, const char *text)
{
	ck_assert_uint_lt(index, words.count);
	ck_assert_pstr_eq(words.list[index].key, key);
	ck_assert_str_eq(words.list[index].text, text);
	ck_assert_uint_eq(words.list[index].len, strlen(text));
}

static void assert_fails(const char *line, const char *text)
{
	struct error error;

	ck_assert_msg(split(line, strlen(line), LIMIT_WORDS, &error) == -1, "%s", line);
	ck_assert_int_eq(error.code, ERR_BAD_REQUEST);
	ck_assert_str_eq(error.text, text);
}

START_TEST(test_plain)
{
	assert_splits("", 0);
	assert_splits(" \t ", 0);
	assert_splits("PING", 1);
	assert_word(0, NULL, "PING");
	assert_splits("  UPDATE\t3  1 group=web note=a=b \t", 5);
	assert_word(0, NULL, "UPDATE");
	assert_word(1, NULL, "3");
	assert_word(2, NULL, "1");
	assert_word(3, "group", "web");
	assert_word(4, "note", "a=b");
}
END_TEST

START_TEST(test_carriage_return)
{
	assert_splits("PING\r", 1);
	assert_word(0, NULL, "PING");
	assert_splits("\r", 0);
	assert_fails("PING\r\r", "a control character at byte 5");
	assert_fails("PI\rNG", "a control character at byte 3");
}
END_TEST

START_TEST(test_keys)
{
	assert_splits("a= max-surge=25% k9=x", 3);
	assert_word(0, "a", "");
	assert_word(1, "max-surge", "25%");
	assert_word(2, "k9", "x");
	/* None of these begins with a key. */
	assert_splits("=a A=b 9k=c -k=d k_=e \"k=f\" kE=g", 7);
	assert_word(0, NULL, "=a");
	assert_word(1, NULL, "A=b");
	assert_word(2, NULL, "9k=c");
	assert_word(3, NULL, "-k=d");
	assert_word(4, NULL, "k_=e");
	assert_word(5, NULL, "k=f");
	assert_word(6, NULL, "kE=g");
}
END_TEST

START_TEST(test_quotes)
{
	assert_splits("\"a \\\"b\\\" \\n \\x41\" \"\" note=\"x\ty\" k=\"\"", 4);
	assert_word(0, NULL, "a \"b\" \n A");
	assert_word(1, NULL, "");
	assert_word(2, "note", "x\ty");
	assert_word(3, "k", "");
	assert_splits("\"\\\\\\r\\t\\xfF\"", 1);
	assert_word(0, NULL, "\\\r\t\xff");
	/* A backslash means something within quotes only. */
	assert_splits("a\\n k=\\", 2);
	assert_word(0, NULL, "a\\n");
	assert_word(1, "k", "\\");
}
END_TEST

START_TEST(test_failures)
{
	assert_fails("PING \"a", "an unclosed quote at byte 6");
	assert_fails("\"", "an unclosed quote at byte 1");
	assert_fails("k=\"a b", "an unclosed quote at byte 3");
	assert_fails("a\"b\"", "a quote in the middle of a word at byte 2");
	assert_fails("k=a\"", "a quote in the middle of a word at byte 4");
	assert_fails("\"a\"b", "a quote that closes in the middle of a word at byte 3");
	assert_fails("\"a\"\"b\"", "a quote that closes in the middle of a word at byte 3");
	assert_fails("\"a\\", "an unknown escape at byte 3");
	assert_fails("\"\\a\"", "an unknown escape at byte 2");
	assert_fails("\"\\x\"", "\\x without two hexadecimal digits at byte 2");
	assert_fails("\"\\x4\"", "\\x without two hexadecimal digits at byte 2");
	assert_fails("\"\\x4g\"", "\\x without two hexadecimal digits at byte 2");
	assert_fails("\"a\\x00\"", "a NUL byte at byte 3");
}
END_TEST

static void check_byte_in_a_word(int byte)
{
	char line[] = {'x', (char)byte, 'y'};
	bool control = (byte < 0x20 && byte != '\t') || byte == 0x7f;
	int result = split(line, sizeof line, 0, NULL);

	if (control || byte == '"') {
		ck_assert_int_eq(result, -1);
		return;
	}
	ck_assert_int_eq(result, 0);
	if (byte == ' ' || byte == '\t') {
		ck_assert_uint_eq(words.count, 2);
		assert_word(0, NULL, "x");
		assert_word(1, NULL, "y");
	} else if (byte == '=') {
		ck_assert_uint_eq(words.count, 1);
		assert_word(0, "x", "y");
	} else {
		char expected[] = {'x', (char)byte, 'y', '\0'};

		ck_assert_uint_eq(words.count, 1);
		assert_word(0, NULL, expected);
	}
}

static void check_byte_in_quotes(int byte)
{
	char line[] = {'"', (char)byte, 'y', '"'};
	char expected[] = {(char)byte, 'y', '\0'};
	bool control = (byte < 0x20 && byte != '\t') || byte == 0x7f;
	int result = split(line, sizeof line, 0, NULL);

	/* Behind the quote comes y, which is no escape. */
	if (control || byte == '"' || byte == '\\') {
		ck_assert_int_eq(result, -1);
		return;
	}
	ck_assert_int_eq(result, 0);
	ck_assert_uint_eq(words.count, 1);
	assert_word(0, NULL, expected);
}

static void check_escape(int byte)
{
	static const char letters[] = "\"\\nrt";
	static const char meanings[] = "\"\\\n\r\t";
	char line[] = {'"', '\\', (char)byte, '"'};
	const char *found = byte != 0 ? strchr(letters, byte) : NULL;
	char hex[16];
	char expected[2] = {(char)byte, '\0'};

	ck_assert_int_eq(split(line, sizeof line, 0, NULL), found != NULL ? 0 : -1);
	if (found != NULL) {
		char meaning[2] = {meanings[found - letters], '\0'};

		ck_assert_uint_eq(words.count, 1);
		assert_word(0, NULL, meaning);
	}
	snprintf(hex, sizeof hex, byte % 2 == 0 ? "\"\\x%02x\"" : "\"\\x%02X\"", (unsigned)byte);
	ck_assert_int_eq(split(hex, 6, 0, NULL), byte == 0 ? -1 : 0);
	if (byte != 0)
		assert_word(0, NULL, expected);
}

/* Which bytes may begin a key, and which may stand in one. */
static void check_byte_in_a_key(int byte)
{
	char first[] = {(char)byte, '=', 'v'};
	char second[] = {'k', (char)byte, '=', 'v'};
	bool letter = byte >= 'a' && byte <= 'z';
	bool in_key = letter || (byte >= '0' && byte <= '9') || byte == '-';

	if (split(first, sizeof first, 0, NULL) == 0)
		ck_assert_int_eq(words.list[0].key != NULL, letter);
	else
		ck_assert(!letter);
	if (split(second, sizeof second, 0, NULL) == 0) {
		/* "k==v" has the key k and the value "=v". */
		ck_assert_int_eq(words.list[0].key != NULL, in_key || byte == '=');
	} else {
		ck_assert(!in_key);
	}
}

START_TEST(test_every_byte)
{
	for (int byte = 0; byte < 256; byte++) {
		check_byte_in_a_word(byte);
		check_byte_in_quotes(byte);
		check_escape(byte);
		check_byte_in_a_key(byte);
	}
}
END_TEST

START_TEST(test_too_many)
{
	char line[2 * 1000];
	struct error error;

	for (size_t i = 0; i < sizeof line; i++)
		line[i] = i % 2 == 0 ? 'w' : ' ';
	ck_assert_int_eq(split(line, 2 * LIMIT_WORDS, LIMIT_WORDS, &error), 0);
	ck_assert_uint_eq(words.count, LIMIT_WORDS);
	ck_assert_int_eq(split(line, 2 * LIMIT_WORDS + 1, LIMIT_WORDS, &error), -1);
	ck_assert_int_eq(error.code, ERR_BAD_REQUEST);
	ck_assert_str_eq(error.text, "more than 64 words");
	ck_assert_int_eq(split(line, sizeof line, 0, &error), 0);
	ck_assert_uint_eq(words.count, 1000);
}
END_TEST

START_TEST(test_option)
{
	assert_splits("WATCH ALL since=7 initial=no note=\"\" since=8", 6);
	ck_assert_str_eq(words_option(&words, "since"), "7");
	ck_assert_str_eq(words_option(&words, "initial"), "no");
	ck_assert_str_eq(words_option(&words, "note"), "");
	ck_assert_ptr_null(words_option(&words, "sinc"));
	ck_assert_ptr_null(words_option(&words, "WATCH"));
	ck_assert_ptr_null(words_option(&words, ""));
}
END_TEST

/* Once it is large enough, splitting moves nothing. */
START_TEST(test_memory_is_kept)
{
	char *storage;
	struct word *list;

	assert_splits("UPDATE 3 1 group=web", 4);
	storage = words.storage;
	list = words.list;
	assert_splits("UPDATE 300 1 group=web max-surge=25% note=\"a b c\"", 6);
	ck_assert_ptr_eq(words.storage, storage);
	ck_assert_ptr_eq(words.list, list);
}
END_TEST

/* Wherever a good line is cut, it is another good one or a bad request, and nothing else happens. */
START_TEST(test_every_cut)
{
	static const char line[] = "UPDATE 3 1 note=\"a \\\"b\\\" \\n \\x41\" group=web \"\\\\\"";
	unsigned bad = 0;

	for (size_t len = 0; len < sizeof line; len++) {
		struct error error;

		if (split(line, len, LIMIT_WORDS, &error) == 0)
			continue;
		ck_assert_int_eq(error.code, ERR_BAD_REQUEST);
		bad++;
	}
	ck_assert_uint_gt(bad, 10);
	ck_assert_uint_lt(bad, sizeof line - 10);
}
END_TEST

static void assert_written(const char *text, const char *expected)
{
	struct buf buf = BUF_INIT;

	word_write(&buf, text, strlen(text));
	buf_add_char(&buf, '\0');
	ck_assert_str_eq(buf.data, expected);
	buf_fini(&buf);
}

START_TEST(test_write)
{
	assert_written("web-1", "web-1");
	assert_written("a=b", "\"a=b\"");
	assert_written("A=b", "A=b");
	assert_written("", "\"\"");
	assert_written("a b", "\"a b\"");
	assert_written("say \"hi\"\n", "\"say \\\"hi\\\"\\n\"");
	assert_written("\t\r\\\x01\x7f", "\"\\t\\r\\\\\\x01\\x7f\"");
	assert_written("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
}
END_TEST

static bool word_is(const struct word *word, const char *key, const char *text, size_t len)
{
	bool same_key = key == NULL ? word->key == NULL
				    : word->key != NULL && strcmp(word->key, key) == 0;

	return same_key && word->len == len && memcmp(word->text, text, len) == 0;
}

/* Writes text as an argument and as a value, and expects to read the same. An assertion of libcheck
 * costs a system call, which would be most of what the many calls cost. */
static void assert_round_trip(const char *text, size_t len)
{
	struct buf buf = BUF_INIT;
	struct error error = {.text = ""};

	word_write(&buf, text, len);
	buf_add_str(&buf, " key=");
	word_write(&buf, text, len);
	buf_add_str(&buf, " end");
	if (words_split(&words, buf.data, buf.len, LIMIT_WORDS, &error) != 0)
		ck_abort_msg("%.*s: %s", (int)buf.len, buf.data, error.text);
	if (words.count != 3 || !word_is(&words.list[0], NULL, text, len) ||
		!word_is(&words.list[1], "key", text, len))
		ck_abort_msg("not read as it was written: %.*s", (int)buf.len, buf.data);
	buf_fini(&buf);
}

static void check_round_trips_from(int byte)
{
	char text[2] = {(char)byte, 0};

	assert_round_trip(text, 1);
	for (int second = 1; second < 256; second++) {
		text[1] = (char)second;
		assert_round_trip(text, 2);
	}
}

START_TEST(test_round_trip_short)
{
	for (int byte = 1; byte < 256; byte++)
		check_round_trips_from(byte);
}
END_TEST

START_TEST(test_round_trip_random)
{
	static const char likely[] = "\"\\ =ab\t\n\rx0-";

	unit_take_seed();
	for (int round = 0; round < 20000; round++) {
		char text[64];
		size_t len = random_next() % sizeof text;

		for (size_t i = 0; i < len; i++) {
			uint64_t value = random_next();

			if (value & 256)
				text[i] = likely[(value >> 16) % (sizeof likely - 1)];
			else
				text[i] = (char)(1 + (value >> 16) % 255);
		}
		assert_round_trip(text, len);
	}
}
END_TEST

static Suite *words_suite(void)
{
	Suite *suite = suite_create("words");
	TCase *split_case = tcase_create("split");
	TCase *write_case = tcase_create("write");

	tcase_add_checked_fixture(split_case, setup, teardown);
	tcase_add_test(split_case, test_plain);
	tcase_add_test(split_case, test_carriage_return);
	tcase_add_test(split_case, test_keys);
	tcase_add_test(split_case, test_quotes);
	tcase_add_test(split_case, test_failures);
	tcase_add_test(split_case, test_every_byte);
	tcase_add_test(split_case, test_too_many);
	tcase_add_test(split_case, test_option);
	tcase_add_test(split_case, test_memory_is_kept);
	tcase_add_test(split_case, test_every_cut);
	suite_add_tcase(suite, split_case);
	tcase_add_checked_fixture(write_case, setup, teardown);
	tcase_set_timeout(write_case, 60);
	tcase_add_test(write_case, test_write);
	tcase_add_test(write_case, test_round_trip_short);
	tcase_add_test(write_case, test_round_trip_random);
	suite_add_tcase(suite, write_case);
	return suite;
}

int main(void)
{
	return unit_run(words_suite(), CK_FORK_GETENV);
}
