#include "options.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "text.h"

_Static_assert(CTL_OPTION_COUNT <= 32, "a set of options is an unsigned");

static const struct ctl_option_row own_rows[] = {
#define OPTION(enumerator, key, letter, value, help) {key, letter, value, help},
	CTL_OPTIONS(OPTION)
#undef OPTION
};

struct ctl_option_row ctl_option_row(unsigned option)
{
	const struct option_row *row;

	assert(option < CTL_OPTION_COUNT);
	if (option >= VERB_OPTION_COUNT)
		return own_rows[option - VERB_OPTION_COUNT];
	row = verb_option_row(option);
	return (struct ctl_option_row){
		.key = row->key,
		.letter = option == OPT_GROUP ? 'g' : 0,
		.value = strcmp(row->value, "yes|no") == 0 ? NULL : row->value,
		.help = row->help,
	};
}

static bool is_hidden(unsigned option)
{
	return option < VERB_OPTION_COUNT && (OPT(option) & CTL_HIDDEN_OPTIONS) != 0;
}

static int find_key(const char *key, size_t len)
{
	for (unsigned option = 0; option < CTL_OPTION_COUNT; option++) {
		struct ctl_option_row row = ctl_option_row(option);

		if (!is_hidden(option) && strlen(row.key) == len && memcmp(row.key, key, len) == 0)
			return (int)option;
	}
	return -1;
}

static int find_letter(char letter)
{
	for (unsigned option = 0; option < CTL_OPTION_COUNT; option++) {
		if (!is_hidden(option) && ctl_option_row(option).letter == letter)
			return (int)option;
	}
	return -1;
}

struct parser {
	char **argv;
	int argc;
	int at;              /* the word that is looked at */
	const char **values;
};

/* Notes an option; `value` is what was written to it (--key=value, -sPATH) or NULL. */
static int take(struct parser *parser, unsigned option, const char *value)
{
	struct ctl_option_row row = ctl_option_row(option);

	if (parser->values[option] != NULL) {
		say("option --%s is given twice", row.key);
		return -1;
	}
	if (row.value == NULL && value != NULL) {
		say("option --%s takes no value", row.key);
		return -1;
	}
	if (row.value != NULL && value == NULL) {
		if (parser->at + 1 >= parser->argc) {
			say("option --%s needs a value: %s", row.key, row.value);
			return -1;
		}
		value = parser->argv[++parser->at];
	}
	parser->values[option] = row.value != NULL ? value : "";
	return 0;
}

static int parse_long(struct parser *parser, const char *word)
{
	const char *key = word + 2;
	size_t len = strcspn(key, "=");
	int option = find_key(key, len);

	if (option < 0) {
		say("unknown option --%.*s; see imctl help", (int)len, key);
		return -1;
	}
	return take(parser, (unsigned)option, key[len] == '=' ? key + len + 1 : NULL);
}

/* A bundle of letters, the last of which may have a value behind it. */
static int parse_letters(struct parser *parser, const char *word)
{
	for (const char *letter = word + 1; *letter != '\0'; letter++) {
		int option = find_letter(*letter);
		bool has_value;

		if (option < 0) {
			say("unknown option -%c; see imctl help", *letter);
			return -1;
		}
		has_value = ctl_option_row((unsigned)option).value != NULL;
		if (take(parser, (unsigned)option,
				has_value && letter[1] != '\0' ? letter + 1 : NULL) < 0)
			return -1;
		if (has_value)
			break;
	}
	return 0;
}

static bool is_option(const char *word)
{
	return word[0] == '-' && word[1] != '\0' && strchr("0123456789.", word[1]) == NULL;
}

int options_parse(int argc, char **argv, const char **ret_values, char **ret_words,
	size_t *ret_word_count)
{
	struct parser parser = {.argv = argv, .argc = argc, .at = 1, .values = ret_values};
	bool options_ended = false;
	size_t count = 0;

	for (; parser.at < argc; parser.at++) {
		char *word = argv[parser.at];
		int result = 0;

		if (options_ended || !is_option(word))
			ret_words[count++] = word;
		else if (strcmp(word, "--") == 0)
			options_ended = true;
		else if (word[1] == '-')
			result = parse_long(&parser, word);
		else
			result = parse_letters(&parser, word);
		if (result < 0)
			return -1;
	}
	*ret_word_count = count;
	return 0;
}
