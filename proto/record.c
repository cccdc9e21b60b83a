#include "record.h"

#include <stdbool.h>
#include <string.h>

#include "limits.h"

static int line_failed(struct error *error, const char *what)
{
	return error_set(error, ERR_BAD_REQUEST, "not a line of the protocol: %s", what);
}

static int check_control(const char *text, size_t len, struct error *error)
{
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return line_failed(error, "a control character");
	}
	return 0;
}

/* ERR code text…: the text is for people and may hold anything printable, so it is not split. */
static int parse_err(struct line *ret_line, struct words *words, const char *text, size_t len,
	struct error *error)
{
	char *code;
	char *end;

	if (len > 0 && text[len - 1] == '\r')
		len--;
	if (check_control(text, len, error) < 0)
		return -1;
	code = words_hold(words, text, len) + strlen("ERR ");
	if (len <= strlen("ERR ") || *code == ' ')
		return line_failed(error, "ERR without a code");
	end = strchr(code, ' ');
	ret_line->kind = LINE_ERR;
	ret_line->name = code;
	ret_line->text = end != NULL ? end + 1 : "";
	if (end != NULL)
		*end = '\0';
	return 0;
}

static bool is_argument(const struct words *words, size_t index)
{
	return index < words->count && words->list[index].key == NULL;
}

/* Whether text has at least one byte, and only such as are in [first..last] or are `extra`. */
static bool is_made_of(const struct word *word, char first, char last, char extra)
{
	for (size_t i = 0; i < word->len; i++) {
		char c = word->text[i];

		if ((c < first || c > last) && c != extra)
			return false;
	}
	return word->len > 0;
}

static int parse_seq(const struct word *word, uint64_t *ret_seq)
{
	uint64_t seq = 0;

	if (!is_made_of(word, '0', '9', '0'))
		return -1;
	for (size_t i = 0; i < word->len; i++) {
		unsigned digit = (unsigned)(word->text[i] - '0');

		if (seq > (UINT64_MAX - digit) / 10)
			return -1;
		seq = seq * 10 + digit;
	}
	*ret_seq = seq;
	return 0;
}

/* The arguments in front of the pairs: KIND, or EVENT seq type. Returns how many there are, -1 where they
 * are wrong. */
static int parse_head(struct line *line, const struct words *words, struct error *error)
{
	if (!is_argument(words, 0) || !is_made_of(&words->list[0], 'A', 'Z', 'A'))
		return line_failed(error, "it does not begin with a kind");
	line->name = words->list[0].text;
	if (strcmp(line->name, "OK") == 0) {
		line->kind = LINE_OK;
		return 1;
	}
	if (strcmp(line->name, "EVENT") != 0) {
		line->kind = LINE_RECORD;
		return 1;
	}
	line->kind = LINE_EVENT;
	if (!is_argument(words, 1) || parse_seq(&words->list[1], &line->seq) < 0)
		return line_failed(error, "an event without a number");
	if (!is_argument(words, 2) || !is_made_of(&words->list[2], 'a', 'z', '-'))
		return line_failed(error, "an event without a type");
	line->name = words->list[2].text;
	return 3;
}

static bool begins_err(const char *text, size_t len)
{
	return len >= 3 && memcmp(text, "ERR", 3) == 0 &&
		(len == 3 || text[3] == ' ' || text[3] == '\r');
}

/* What METRICS answers is made by the rules of another format; a kind cannot begin so. */
static bool begins_metric(const char *text, size_t len)
{
	return (len >= 1 && text[0] == '#') || (len >= 4 && memcmp(text, "imd_", 4) == 0);
}

static int parse_metric(struct line *ret_line, struct words *words, const char *text, size_t len,
	struct error *error)
{
	if (text[len - 1] == '\r')
		len--;
	if (check_control(text, len, error) < 0)
		return -1;
	ret_line->kind = LINE_METRIC;
	ret_line->name = "METRIC";
	ret_line->text = words_hold(words, text, len);
	return 0;
}

int line_parse(struct line *ret_line, struct words *words, const char *text, size_t len,
	struct error *error)
{
	int head;

	*ret_line = (struct line){.text = "", .words = words};
	if (begins_err(text, len))
		return parse_err(ret_line, words, text, len, error);
	if (begins_metric(text, len))
		return parse_metric(ret_line, words, text, len, error);
	if (words_split(words, text, len, LIMIT_LINE_WORDS, error) < 0)
		return -1;
	head = parse_head(ret_line, words, error);
	if (head < 0)
		return -1;
	for (size_t i = (size_t)head; i < words->count; i++) {
		if (words->list[i].key == NULL)
			return line_failed(error, "a word that is not key=value");
	}
	return 0;
}

const char *line_get(const struct line *line, const char *key)
{
	return words_option(line->words, key);
}
