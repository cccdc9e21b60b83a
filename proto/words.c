#include "words.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

enum { LIST_MIN = 16, STORAGE_MIN = 256 };

/* What a byte is outside of quotes; 0 is a byte that is part of a word and nothing more. */
enum {
	BYTE_BLANK = 1,   /* space, tab */
	BYTE_CONTROL = 2, /* what may not stand in a line: all below 0x20 but tab, and 0x7f */
	BYTE_QUOTE = 4,
	BYTE_KEY = 8,     /* may stand in a key */
	BYTE_LETTER = 16, /* may begin a key */
	BYTE_ENDS = BYTE_BLANK | BYTE_CONTROL | BYTE_QUOTE, /* a run of plain bytes ends here */
};

static const uint8_t byte_classes[256] = {
	[0 ... '\t' - 1] = BYTE_CONTROL,
	['\t'] = BYTE_BLANK,
	['\t' + 1 ... 0x1f] = BYTE_CONTROL,
	[' '] = BYTE_BLANK,
	['"'] = BYTE_QUOTE,
	['-'] = BYTE_KEY,
	['0' ... '9'] = BYTE_KEY,
	['a' ... 'z'] = BYTE_KEY | BYTE_LETTER,
	[0x7f] = BYTE_CONTROL,
};

static inline unsigned class_of(char c)
{
	return byte_classes[(unsigned char)c];
}

void words_init(struct words *words)
{
	*words = (struct words){0};
}

void words_fini(struct words *words)
{
	free(words->list);
	free(words->storage);
	words_init(words);
}

char *words_hold(struct words *words, const char *text, size_t len)
{
	words->count = 0;
	if (words->storage_capacity <= len) {
		size_t capacity = len + 1 < STORAGE_MIN ? STORAGE_MIN : len + 1;

		/* What it held before is not needed any more, so there is nothing to move. */
		free(words->storage);
		words->storage = mem_alloc(capacity);
		words->storage_capacity = capacity;
	}
	if (len > 0)
		memcpy(words->storage, text, len);
	words->storage[len] = '\0';
	return words->storage;
}

/* The line as it is taken apart: words are ended and quotes resolved where they stand. */
struct scan {
	char *begin;
	char *at;
	char *end; /* a NUL stands there */
	struct error *error;
};

static int scan_failed(struct scan *scan, const char *at, const char *what)
{
	return error_set(scan->error, ERR_BAD_REQUEST, "%s at byte %zu", what,
		(size_t)(at - scan->begin) + 1);
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

/* Resolves the escape whose backslash is at *at, and moves *at behind it. */
static int scan_escape(struct scan *scan, char **at, char *ret_char)
{
	static const char letters[] = "\"\\nrt";
	static const char meanings[] = "\"\\\n\r\t";
	char letter = (*at)[1];
	const char *found = letter != '\0' ? strchr(letters, letter) : NULL;

	if (found != NULL) {
		*ret_char = meanings[found - letters];
		*at += 2;
		return 0;
	}
	if (letter == 'x') {
		/* The NUL at the end of the line is no digit, so this does not read beyond it. */
		int high = hex_value((*at)[2]);
		int low = high >= 0 ? hex_value((*at)[3]) : -1;

		if (low < 0)
			return scan_failed(scan, *at, "\\x without two hexadecimal digits");
		if (high == 0 && low == 0)
			return scan_failed(scan, *at, "a NUL byte");
		*ret_char = (char)(high << 4 | low);
		*at += 4;
		return 0;
	}
	return scan_failed(scan, *at, "an unknown escape");
}

/* Reads a quoted text; scan->at is its opening quote. It only gets shorter by that, and so is written
 * over itself. */
static int scan_quoted(struct scan *scan, struct word *word)
{
	char *open = scan->at;
	char *from = open + 1;
	char *to = from;

	while (from < scan->end && *from != '"') {
		if (*from == '\\') {
			if (scan_escape(scan, &from, to) < 0)
				return -1;
			to++;
		} else if (class_of(*from) & BYTE_CONTROL) {
			return scan_failed(scan, from, "a control character");
		} else {
			*to++ = *from++;
		}
	}
	if (from == scan->end)
		return scan_failed(scan, open, "an unclosed quote");
	if (from + 1 < scan->end && !(class_of(from[1]) & BYTE_BLANK))
		return scan_failed(scan, from, "a quote that closes in the middle of a word");
	*to = '\0';
	word->text = open + 1;
	word->len = (size_t)(to - word->text);
	scan->at = from + 1;
	return 0;
}

/* Reads what is left of a word without quotes, and ends it. */
static int scan_plain(struct scan *scan, struct word *word)
{
	char *at = scan->at;

	word->text = at;
	while (!(class_of(*at) & BYTE_ENDS))
		at++;
	if (at < scan->end) {
		if (class_of(*at) & BYTE_QUOTE)
			return scan_failed(scan, at, "a quote in the middle of a word");
		if (class_of(*at) & BYTE_CONTROL)
			return scan_failed(scan, at, "a control character");
		*at = '\0';
		scan->at = at + 1;
	} else {
		scan->at = at;
	}
	word->len = (size_t)(at - word->text);
	return 0;
}

static int scan_word(struct scan *scan, struct word *word)
{
	char *at = scan->at;

	word->key = NULL;
	if (class_of(*at) & BYTE_LETTER) {
		do
			at++;
		while (class_of(*at) & BYTE_KEY);
		if (*at == '=') {
			*at = '\0';
			word->key = scan->at;
			scan->at = at + 1;
		}
	}
	return *scan->at == '"' ? scan_quoted(scan, word) : scan_plain(scan, word);
}

/* Kept apart so that the growing does not weigh on the loop. */
static struct word *words_next(struct words *words)
{
	if (words->count == words->capacity) {
		words->capacity = words->capacity > 0 ? words->capacity * 2 : LIST_MIN;
		words->list = mem_realloc(words->list, words->capacity, sizeof *words->list);
	}
	return &words->list[words->count++];
}

int words_split(struct words *words, const char *line, size_t len, size_t max_words,
	struct error *error)
{
	struct scan scan;

	if (len > 0 && line[len - 1] == '\r')
		len--;
	scan.begin = scan.at = words_hold(words, line, len);
	scan.end = scan.begin + len;
	scan.error = error;
	for (;;) {
		while (class_of(*scan.at) & BYTE_BLANK)
			scan.at++;
		if (scan.at == scan.end)
			return 0;
		if (max_words > 0 && words->count == max_words) {
			words->count = 0;
			return error_set(error, ERR_BAD_REQUEST, "more than %zu words", max_words);
		}
		if (scan_word(&scan, words_next(words)) < 0) {
			words->count = 0;
			return -1;
		}
	}
}

const char *words_option(const struct words *words, const char *key)
{
	for (size_t i = 0; i < words->count; i++) {
		const struct word *word = &words->list[i];

		if (word->key != NULL && word->key[0] == key[0] && strcmp(word->key, key) == 0)
			return word->text;
	}
	return NULL;
}

/* Whether a text would be read back as it is: not empty, nothing in it that parts or quotes, and no
 * key and `=` at its beginning. */
static bool word_is_plain(const char *text, size_t len)
{
	size_t i = 0;

	if (len == 0)
		return false;
	if (class_of(text[0]) & BYTE_LETTER) {
		while (i < len && class_of(text[i]) & BYTE_KEY)
			i++;
		if (i < len && text[i] == '=')
			return false;
	}
	for (; i < len; i++) {
		if (class_of(text[i]) & BYTE_ENDS || text[i] == '\\')
			return false;
	}
	return true;
}

static void write_escaped(struct buf *buf, char c)
{
	static const char hex[] = "0123456789abcdef";

	buf_add_char(buf, '\\');
	switch (c) {
	case '"':
	case '\\':
		buf_add_char(buf, c);
		break;
	case '\n':
		buf_add_char(buf, 'n');
		break;
	case '\r':
		buf_add_char(buf, 'r');
		break;
	case '\t':
		buf_add_char(buf, 't');
		break;
	default:
		buf_add_char(buf, 'x');
		buf_add_char(buf, hex[(unsigned char)c >> 4]);
		buf_add_char(buf, hex[(unsigned char)c & 15]);
	}
}

void word_write(struct buf *buf, const char *text, size_t len)
{
	if (word_is_plain(text, len)) {
		buf_add(buf, text, len);
		return;
	}
	buf_add_char(buf, '"');
	for (size_t i = 0; i < len; i++) {
		if (class_of(text[i]) & (BYTE_CONTROL | BYTE_QUOTE) || text[i] == '\\' ||
			text[i] == '\t')
			write_escaped(buf, text[i]);
		else
			buf_add_char(buf, text[i]);
	}
	buf_add_char(buf, '"');
}
