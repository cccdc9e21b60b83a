#include "plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mem.h"

#include "columns.h"
#include "json.h"
#include "out.h"
#include "text.h"

/* What comes before the tasks as JSON. */
static void set_opening(struct plan *plan, const struct line *graph)
{
	struct buf *opening = &plan->tasks.opening;

	opening->len = 0;
	buf_add_str(opening, "{\"type\":\"plan\",\"graph\":");
	if (graph != NULL)
		json_add_keys(opening, graph);
	else
		buf_add_str(opening, "null");
	buf_add_str(opening, ",\"tasks\":[");
}

void plan_init(struct plan *plan, const struct ctl *ctl)
{
	*plan = (struct plan){.ctl = ctl};
	listing_init(&plan->tasks, ctl, plan_columns, PLAN_COLUMN_COUNT);
	plan->tasks.table.title = ctl->legend ? "TASK GRAPH SPEC:" : NULL;
	plan->tasks.table.remembers = true;
	set_opening(plan, NULL);
}

void plan_fini(struct plan *plan)
{
	listing_fini(&plan->tasks);
	free(plan->id);
	free(plan->min_available);
	free(plan->max_live);
}

static void take_number(const struct line *line, const char *key, uint64_t *ret_value)
{
	const char *text = line_get(line, key);
	int64_t value;

	if (text != NULL && text_is_number(text, &value))
		*ret_value = (uint64_t)value;
}

static void take_text(const struct line *line, const char *key, char **ret_text)
{
	const char *text = line_get(line, key);

	if (text == NULL)
		return;
	free(*ret_text);
	*ret_text = mem_strdup(text);
}

int plan_add(void *arg, const struct line *record)
{
	struct plan *plan = arg;

	if (strcmp(record->name, "TASK") == 0)
		return plan->ctl->quiet ? STATUS_OK : listing_add(&plan->tasks, record);
	if (strcmp(record->name, "GRAPH") != 0)
		return STATUS_OK;
	take_text(record, "id", &plan->id);
	take_number(record, "revision", &plan->revision);
	take_number(record, "tasks", &plan->task_count);
	if (plan->ctl->json && !plan->seen)
		set_opening(plan, record);
	plan->seen = true;
	return STATUS_OK;
}

void plan_end(struct plan *plan, const struct line *ok)
{
	take_text(ok, "graph", &plan->id);
	take_number(ok, "revision", &plan->revision);
	take_number(ok, "tasks", &plan->task_count);
	take_text(ok, "min-available", &plan->min_available);
	take_text(ok, "max-live", &plan->max_live);
}

static int end_json(struct plan *plan)
{
	struct buf closing = BUF_INIT;
	int status;

	buf_add_char(&closing, ']');
	if (plan->min_available != NULL)
		json_add_member(&closing, "min-available", plan->min_available);
	if (plan->max_live != NULL)
		json_add_member(&closing, "max-live", plan->max_live);
	buf_add(&closing, "}\n", sizeof "}\n");
	status = listing_end(&plan->tasks, closing.data);
	buf_fini(&closing);
	return status;
}

static void print_summary(const struct plan *plan)
{
	struct buf line = BUF_INIT;

	buf_add_str(&line, "graph ");
	text_add_safe(&line, plan->id != NULL ? plan->id : "?");
	buf_addf(&line, ", revision %" PRIu64 ", tasks %" PRIu64, plan->revision, plan->task_count);
	if (plan->min_available != NULL && plan->max_live != NULL) {
		buf_add_str(&line, ": at least ");
		text_add_safe(&line, plan->min_available);
		buf_add_str(&line, " available, at most ");
		text_add_safe(&line, plan->max_live);
		buf_add_str(&line, " live");
	}
	buf_add_char(&line, '\n');
	fwrite(line.data, 1, line.len, stdout);
	buf_fini(&line);
}

void plan_cut(struct plan *plan)
{
	spool_cut(&plan->tasks.spool);
}

int plan_print(struct plan *plan)
{
	if (plan->ctl->quiet)
		return STATUS_OK;
	if (plan->ctl->json)
		return end_json(plan);
	table_end(&plan->tasks.table);
	print_summary(plan);
	if (plan->task_count == 0)
		puts("nothing to do");
	return out_check();
}
