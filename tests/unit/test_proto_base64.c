/* Base64: what is encoded is decoded, and nothing else is. */
#include <string.h>

#include "proto/base64.h"
#include "unit.h"

enum { LENGTHS = 300 };

/* Of RFC 4648, section 10, and what the last two digits look like. */
static const struct {
	const char *data, *text;
} samples[] = {
	{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="},
	{"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}, {"\xfb\xef\xbe", "++++"}, {"\xff\xff\xff", "////"},
};

/* Decodes into memory of exactly the size that the header asks for, so that a sanitizer sees a write beyond. */
static int decode(const char *text, size_t len, char **ret_data, size_t *ret_len)
{
	*ret_data = malloc(BASE64_DATA_MAX(len) > 0 ? BASE64_DATA_MAX(len) : 1);
	ck_assert_ptr_nonnull(*ret_data);
	return base64_decode(text, len, *ret_data, ret_len);
}

static void expect_refused(const char *text, size_t len)
{
	size_t data_len;
	char *data;

	if (decode(text, len, &data, &data_len) == 0)
		ck_abort_msg("\"%.*s\" was decoded", (int)len, text);
	free(data);
}

START_TEST(the_samples_of_the_rfc)
{
	for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
		size_t len = strlen(samples[i].data), text_len = strlen(samples[i].text), data_len;
		char text[16], *data;

		ck_assert_uint_eq(BASE64_TEXT_LEN(len), text_len);
		base64_encode(samples[i].data, len, text);
		ck_assert_int_eq(memcmp(text, samples[i].text, text_len), 0);
		ck_assert_int_eq(decode(samples[i].text, text_len, &data, &data_len), 0);
		ck_assert_uint_eq(data_len, len);
		ck_assert_int_eq(memcmp(data, samples[i].data, len), 0);
		free(data);
	}
}
END_TEST

START_TEST(every_length_comes_back)
{
	unit_take_seed();
	for (size_t len = 0; len <= LENGTHS; len++) {
		size_t text_len = BASE64_TEXT_LEN(len), data_len;
		char *from = malloc(len + 1), *text = malloc(text_len + 1), *data;

		must(from && text);
		for (size_t i = 0; i < len; i++)
			from[i] = (char)random_next();
		base64_encode(from, len, text);
		must(decode(text, text_len, &data, &data_len) == 0);
		must(data_len == len && memcmp(data, from, len) == 0);
		free(from);
		free(text);
		free(data);
	}
}
END_TEST

START_TEST(no_other_character_is_a_digit)
{
	static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned digits = 0;

	for (int byte = 0; byte < 256; byte++) {
		for (size_t place = 0; place < 8; place++) {
			char text[8], *data;
			size_t len;

			memcpy(text, "ABCDEFGH", 8);
			text[place] = (char)byte;
			if (byte != 0 && strchr(good, byte)) {
				ck_assert_int_eq(decode(text, 8, &data, &len), 0);
				free(data);
				digits++;
			} else {
				expect_refused(text, 8);
			}
		}
	}
	ck_assert_uint_eq(digits, 64 * 8);
}
END_TEST

START_TEST(wrong_lengths_and_padding_are_refused)
{
	static const char *const wrong[] = {
		"A", "AA", "AAA", "AAAAA", "=", "==", "===", "====", "A===", "AA=", "AA=A", "A=AA", "=AAA",
		"AAAA=", "AAAA====", "AA==AAAA", "AAA=AAAA", "AAAA====AAAA", "AAAA\n", "AAA\n", " AAA",
		/* Bits that stand for nothing, */
		"AB==", "AP==", "AAB=", "AAD=",
		/* and the alphabet for URLs. */
		"AA-_",
	};

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		expect_refused(wrong[i], strlen(wrong[i]));
	expect_refused("AA\0A", 4);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("base64");
	TCase *tests = tcase_create("base64");

	tcase_add_test(tests, the_samples_of_the_rfc);
	tcase_add_test(tests, every_length_comes_back);
	tcase_add_test(tests, no_other_character_is_a_digit);
	tcase_add_test(tests, wrong_lengths_and_padding_are_refused);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
