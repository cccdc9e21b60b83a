#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

#include "proto/names.h"

enum { RUN_MIN = 8 };

static void add_value(struct buf *buf, const char *label, const char *value)
{
	if (value != NULL)
		buf_addf(buf, " %s%s", label, value);
}

void action_format(struct buf *buf, const struct line *line)
{
	const char *action = line_get(line, "action");

	if (action == NULL)
		return;
	buf_add_str(buf, action);
	add_value(buf, "", line_get(line, "description"));
	add_value(buf, "", line_get(line, "node"));
	if (task_action_parse(action) != ACTION_START_NODE)
		return;
	add_value(buf, "slot ", line_get(line, "slot"));
	add_value(buf, "version ", line_get(line, "version"));
}

/* Reads the number that *at begins with, and moves *at to what follows its comma. False if there is
 * none. */
static bool next_number(const char **at, uint64_t *ret_number)
{
	char *end;

	if (**at < '0' || **at > '9')
		return false;
	*ret_number = strtoull(*at, &end, 10);
	*at = *end == ',' ? end + 1 : end;
	return true;
}

struct run {
	uint64_t first, second, last;
	size_t len;
	const char *end; /* what follows it */
};

/* How many numbers from text on lie at one distance from each other. There may be millions, so they are
 * read where they are. */
static struct run run_at(const char *text)
{
	struct run run = {.end = text};
	const char *at = text;
	uint64_t number;

	while (next_number(&at, &number)) {
		if (run.len >= 2 && number - run.last != run.second - run.first)
			break;
		if (run.len == 0)
			run.first = number;
		if (run.len == 1)
			run.second = number;
		run.last = number;
		run.len++;
		run.end = at;
	}
	return run;
}

void prereqs_format(struct buf *buf, const char *prereqs)
{
	const char *at = prereqs != NULL ? prereqs : "";
	const char *blank = "";
	uint64_t number;

	buf_add_char(buf, '[');
	for (;;) {
		struct run run = run_at(at);

		if (run.len >= RUN_MIN) {
			buf_addf(buf, "%s%" PRIu64 " %" PRIu64 " .. %" PRIu64, blank, run.first,
				run.second, run.last);
			at = run.end;
		} else if (next_number(&at, &number)) {
			buf_addf(buf, "%s%" PRIu64, blank, number);
		} else {
			break;
		}
		blank = " ";
	}
	buf_add_char(buf, ']');
}
