/* What takes lines apart: any bytes are a good line or a bad request, and what was read can be written and read again
 * as the same. An input is tried as a whole, and each of its lines. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "proto/limits.h"
#include "proto/record.h"
#include "proto/words.h"

static const char *line_word(size_t index)
{
	static const char *const words[] = {"UPDATE", "OK", "ERR", "EVENT", "TASK", "# TYPE", "# EOF", "a=", "note=", "\"",
		"\\", "\\x41", "\\x00", "\\n", "\r", "\"a b\"", "imd_x{a=\"b\"} 1", "1e3", ";"};

	return index < sizeof words / sizeof words[0] ? words[index] : NULL;
}

const struct fuzz_target fuzz_target = {.name = "words", .max_size = 8192, .word = line_word};

static void check_error(const struct error *error)
{
	fuzz_require(error->code == ERR_BAD_REQUEST, "an error other than bad-request");
	fuzz_require(memchr(error->text, '\0', sizeof error->text) != NULL, "an error without an end");
	fuzz_require(error->text[0] != '\0', "an error without a text");
	for (const char *c = error->text; *c != '\0'; c++)
		fuzz_require((unsigned char)*c >= 0x20 && *c != 0x7f, "a control character in an error");
}

/* An argument that begins like an option must have been quoted; word_write() does so again. */
static void write_words(struct buf *buf, const struct words *words)
{
	for (size_t i = 0; i < words->count; i++) {
		const struct word *word = &words->list[i];

		fuzz_require(strlen(word->text) == word->len, "a length that is not the text's");
		if (i > 0)
			buf_add_char(buf, ' ');
		if (word->key != NULL) {
			buf_add_str(buf, word->key);
			buf_add_char(buf, '=');
		}
		word_write(buf, word->text, word->len);
	}
}

static void require_same(const struct words *a, const struct words *b)
{
	fuzz_require(a->count == b->count, "another number of words");
	for (size_t i = 0; i < a->count; i++) {
		const struct word *one = &a->list[i];
		const struct word *other = &b->list[i];

		fuzz_require((one->key == NULL) == (other->key == NULL), "an option became an argument");
		fuzz_require(one->key == NULL || strcmp(one->key, other->key) == 0, "another key");
		fuzz_require(one->len == other->len && memcmp(one->text, other->text, one->len) == 0,
			"another text");
	}
}

static void fuzz_split(const char *text, size_t len, size_t max_words)
{
	struct words words, again;
	struct error error = {.text = ""};
	struct buf buf = BUF_INIT;

	words_init(&words);
	words_init(&again);
	if (words_split(&words, text, len, max_words, &error) < 0) {
		check_error(&error);
	} else {
		fuzz_require(max_words == 0 || words.count <= max_words, "too many words");
		write_words(&buf, &words);
		fuzz_require(words_split(&again, buf.data, buf.len, max_words, &error) == 0,
			"what was written cannot be read");
		require_same(&words, &again);
	}
	buf_fini(&buf);
	words_fini(&again);
	words_fini(&words);
}

static void fuzz_line(const char *text, size_t len)
{
	struct words words;
	struct line line;
	struct error error = {.text = ""};

	words_init(&words);
	if (line_parse(&line, &words, text, len, &error) < 0) {
		check_error(&error);
	} else {
		fuzz_require(line.name != NULL && line.name[0] != '\0', "a line without a name");
		fuzz_require(line.text != NULL, "a line without a text");
		fuzz_require(line_get(&line, "NONE") == NULL, "a key that cannot be");
	}
	words_fini(&words);
}

/* Any bytes but NUL can be a word. */
static void fuzz_write(const char *text, size_t len)
{
	struct words words;
	struct buf buf = BUF_INIT;

	if (memchr(text, '\0', len) != NULL)
		return;
	words_init(&words);
	word_write(&buf, text, len);
	fuzz_require(words_split(&words, buf.data, buf.len, 1, NULL) == 0, "a word cannot be read");
	fuzz_require(words.count == 1 && words.list[0].key == NULL, "a word is not one argument");
	fuzz_require(words.list[0].len == len && memcmp(words.list[0].text, text, len) == 0,
		"a word has changed");
	words_fini(&words);
	buf_fini(&buf);
}

/* A copy of exactly this size, so that a sanitizer sees a read after its end. */
static void try_text(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size > 0 ? size : 1);

	fuzz_require(text != NULL, "not enough memory");
	if (size > 0)
		memcpy(text, data, size);
	fuzz_split(text, size, LIMIT_WORDS);
	fuzz_split(text, size, 0);
	fuzz_line(text, size);
	fuzz_write(text, size);
	free(text);
}

void fuzz_one(const uint8_t *data, size_t size)
{
	const uint8_t *end;

	try_text(data, size);
	while (size > 0 && (end = memchr(data, '\n', size)) != NULL) {
		try_text(data, (size_t)(end - data));
		size -= (size_t)(end - data) + 1;
		data = end + 1;
	}
}
