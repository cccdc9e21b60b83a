#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

#include "proto/mem.h"
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

/* Reads the numbers of the list; what is not a number ends it. */
static uint64_t *numbers_of(const char *text, size_t *ret_count)
{
	size_t capacity = strlen(text) / 2 + 1;
	uint64_t *numbers = mem_alloc(capacity * sizeof *numbers);
	size_t count = 0;

	while (*text >= '0' && *text <= '9' && count < capacity) {
		char *end;

		numbers[count++] = strtoull(text, &end, 10);
		text = *end == ',' ? end + 1 : end;
	}
	*ret_count = count;
	return numbers;
}

/* How many numbers from the first on lie at one distance from each other. */
static size_t run_length(const uint64_t *numbers, size_t count)
{
	size_t len = 2;

	if (count < 2)
		return count;
	while (len < count && numbers[len] - numbers[len - 1] == numbers[1] - numbers[0])
		len++;
	return len;
}

void prereqs_format(struct buf *buf, const char *prereqs)
{
	size_t count;
	uint64_t *numbers = numbers_of(prereqs != NULL ? prereqs : "", &count);
	size_t len;

	buf_add_char(buf, '[');
	for (size_t at = 0; at < count; at += len) {
		const char *blank = at > 0 ? " " : "";

		len = run_length(numbers + at, count - at);
		if (len >= RUN_MIN) {
			buf_addf(buf, "%s%" PRIu64 " %" PRIu64 " .. %" PRIu64, blank, numbers[at],
				numbers[at + 1], numbers[at + len - 1]);
		} else {
			len = 1;
			buf_addf(buf, "%s%" PRIu64, blank, numbers[at]);
		}
	}
	buf_add_char(buf, ']');
	free(numbers);
}
