/* A line of the protocol taken apart into words, and a word made fit for a line (quoting). */
#ifndef IMD_PROTO_WORDS_H
#define IMD_PROTO_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "error.h"

/* One word, its quotes and escapes resolved. Every string ends in a NUL and contains none. */
struct word {
	const char *text;  /* an argument, or the value of an option */
	const char *key;   /* the key where the word is key=value, NULL where it is an argument */
	size_t len;        /* of text */
};

struct words {
	struct word *list; /* LIMIT_WORDS of them at most unless words_split was told otherwise */
	size_t count;
	size_t capacity;
	char *storage;     /* where the strings are */
	size_t storage_capacity;
};

/* Ready for words_split; words_fini releases what it grew. A struct is to be used again and again. */
void words_init(struct words *words);
void words_fini(struct words *words);

/* Copies text into the storage and ends it with a NUL; what was split before is gone. */
char *words_hold(struct words *words, const char *text, size_t len);

/* Splits a line (without its LF; a CR at its end is dropped). max_words 0 is no limit.
 * Words are parted by blanks (space, tab). A key is [a-z][a-z0-9-]* before the first `=` of a word
 * that does not begin with a quote. A quote may open at the start of a word or right behind that
 * `=`, and must close at the word's end; within it \" \\ \n \r \t and \xHH are the escapes,
 * and a blank is a byte like others.
 * NUL (also as \x00) and other control bytes, an unclosed quote, an unknown escape and a quote in
 * the middle of a word are ERR_BAD_REQUEST, saying at which byte (counted from 1); too many words
 * are ERR_BAD_REQUEST too. Lines without a quote take no copying beyond one memcpy. */
int words_split(struct words *words, const char *line, size_t len, size_t max_words,
	struct error *error);

/* The value of the option `key`, or NULL. */
const char *words_option(const struct words *words, const char *key);

/* Appends text, quoted if it could not be read back as one argument otherwise (empty, blanks,
 * quotes, control characters, a backslash, a key and `=` at its beginning). Bytes from 0x80 up are
 * left as they are. */
void word_write(struct buf *buf, const char *text, size_t len);

#endif
