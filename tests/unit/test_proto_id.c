/* Ids as text, whole and as prefixes. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "proto/id.h"
#include "proto/limits.h"
#include "unit.h"

static const char sample[] = "01234567-89ab-4def-8edc-ba9876543210";
static const struct id sample_id = {
	{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0x4d, 0xef, 0x8e, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10}};

START_TEST(test_format)
{
	char text[ID_TEXT_LEN + 1];
	char bare[ID_TEXT_LEN + 1];

	memset(bare, '#', sizeof bare);
	id_format(&sample_id, bare);
	ck_assert_mem_eq(bare, sample, ID_TEXT_LEN);
	ck_assert_int_eq(bare[ID_TEXT_LEN], '#');
	id_format_z(&sample_id, text);
	ck_assert_str_eq(text, sample);
}
END_TEST

/* This value of a byte, in every place. */
static void check_byte(int byte)
{
	for (size_t place = 0; place < sizeof sample_id.bytes; place++) {
		struct id id = sample_id;
		struct id parsed;
		char text[ID_TEXT_LEN + 1];

		id.bytes[place] = (uint8_t)byte;
		id_format_z(&id, text);
		ck_assert_int_eq(id_parse(text, ID_TEXT_LEN, &parsed), 0);
		ck_assert(id_equal(&parsed, &id));
		ck_assert_int_eq(id_equal(&parsed, &sample_id), sample_id.bytes[place] == byte);
		for (size_t i = 0; i < ID_TEXT_LEN; i++)
			text[i] = (char)toupper(text[i]);
		ck_assert_int_eq(id_parse(text, ID_TEXT_LEN, &parsed), 0);
		ck_assert(id_equal(&parsed, &id));
	}
}

/* A byte that is no digit spoils an id in every place (but a hyphen where it belongs). */
static void check_wrong_byte(int byte)
{
	for (size_t place = 0; place < ID_TEXT_LEN; place++) {
		bool hyphen = place == 8 || place == 13 || place == 18 || place == 23;
		bool good = hyphen ? byte == '-' : byte < 128 && isxdigit(byte);
		char text[ID_TEXT_LEN];
		struct id id;

		memcpy(text, sample, ID_TEXT_LEN);
		text[place] = (char)byte;
		ck_assert_int_eq(id_parse(text, ID_TEXT_LEN, &id), good ? 0 : -1);
	}
}

START_TEST(test_every_byte)
{
	for (int byte = 0; byte < 256; byte++) {
		check_byte(byte);
		check_wrong_byte(byte);
	}
}
END_TEST

START_TEST(test_wrong_length)
{
	struct id id;

	for (size_t len = 0; len < ID_TEXT_LEN; len++)
		ck_assert_int_eq(id_parse(sample, len, &id), -1);
	ck_assert_int_eq(id_parse("01234567-89ab-4def-8edc-ba98765432101", 37, &id), -1);
	ck_assert_int_eq(id_parse("0123456789ab4def8edcba9876543210", 32, &id), -1);
	ck_assert_int_eq(id_parse("0123456789ab4def8edcba98765432101234", 36, &id), -1);
}
END_TEST

static unsigned digits_of(const char *text, size_t len)
{
	unsigned digits = 0;

	for (size_t i = 0; i < len; i++)
		digits += text[i] != '-';
	return digits;
}

/* Every beginning of an id, with hyphens and without. */
START_TEST(test_every_prefix)
{
	char bare[33];
	size_t bare_len = 0;

	for (size_t i = 0; i < ID_TEXT_LEN; i++) {
		if (sample[i] != '-')
			bare[bare_len++] = sample[i];
	}
	for (size_t len = 0; len <= ID_TEXT_LEN; len++) {
		struct id_prefix prefix, same;
		struct error error;
		unsigned digits = digits_of(sample, len);
		int result = id_prefix_parse(sample, len, &prefix, &error);

		if (digits < LIMIT_ID_PREFIX) {
			ck_assert_int_eq(result, -1);
			ck_assert_int_eq(error.code, ERR_BAD_ARGUMENT);
			ck_assert_ptr_nonnull(strstr(error.text, "too short"));
			continue;
		}
		ck_assert_int_eq(result, 0);
		ck_assert_uint_eq(prefix.digits, digits);
		ck_assert(id_has_prefix(&sample_id, &prefix));
		ck_assert_int_eq(id_prefix_parse(bare, digits, &same, &error), 0);
		ck_assert_uint_eq(same.digits, digits);
		ck_assert(id_equal(&same.id, &prefix.id));
	}
}
END_TEST

/* An id that differs in one digit has exactly the prefixes that end before it. */
START_TEST(test_prefix_of_another)
{
	for (unsigned digit = 0; digit < 32; digit++) {
		struct id other = sample_id;

		other.bytes[digit / 2] ^= digit % 2 == 0 ? 0x10 : 0x01;
		for (size_t len = LIMIT_ID_PREFIX; len <= ID_TEXT_LEN; len++) {
			struct id_prefix prefix;

			ck_assert_int_eq(id_prefix_parse(sample, len, &prefix, NULL), 0);
			ck_assert_int_eq(id_has_prefix(&other, &prefix), prefix.digits <= digit);
		}
	}
}
END_TEST

START_TEST(test_wrong_prefix)
{
	static const char *const wrong[] = {"-0123", "0123-4567", "01234567--89ab", "zzzz", "0x12",
		"0123 ", "01234567-89ab-4def-8edc-ba98765432100", "+1234",
		"01234567-89ab-4def-8edc-ba9876543210-", "0123456789ab4def8edcba98765432100",
		"a name that is no id at all, and much longer than one would be"};

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct id_prefix prefix;
		struct error error;

		ck_assert_int_eq(id_prefix_parse(wrong[i], strlen(wrong[i]), &prefix, &error), -1);
		ck_assert_int_eq(error.code, ERR_BAD_ARGUMENT);
		ck_assert_ptr_nonnull(strstr(error.text, "is not an id"));
	}
}
END_TEST

static Suite *id_suite(void)
{
	Suite *suite = suite_create("id");
	TCase *whole = tcase_create("whole");
	TCase *prefix = tcase_create("prefix");

	tcase_add_test(whole, test_format);
	tcase_add_test(whole, test_every_byte);
	tcase_add_test(whole, test_wrong_length);
	suite_add_tcase(suite, whole);
	tcase_add_test(prefix, test_every_prefix);
	tcase_add_test(prefix, test_prefix_of_another);
	tcase_add_test(prefix, test_wrong_prefix);
	suite_add_tcase(suite, prefix);
	return suite;
}

int main(void)
{
	return unit_run(id_suite(), CK_FORK_GETENV);
}
