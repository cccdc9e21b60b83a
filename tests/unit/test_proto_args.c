/* The arguments of requests: what is taken, what is refused, and what is said then. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/args.h"
#include "proto/limits.h"
#include "unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What no number may look like. */
static const char *const no_numbers[] = {"", "-", "+", "-1", "-0", "+3", "0x3", "0X3", "3.5", "3.0",
	".5", "1e3", " 3", "3 ", "\t3", "3\n", "1,000", "1_000", "three", "3a", "a3", "NaN", "inf",
	"18446744073709551616", "99999999999999999999999999", "\xc2\xb3", "3%%", "%"};

static void assert_refused(int result, const struct error *error, const char *what, const char *given)
{
	ck_assert_msg(result == -1, "%s \"%s\" was taken", what, given);
	ck_assert_int_eq(error->code, ERR_BAD_ARGUMENT);
	ck_assert_msg(strstr(error->text, what) == error->text, "%s", error->text);
	ck_assert_msg(strstr(error->text, "must be") != NULL, "%s", error->text);
}

START_TEST(test_size)
{
	static const struct {
		const char *text;
		uint32_t size;
	} good[] = {{"0", 0}, {"1", 1}, {"3", 3}, {"000", 0}, {"0000000000000000000000000000007", 7},
		{"999999", 999999}, {"1000000", 1000000}};
	static const char *const large[] = {"1000001", "4294967296", "4294967299",
		"18446744073709551615"};
	struct error error;
	uint32_t size;

	for (size_t i = 0; i < COUNT(good); i++) {
		ck_assert_int_eq(arg_size(good[i].text, &size, &error), 0);
		ck_assert_uint_eq(size, good[i].size);
	}
	for (size_t i = 0; i < COUNT(no_numbers); i++)
		assert_refused(arg_size(no_numbers[i], &size, &error), &error, "size", no_numbers[i]);
	for (size_t i = 0; i < COUNT(large); i++) {
		assert_refused(arg_size(large[i], &size, &error), &error, "size", large[i]);
		ck_assert_ptr_nonnull(strstr(error.text, "is too large"));
	}
	assert_refused(arg_size("5%", &size, &error), &error, "size", "5%");
}
END_TEST

START_TEST(test_version)
{
	static const char *const large[] = {"9223372036854775808", "18446744073709551615"};
	struct error error;
	uint64_t version;

	ck_assert_int_eq(arg_version("0", &version, &error), 0);
	ck_assert_uint_eq(version, 0);
	ck_assert_int_eq(arg_version("9223372036854775807", &version, &error), 0);
	ck_assert_uint_eq(version, INT64_MAX);
	for (size_t i = 0; i < COUNT(no_numbers); i++) {
		assert_refused(arg_version(no_numbers[i], &version, &error), &error, "version",
			no_numbers[i]);
	}
	for (size_t i = 0; i < COUNT(large); i++)
		assert_refused(arg_version(large[i], &version, &error), &error, "version", large[i]);
}
END_TEST

START_TEST(test_number)
{
	struct error error;
	uint64_t value;

	ck_assert_int_eq(arg_number("18446744073709551615", "n", 0, UINT64_MAX, &value, &error), 0);
	ck_assert_uint_eq(value, UINT64_MAX);
	for (uint64_t n = 0; n < 20; n++) {
		char text[8];

		snprintf(text, sizeof text, "%" PRIu64, n);
		ck_assert_int_eq(arg_number(text, "n", 5, 12, &value, &error),
			n >= 5 && n <= 12 ? 0 : -1);
		if (n < 5)
			ck_assert_ptr_nonnull(strstr(error.text, "is too small"));
	}
}
END_TEST

/* Each kind of mistake has its own words. */
START_TEST(test_messages)
{
	static const struct {
		const char *text;
		const char *message;
	} cases[] = {
		{"", "size must be a whole number from 0 to 1000000; \"\" is empty"},
		{"-1", "size must be a whole number from 0 to 1000000; \"-1\" has a sign"},
		{"+3", "size must be a whole number from 0 to 1000000; \"+3\" has a sign"},
		{"3.5", "size must be a whole number from 0 to 1000000; \"3.5\" is not whole"},
		{"0x3", "size must be a whole number from 0 to 1000000; \"0x3\" is not made of "
			"decimal digits"},
		{" 3", "size must be a whole number from 0 to 1000000; \" 3\" is not made of "
		       "decimal digits"},
		{"1000001", "size must be a whole number from 0 to 1000000; \"1000001\" is too large"},
	};
	uint32_t size;

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct error error;

		ck_assert_int_eq(arg_size(cases[i].text, &size, &error), -1);
		ck_assert_str_eq(error.text, cases[i].message);
	}
	ck_assert_int_eq(arg_size("x", &size, NULL), -1);
}
END_TEST

START_TEST(test_amount)
{
	static const struct {
		const char *text;
		uint32_t value;
		bool percent;
	} good[] = {{"0", 0, false}, {"3", 3, false}, {"1000000", 1000000, false}, {"0%", 0, true},
		{"25%", 25, true}, {"100%", 100, true}};
	static const char *const wrong[] = {"1000001", "101%", "-5%", "2.5%", "5%5", "%5", "5 %",
		"4294967297%"};
	struct amount amount;
	struct error error;

	for (size_t i = 0; i < COUNT(good); i++) {
		ck_assert_int_eq(arg_amount(good[i].text, "max-surge", 100, &amount, &error), 0);
		ck_assert_uint_eq(amount.value, good[i].value);
		ck_assert_int_eq(amount.percent, good[i].percent);
	}
	for (size_t i = 0; i < COUNT(no_numbers); i++) {
		assert_refused(arg_amount(no_numbers[i], "max-surge", 100, &amount, &error), &error,
			"max-surge", no_numbers[i]);
	}
	for (size_t i = 0; i < COUNT(wrong); i++) {
		assert_refused(arg_amount(wrong[i], "max-unavailable", 100, &amount, &error), &error,
			"max-unavailable", wrong[i]);
	}
	/* What is allowed is the caller's: a surge may be more than the size. */
	ck_assert_int_eq(arg_amount("101%", "max-surge", 1000, &amount, &error), 0);
	ck_assert_int_eq(arg_amount("1000%", "max-surge", 1000, &amount, &error), 0);
	ck_assert_int_eq(arg_amount("1001%", "max-surge", 1000, &amount, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.text, "1000%"));
}
END_TEST

START_TEST(test_amount_format)
{
	static const char *const texts[] = {"0", "3", "25%", "1000000", "0%"};
	struct amount largest = {UINT32_MAX, true};
	char text[16];

	for (size_t i = 0; i < COUNT(texts); i++) {
		struct amount amount;

		ck_assert_int_eq(arg_amount(texts[i], "n", 100, &amount, NULL), 0);
		amount_format(&amount, text);
		ck_assert_str_eq(text, texts[i]);
	}
	amount_format(&largest, text);
	ck_assert_str_eq(text, "4294967295%");
}
END_TEST

START_TEST(test_duration)
{
	static const struct {
		const char *text;
		uint64_t ms;
		const char *formatted;
	} good[] = {{"0", 0, "0"}, {"0ms", 0, "0"}, {"50ms", 50, "50ms"}, {"1000ms", 1000, "1s"},
		{"1500ms", 1500, "1500ms"}, {"3", 3000, "3s"}, {"3s", 3000, "3s"}, {"90s", 90000, "90s"},
		{"120", 120000, "2m"}, {"2m", 120000, "2m"}, {"1h", 3600000, "1h"},
		{"24h", 86400000, "24h"}, {"86400", 86400000, "24h"}, {"86400000ms", 86400000, "24h"}};
	static const char *const wrong[] = {"", "ms", "-1s", "+1s", "1.5s", "0x3s", " 3s", "3 s", "3d",
		"3S", "3sec", "1h30m", "25h", "1441m", "86401", "86400001ms", "18446744073709551616ms",
		"18446744073709551615h", "s3"};
	struct error error;
	uint64_t ms;
	char text[24];

	for (size_t i = 0; i < COUNT(good); i++) {
		ck_assert_int_eq(arg_duration(good[i].text, "min-ready", &ms, &error), 0);
		ck_assert_uint_eq(ms, good[i].ms);
		duration_format(ms, text);
		ck_assert_str_eq(text, good[i].formatted);
	}
	for (size_t i = 0; i < COUNT(wrong); i++) {
		assert_refused(arg_duration(wrong[i], "min-ready", &ms, &error), &error, "min-ready",
			wrong[i]);
	}
	duration_format(UINT64_MAX, text);
	ck_assert_str_eq(text, "18446744073709551615ms");
}
END_TEST

#define INCARNATION "0f1e2d3c-4b5a-4678-8796-a5b4c3d2e1f0"

START_TEST(a_position_is_a_number_and_maybe_an_incarnation)
{
	static const struct {
		const char *text, *written;
		uint64_t seq;
	} good[] = {
		{"0", "0", 0},
		{"040", "40", 40},
		{"9223372036854775807", "9223372036854775807", INT64_MAX},
		{"40@" INCARNATION, "40@" INCARNATION, 40},
		{"0@0F1E2D3C-4B5A-4678-8796-A5B4C3D2E1F0", "0@" INCARNATION, 0},
	};
	struct position position;
	struct error error;

	for (size_t i = 0; i < COUNT(good); i++) {
		struct buf buf = BUF_INIT;

		ck_assert_int_eq(arg_position(good[i].text, "since", &position, &error), 0);
		ck_assert_uint_eq(position.seq, good[i].seq);
		ck_assert_int_eq(position_has_incarnation(&position), strchr(good[i].text, '@') != NULL);
		position_add(&buf, &position);
		buf_add_char(&buf, '\0');
		ck_assert_str_eq(buf.data, good[i].written);
		buf_fini(&buf);
	}
}
END_TEST

START_TEST(a_position_of_another_form_is_refused)
{
	static const char *const wrong[] = {"", "@", "40@", "@" INCARNATION, "-1@" INCARNATION, "x@" INCARNATION,
		"40@" INCARNATION "0", "40@" INCARNATION "@", "40@0f1e2d3c", "40@ " INCARNATION, " 40", "40 ", "0x28",
		"40@@" INCARNATION, "9223372036854775808", "9223372036854775808@" INCARNATION, INCARNATION,
		"18446744073709551616@" INCARNATION, "40@00000000-0000-0000-0000-000000000000"};
	struct position position;
	struct error error;

	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_refused(arg_position(wrong[i], "since", &position, &error), &error, "since", wrong[i]);
}
END_TEST

START_TEST(a_position_is_told_with_its_incarnation)
{
	struct position position = {.seq = 40};
	struct buf buf = BUF_INIT;

	position_add_keys(&buf, &position);
	ck_assert_int_eq(id_parse(INCARNATION, ID_TEXT_LEN, &position.incarnation), 0);
	position_add_keys(&buf, &position);
	buf_add_char(&buf, '\0');
	ck_assert_str_eq(buf.data, " seq=40 seq=40 incarnation=" INCARNATION);
	buf_fini(&buf);
}
END_TEST

START_TEST(test_bool)
{
	static const char *const wrong[] = {"", "y", "Yes", "YES", "true", "1", "0", "no ", "off"};
	struct error error;
	bool value = false;

	ck_assert_int_eq(arg_bool("yes", "quiet", &value, &error), 0);
	ck_assert(value);
	ck_assert_int_eq(arg_bool("no", "quiet", &value, &error), 0);
	ck_assert(!value);
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_refused(arg_bool(wrong[i], "quiet", &value, &error), &error, "quiet", wrong[i]);
}
END_TEST

START_TEST(test_probability)
{
	static const struct {
		const char *text;
		uint32_t millionths;
	} good[] = {{"0", 0}, {"0.0", 0}, {"1", 1000000}, {"1.000000", 1000000}, {"0.25", 250000},
		{"0.000001", 1}, {"0.999999", 999999}, {"00.5", 500000}};
	static const char *const wrong[] = {"", ".", ".5", "1.", "0.", "1.000001", "2", "-0.1", "+0.1",
		"0.0000001", "1e-3", "0,5", "0.5.5", "0.+5", "0. 5", "50%", "0x1",
		"18446744073709551616"};
	struct error error;
	uint32_t millionths;

	for (size_t i = 0; i < COUNT(good); i++) {
		ck_assert_int_eq(arg_probability(good[i].text, "p", &millionths, &error), 0);
		ck_assert_uint_eq(millionths, good[i].millionths);
	}
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_refused(arg_probability(wrong[i], "p", &millionths, &error), &error, "p", wrong[i]);
}
END_TEST

START_TEST(test_group)
{
	char name[80];
	struct error error;

	memset(name, 'a', sizeof name);
	for (size_t len = 0; len < sizeof name; len++) {
		name[len] = '\0';
		ck_assert_int_eq(arg_group(name, &error), len >= 1 && len <= LIMIT_GROUP_NAME ? 0 : -1);
		name[len] = 'a';
	}
	assert_refused(arg_group("*", &error), &error, "group", "*");
}
END_TEST

/* The byte alone, and behind another. */
static void check_group_byte(int byte)
{
	char alone[] = {(char)byte, '\0'};
	char behind[] = {'a', (char)byte, '\0'};
	bool first = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9');
	bool more = first || byte == '.' || byte == '_' || byte == '-';

	ck_assert_int_eq(arg_group(alone, NULL), first ? 0 : -1);
	ck_assert_int_eq(arg_group(behind, NULL), more ? 0 : -1);
}

START_TEST(test_group_every_byte)
{
	for (int byte = 1; byte < 256; byte++)
		check_group_byte(byte);
}
END_TEST

START_TEST(test_versions)
{
	static const char *const wrong[] = {"", ",", "1,", ",1", "1,,2", "1, 2", "1,x", "-1",
		"1,9223372036854775808"};
	struct error error;
	uint64_t *versions = NULL;
	size_t count = 0;

	ck_assert_int_eq(arg_versions("7", "v", &versions, &count, &error), 0);
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(versions[0], 7);
	free(versions);
	ck_assert_int_eq(arg_versions("3,1,9223372036854775807,1", "v", &versions, &count, &error), 0);
	ck_assert_uint_eq(count, 4);
	ck_assert_uint_eq(versions[0], 3);
	ck_assert_uint_eq(versions[2], INT64_MAX);
	ck_assert_uint_eq(versions[3], 1);
	free(versions);
	for (size_t i = 0; i < COUNT(wrong); i++) {
		assert_refused(arg_versions(wrong[i], "v", &versions, &count, &error), &error, "v",
			wrong[i]);
	}
}
END_TEST

START_TEST(test_error_text)
{
	struct error error;
	char longer[600];

	ck_assert_int_eq(error_set(&error, ERR_GONE, "a\nb\x7f%s", "\x01"), -1);
	ck_assert_int_eq(error.code, ERR_GONE);
	ck_assert_str_eq(error.text, "a\\x0ab\\x7f\\x01");
	/* An argument may be the text itself. */
	error_set(&error, ERR_GONE, "no");
	error_set(&error, ERR_STORAGE, "<%s>", error.text);
	ck_assert_str_eq(error.text, "<no>");
	ck_assert_int_eq(error_set(NULL, ERR_GONE, "no"), -1);
	memset(longer, 'x', sizeof longer);
	longer[sizeof longer - 1] = '\0';
	error_set(&error, ERR_GONE, "%s", longer);
	ck_assert_uint_eq(strlen(error.text), LIMIT_ERROR_TEXT - 1);
	memset(longer, '\n', sizeof longer - 1);
	error_set(&error, ERR_GONE, "%s", longer);
	ck_assert_uint_lt(strlen(error.text), LIMIT_ERROR_TEXT);
	ck_assert_uint_eq(strlen(error.text) % 4, 0);
}
END_TEST

/* A text that is too long is cut between characters, wherever they stand. */
START_TEST(test_error_text_whole_characters)
{
	static const char *const characters[] = {"x", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x90\xa7"};
	const char *character = characters[_i];
	size_t len = strlen(character);

	for (size_t shift = 0; shift < 4; shift++) {
		char text[2 * LIMIT_ERROR_TEXT] = "---";
		struct error error;
		size_t got;

		text[shift] = '\0';
		while (strlen(text) + len < sizeof text)
			strcat(text, character);
		error_set(&error, ERR_GONE, "%s", text);
		got = strlen(error.text);
		ck_assert_uint_eq((got - shift) % len, 0);
		ck_assert_uint_gt(got + len, LIMIT_ERROR_TEXT - 1);
		ck_assert_int_eq(strncmp(error.text, text, got), 0);
	}
}
END_TEST

/* A long argument is shown in part. */
START_TEST(test_long_argument)
{
	char text[4097];
	struct error error;
	uint32_t size;

	memset(text, '9', sizeof text);
	text[sizeof text - 1] = '\0';
	ck_assert_int_eq(arg_size(text, &size, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.text, "9...\" is too large"));
}
END_TEST

static Suite *args_suite(void)
{
	Suite *suite = suite_create("args");
	TCase *args = tcase_create("args");
	TCase *errors = tcase_create("errors");

	tcase_add_test(args, test_size);
	tcase_add_test(args, test_version);
	tcase_add_test(args, test_number);
	tcase_add_test(args, test_messages);
	tcase_add_test(args, test_amount);
	tcase_add_test(args, test_amount_format);
	tcase_add_test(args, test_duration);
	tcase_add_test(args, a_position_is_a_number_and_maybe_an_incarnation);
	tcase_add_test(args, a_position_of_another_form_is_refused);
	tcase_add_test(args, a_position_is_told_with_its_incarnation);
	tcase_add_test(args, test_bool);
	tcase_add_test(args, test_probability);
	tcase_add_test(args, test_group);
	tcase_add_test(args, test_group_every_byte);
	tcase_add_test(args, test_versions);
	suite_add_tcase(suite, args);
	tcase_add_test(errors, test_error_text);
	tcase_add_loop_test(errors, test_error_text_whole_characters, 0, 4);
	tcase_add_test(errors, test_long_argument);
	suite_add_tcase(suite, errors);
	return suite;
}

int main(void)
{
	return unit_run(args_suite(), CK_FORK_GETENV);
}
