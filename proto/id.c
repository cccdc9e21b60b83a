#include "id.h"

#include "limits.h"

enum { ID_DIGITS = 32 };

#define HEX_ROW(h)                                                                      \
	h "0" h "1" h "2" h "3" h "4" h "5" h "6" h "7" h "8" h "9" h "a" h "b" h "c" h "d" \
		h "e" h "f"
static const char hex_pairs[] = HEX_ROW("0") HEX_ROW("1") HEX_ROW("2") HEX_ROW("3") HEX_ROW("4")
	HEX_ROW("5") HEX_ROW("6") HEX_ROW("7") HEX_ROW("8") HEX_ROW("9") HEX_ROW("a") HEX_ROW("b")
	HEX_ROW("c") HEX_ROW("d") HEX_ROW("e") HEX_ROW("f");

static inline char *add_byte(char *text, uint8_t byte)
{
	memcpy(text, hex_pairs + 2 * (size_t)byte, 2);
	return text + 2;
}

void id_format(const struct id *id, char *ret_text)
{
	char *text = ret_text;

	for (unsigned i = 0; i < sizeof id->bytes; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*text++ = '-';
		text = add_byte(text, id->bytes[i]);
	}
}

void id_format_z(const struct id *id, char *ret_text)
{
	id_format(id, ret_text);
	ret_text[ID_TEXT_LEN] = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* An id has a hyphen behind so many digits. */
static bool hyphen_place(unsigned digits)
{
	return digits == 8 || digits == 12 || digits == 16 || digits == 20;
}

/* Reads digits and hyphens. Returns how many digits there were; -1 where the text is neither an id
 * nor the beginning of one. Hyphens may be left out. */
static int digits_parse(const char *text, size_t len, struct id *ret_id)
{
	unsigned digits = 0;

	memset(ret_id, 0, sizeof *ret_id);
	for (size_t i = 0; i < len; i++) {
		int value = hex_value(text[i]);

		if (value < 0) {
			if (text[i] != '-' || !hyphen_place(digits) || text[i - 1] == '-')
				return -1;
			continue;
		}
		if (digits == ID_DIGITS)
			return -1;
		ret_id->bytes[digits / 2] |= (uint8_t)(digits % 2 == 0 ? value << 4 : value);
		digits++;
	}
	return (int)digits;
}

int id_parse(const char *text, size_t len, struct id *ret_id)
{
	/* Of this length and with all digits, the hyphens are complete too. */
	if (len != ID_TEXT_LEN || digits_parse(text, len, ret_id) != ID_DIGITS)
		return -1;
	return 0;
}

int id_prefix_parse(const char *text, size_t len, struct id_prefix *ret_prefix, struct error *error)
{
	int digits = digits_parse(text, len, &ret_prefix->id);

	if (digits < 0) {
		return error_set(error, ERR_BAD_ARGUMENT,
			"\"%.*s\" is not an id: it must be a UUID or its first %d or more "
			"hexadecimal digits", len > 40 ? 40 : (int)len, text, LIMIT_ID_PREFIX);
	}
	if (digits < LIMIT_ID_PREFIX) {
		return error_set(error, ERR_BAD_ARGUMENT,
			"\"%.*s\" is too short for an id: at least %d hexadecimal digits are needed",
			(int)len, text, LIMIT_ID_PREFIX);
	}
	ret_prefix->digits = (unsigned)digits;
	return 0;
}

bool id_has_prefix(const struct id *id, const struct id_prefix *prefix)
{
	unsigned whole = prefix->digits / 2;

	if (memcmp(id->bytes, prefix->id.bytes, whole) != 0)
		return false;
	return prefix->digits % 2 == 0 || (id->bytes[whole] ^ prefix->id.bytes[whole]) >> 4 == 0;
}
