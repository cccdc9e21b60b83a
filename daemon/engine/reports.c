#include "reports.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/mem.h"

void reports_fini(struct reports *reports)
{
	while (reports->count > 0)
		reports_pop(reports);
	free(reports->ring);
	*reports = (struct reports){0};
}

static void reports_grow(struct reports *reports)
{
	size_t capacity = reports->capacity ? reports->capacity * 2 : 16;
	struct report *ring = mem_alloc(capacity * sizeof *ring);

	for (size_t i = 0; i < reports->count; i++)
		ring[i] = reports->ring[(reports->head + i) & (reports->capacity - 1)];
	free(reports->ring);
	reports->ring = ring;
	reports->capacity = capacity;
	reports->head = 0;
}

/* A copy, cut to the length of an error: a driver may report more than the state file takes. */
static char *copy_text(const char *text)
{
	size_t len = strnlen(text, LIMIT_ERROR_TEXT - 1);
	char *copy = mem_alloc(len + 1);

	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

void reports_push(struct reports *reports, const struct report *report, const char *text)
{
	struct report *place;

	if (reports->count == reports->capacity)
		reports_grow(reports);
	place = &reports->ring[(reports->head + reports->count++) & (reports->capacity - 1)];
	*place = *report;
	place->text = text ? copy_text(text) : NULL;
}

bool reports_first(const struct reports *reports, struct core_event *ret_event)
{
	const struct report *report;

	if (reports->count == 0)
		return false;
	report = &reports->ring[reports->head];
	*ret_event = (struct core_event){.kind = report->kind, .id = report->id,
		.text = report->text};
	switch (report->kind) {
	case CORE_DONE:
		ret_event->done.op = report->op;
		ret_event->done.result = report->result;
		break;
	case CORE_HEALTH:
		ret_event->healthy = report->healthy;
		break;
	case CORE_INSPECTED:
		ret_event->found = report->found;
		break;
	default:
		assert(report->kind == CORE_EXITED);
	}
	return true;
}

const struct id *reports_id(const struct reports *reports, size_t ahead)
{
	if (ahead >= reports->count)
		return NULL;
	return &reports->ring[(reports->head + ahead) & (reports->capacity - 1)].id;
}

void reports_pop(struct reports *reports)
{
	free(reports->ring[reports->head].text);
	reports->head = (reports->head + 1) & (reports->capacity - 1);
	reports->count--;
}
