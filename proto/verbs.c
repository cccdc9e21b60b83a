#include "verbs.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

static const struct verb_row rows[VERB_COUNT] = {
#define VERB(name, suffix, min, max, flags, options, args, help) \
	[VERB_##suffix] = {name, min, max, flags, options, args, help},
	VERBS(VERB)
#undef VERB
};

static const struct option_row option_rows[VERB_OPTION_COUNT] = {
#define OPTION(enumerator, key, value, help) [enumerator] = {key, value, help},
	VERB_OPTIONS(OPTION)
#undef OPTION
};

/* The names padded with NULs to the width of a register, so that looking one up is one comparison
 * a row, without a call. */
enum { VERB_NAME_MAX = 8 };
static const char padded_names[VERB_COUNT][VERB_NAME_MAX] = {
#define VERB(name, suffix, min, max, flags, options, args, help) [VERB_##suffix] = name,
	VERBS(VERB)
#undef VERB
};
#define VERB(name, suffix, min, max, flags, options, args, help) \
	_Static_assert(sizeof name <= VERB_NAME_MAX, "a verb has at most 7 letters: " name);
VERBS(VERB)
#undef VERB

const struct verb_row *verb_row(enum verb verb)
{
	assert((size_t)verb < VERB_COUNT);
	return &rows[verb];
}

const struct option_row *verb_option_row(enum verb_option option)
{
	assert((size_t)option < VERB_OPTION_COUNT);
	return &option_rows[option];
}

int verb_find(const char *name)
{
	char folded[VERB_NAME_MAX] = {0};
	uint64_t wanted;

	for (size_t i = 0; name[i] != '\0'; i++) {
		/* What lies below the letters would fold into the padding; above them, no byte but
		 * a letter folds into a letter. */
		if (i == VERB_NAME_MAX - 1 || (unsigned char)name[i] < 'A')
			return -1;
		folded[i] = (char)(name[i] & ~0x20);
	}
	memcpy(&wanted, folded, sizeof wanted);
	for (int verb = 0; verb < VERB_COUNT; verb++) {
		uint64_t have;

		memcpy(&have, padded_names[verb], sizeof have);
		if (have == wanted)
			return verb;
	}
	return -1;
}

int verb_option_find(const char *key)
{
	for (int option = 0; option < VERB_OPTION_COUNT; option++) {
		if (strcmp(key, option_rows[option].key) == 0)
			return option;
	}
	return -1;
}

/* A text that is put together in a place of fixed size, and cut there. */
struct cut_text {
	char *end;
	size_t room; /* its NUL counted */
};

static void cut_add(struct cut_text *text, const char *more)
{
	size_t len = strlen(more);

	if (len >= text->room)
		len = text->room - 1;
	memcpy(text->end, more, len);
	text->end += len;
	text->room -= len;
	*text->end = '\0';
}

void verb_usage(enum verb verb, char *ret_text, size_t size)
{
	const struct verb_row *row = verb_row(verb);
	struct cut_text text = {ret_text, size};

	assert(size > 0);
	cut_add(&text, row->name);
	if (row->args[0] != '\0') {
		cut_add(&text, " ");
		cut_add(&text, row->args);
	}
	for (unsigned option = 0; option < VERB_OPTION_COUNT; option++) {
		if ((row->options & OPT(option)) == 0)
			continue;
		cut_add(&text, " [");
		cut_add(&text, option_rows[option].key);
		cut_add(&text, "=");
		cut_add(&text, option_rows[option].value);
		cut_add(&text, "]");
	}
}
