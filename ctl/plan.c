#include "plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mem.h"

#include "columns.h"
#include "json.h"
#include "text.h"

void plan_init(struct plan *plan, const struct ctl *ctl)
{
	*plan = (struct plan){.ctl = ctl};
	listing_init(&plan->tasks, ctl, plan_columns, PLAN_COLUMN_COUNT);
}

void plan_fini(struct plan *plan)
{
	listing_fini(&plan->tasks);
	json_decref(plan->graph);
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

void plan_add(void *arg, const struct line *record)
{
	struct plan *plan = arg;

	if (strcmp(record->name, "TASK") == 0) {
		listing_add(&plan->tasks, record);
		return;
	}
	if (strcmp(record->name, "GRAPH") != 0)
		return;
	take_text(record, "id", &plan->id);
	take_number(record, "revision", &plan->revision);
	take_number(record, "tasks", &plan->task_count);
	if (plan->ctl->json && plan->graph == NULL)
		plan->graph = json_of_keys(record);
}

void plan_end(struct plan *plan, const struct line *ok)
{
	take_text(ok, "graph", &plan->id);
	take_number(ok, "revision", &plan->revision);
	take_number(ok, "tasks", &plan->task_count);
	take_text(ok, "min-available", &plan->min_available);
	take_text(ok, "max-live", &plan->max_live);
}

static void print_json(const struct plan *plan)
{
	const struct buf *tasks = &plan->tasks.text;
	struct buf line = BUF_INIT;

	buf_add_str(&line, "{\"type\":\"plan\",\"graph\":");
	if (plan->graph != NULL)
		json_add(&line, plan->graph);
	else
		buf_add_str(&line, "null");
	buf_add_str(&line, ",\"tasks\":[");
	if (tasks->len > 0)
		buf_add(&line, tasks->data, tasks->len);
	buf_add_char(&line, ']');
	if (plan->min_available != NULL)
		json_add_member(&line, "min-available", plan->min_available);
	if (plan->max_live != NULL)
		json_add_member(&line, "max-live", plan->max_live);
	buf_add_str(&line, "}\n");
	fwrite(line.data, 1, line.len, stdout);
	buf_fini(&line);
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

void plan_print(const struct plan *plan)
{
	const struct ctl *ctl = plan->ctl;

	if (ctl->quiet)
		return;
	if (ctl->json) {
		print_json(plan);
		return;
	}
	if (ctl->legend)
		puts("TASK GRAPH SPEC:");
	table_print(&plan->tasks.table, ctl->legend);
	print_summary(plan);
	if (plan->task_count == 0)
		puts("nothing to do");
}
