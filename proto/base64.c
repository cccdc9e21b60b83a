#include "base64.h"

#include <stdint.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum { NO_DIGIT = 64 };

/* The value of a digit; NO_DIGIT if it is none. */
static unsigned value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0') + 52;
	return c == '+' ? 62 : c == '/' ? 63 : NO_DIGIT;
}

static void encode_group(uint32_t bits, char *text)
{
	text[0] = digits[bits >> 18];
	text[1] = digits[bits >> 12 & 63];
	text[2] = digits[bits >> 6 & 63];
	text[3] = digits[bits & 63];
}

void base64_encode(const void *data, size_t len, char *ret_text)
{
	const uint8_t *from = data;

	for (; len >= 3; len -= 3, from += 3, ret_text += 4)
		encode_group((uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2], ret_text);
	if (len == 0)
		return;
	encode_group((uint32_t)from[0] << 16 | (len == 2 ? (uint32_t)from[1] << 8 : 0), ret_text);
	ret_text[3] = '=';
	if (len == 1)
		ret_text[2] = '=';
}

/* A group of four characters, `digit_count` of them digits. */
static int decode_group(const char *text, unsigned digit_count, uint8_t *data)
{
	uint32_t bits = 0;

	for (unsigned i = 0; i < 4; i++) {
		unsigned value = i < digit_count ? value_of(text[i]) : 0;

		if (value >= NO_DIGIT)
			return -1;
		bits = bits << 6 | value;
	}
	for (unsigned i = 0; i + 1 < digit_count; i++)
		data[i] = (uint8_t)(bits >> (16 - 8 * i));
	return digit_count == 4 || (bits & (digit_count == 3 ? 0xff : 0xffff)) == 0 ? 0 : -1;
}

int base64_decode(const char *text, size_t len, void *ret_data, size_t *ret_len)
{
	unsigned padding = 0;
	uint8_t *to = ret_data;

	if (len % 4 != 0)
		return -1;
	while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
		padding++;
	*ret_len = BASE64_DATA_MAX(len) - padding;
	for (; len > 4; len -= 4, text += 4, to += 3) {
		if (decode_group(text, 4, to) < 0)
			return -1;
	}
	return len == 0 ? 0 : decode_group(text, 4 - padding, to);
}
