#include "reports.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/mem.h"

void reports_fini(struct reports *reports)
{
	while (reports->count > 0)
		reports_pop(reports);
	free(reports->ring);
	reports->ring = NULL;
	reports->head = reports->count = reports->capacity = 0;
}

void reports_close(struct reports *reports)
{
	reports_fini(reports);
	reports->closed = true;
}

void reports_open(struct reports *reports)
{
	reports->closed = false;
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
	char *copy = mem_cache_realloc(NULL, len + 1);

	if (!copy)
		return NULL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

void reports_push(struct reports *reports, const struct report *report, const char *text)
{
	struct report *place;

	if (reports->closed)
		return;
	if (reports->count == reports->capacity)
		reports_grow(reports);
	place = &reports->ring[(reports->head + reports->count++) & (reports->capacity - 1)];
	*place = *report;
	place->text = text ? copy_text(text) : NULL;
	if (reports->wake)
		reports->wake(reports->arg);
}

/* ---- what the driver calls ----------------------------------------------------------------- */

static void on_done(void *arg, const struct id *id, enum node_op op, enum core_result result,
	const char *text)
{
	const struct report report = {.kind = CORE_DONE, .id = *id, .op = op, .result = result};

	reports_push(arg, &report, text);
}

static void on_health(void *arg, const struct id *id, bool healthy, const char *text)
{
	const struct report report = {.kind = CORE_HEALTH, .id = *id, .healthy = healthy};

	reports_push(arg, &report, text);
}

static void on_exited(void *arg, const struct id *id, const char *text)
{
	const struct report report = {.kind = CORE_EXITED, .id = *id};

	reports_push(arg, &report, text);
}

static void on_inspected(void *arg, const struct id *id, enum core_found found)
{
	const struct report report = {.kind = CORE_INSPECTED, .id = *id, .found = found};

	reports_push(arg, &report, NULL);
}

void reports_init(struct reports *reports, void (*wake)(void *arg), void *arg)
{
	*reports = (struct reports){.wake = wake, .arg = arg};
}

struct driver_reports reports_driver(struct reports *reports)
{
	return (struct driver_reports){on_done, on_health, on_exited, on_inspected, reports};
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
