#include "error.h"

#include <assert.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const char *const code_names[ERR_CODE_COUNT] = {
#define ERR_CODE(enumerator, word) [enumerator] = word,
	ERR_CODES(ERR_CODE)
#undef ERR_CODE
};

/* Where a text was cut in the middle of a UTF-8 sequence, returns the length without its first
 * bytes, so that a client never sees half a character that the sender did not send so. */
static size_t whole_characters(const char *text, size_t len)
{
	size_t begin = len;
	size_t need;
	unsigned char lead;

	while (begin > 0 && len - begin < 3 && ((unsigned char)text[begin - 1] & 0xc0) == 0x80)
		begin--;
	if (begin == 0)
		return len;
	lead = (unsigned char)text[begin - 1];
	need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
	return len - begin + 1 < need ? begin - 1 : len;
}

/* Copies text, control characters as \xHH, as far as there is room. */
static void copy_printable(char *ret_text, size_t size, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t len = 0;

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= 0x20 && c != 0x7f) {
			if (len + 1 >= size)
				break;
			ret_text[len++] = *text;
		} else {
			if (len + 4 >= size)
				break;
			ret_text[len++] = '\\';
			ret_text[len++] = 'x';
			ret_text[len++] = hex[c >> 4];
			ret_text[len++] = hex[c & 15];
		}
	}
	if (*text != '\0')
		len = whole_characters(ret_text, len);
	ret_text[len] = '\0';
}

int error_format(struct error *error, enum err_code code, const char *format, ...)
{
	/* Formatted aside first: the arguments may point into error->text. */
	char text[LIMIT_ERROR_TEXT];
	va_list args;
	int len;

	if (error == NULL)
		return -1;
	va_start(args, format);
	len = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (len < 0)
		text[0] = '\0';
	else if ((size_t)len >= sizeof text)
		text[whole_characters(text, sizeof text - 1)] = '\0';
	error->code = code;
	copy_printable(error->text, sizeof error->text, text);
	return -1;
}

const char *err_code_name(enum err_code code)
{
	assert((size_t)code < ERR_CODE_COUNT);
	return code_names[code];
}

int err_code_parse(const char *word)
{
	for (int code = 0; code < ERR_CODE_COUNT; code++) {
		if (strcmp(word, code_names[code]) == 0)
			return code;
	}
	return -1;
}
