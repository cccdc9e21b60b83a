/* Fuzzing of what takes lines apart: any bytes are a good line or a bad request, and what was read
 * can be written and read again as the same. Built with -fsanitize=fuzzer and
 * -DFUZZ_WITH_LIBFUZZER it is a target of libFuzzer; otherwise it has a main() that runs the files
 * named, or its standard input. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "proto/record.h"
#include "proto/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_words: %s\n", what);
	abort();
}

static void check_error(const struct error *error)
{
	require(error->code == ERR_BAD_REQUEST, "an error other than bad-request");
	require(memchr(error->text, '\0', sizeof error->text) != NULL, "an error without an end");
	require(error->text[0] != '\0', "an error without a text");
	for (const char *c = error->text; *c != '\0'; c++)
		require((unsigned char)*c >= 0x20 && *c != 0x7f, "a control character in an error");
}

/* An argument that begins like an option must have been quoted; word_write() does so again. */
static void write_words(struct buf *buf, const struct words *words)
{
	for (size_t i = 0; i < words->count; i++) {
		const struct word *word = &words->list[i];

		require(strlen(word->text) == word->len, "a length that is not the text's");
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
	require(a->count == b->count, "another number of words");
	for (size_t i = 0; i < a->count; i++) {
		const struct word *one = &a->list[i];
		const struct word *other = &b->list[i];

		require((one->key == NULL) == (other->key == NULL), "an option became an argument");
		require(one->key == NULL || strcmp(one->key, other->key) == 0, "another key");
		require(one->len == other->len && memcmp(one->text, other->text, one->len) == 0,
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
		require(max_words == 0 || words.count <= max_words, "too many words");
		write_words(&buf, &words);
		require(words_split(&again, buf.data, buf.len, max_words, &error) == 0,
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
		require(line.name != NULL && line.name[0] != '\0', "a line without a name");
		require(line.text != NULL, "a line without a text");
		require(line_get(&line, "NONE") == NULL, "a key that cannot be");
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
	require(words_split(&words, buf.data, buf.len, 1, NULL) == 0, "a word cannot be read");
	require(words.count == 1 && words.list[0].key == NULL, "a word is not one argument");
	require(words.list[0].len == len && memcmp(words.list[0].text, text, len) == 0,
		"a word has changed");
	words_fini(&words);
	buf_fini(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of exactly this size, so that a sanitizer sees a read beyond its end. */
	char *text = calloc(1, size > 0 ? size : 1);

	require(text != NULL, "no memory");
	if (size > 0)
		memcpy(text, data, size);
	fuzz_split(text, size, LIMIT_WORDS);
	fuzz_split(text, size, 0);
	fuzz_line(text, size);
	fuzz_write(text, size);
	free(text);
	return 0;
}

#ifndef FUZZ_WITH_LIBFUZZER
/* Every line of the input on its own, then all of it at once. */
static void run_stream(FILE *stream)
{
	struct buf buf = BUF_INIT;
	char *at;
	size_t left;
	size_t got;

	do {
		got = fread(buf_room(&buf, 65536), 1, 65536, stream);
		buf.len += got;
	} while (got > 0);
	at = buf.data;
	left = buf.len;
	while (left > 0) {
		char *end = memchr(at, '\n', left);
		size_t len = end != NULL ? (size_t)(end - at) : left;

		LLVMFuzzerTestOneInput((const uint8_t *)at, len);
		at += end != NULL ? len + 1 : len;
		left -= end != NULL ? len + 1 : len;
	}
	LLVMFuzzerTestOneInput((const uint8_t *)buf.data, buf.len);
	buf_fini(&buf);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		run_stream(stdin);
	for (int i = 1; i < argc; i++) {
		FILE *stream = fopen(argv[i], "rb");

		if (stream == NULL) {
			perror(argv[i]);
			return EXIT_FAILURE;
		}
		run_stream(stream);
		fclose(stream);
	}
	return EXIT_SUCCESS;
}
#endif
