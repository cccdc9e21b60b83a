#include "event.h"

#include <stdio.h>
#include <string.h>

#include "columns.h"
#include "json.h"
#include "text.h"

const char *event_verb(const struct line *event)
{
	const char *hyphen = strchr(event->name, '-');

	return hyphen != NULL ? hyphen + 1 : event->name;
}

bool event_is_of(const struct line *event, const char *subject)
{
	size_t len = strlen(subject);

	return strncmp(event->name, subject, len) == 0 && event->name[len] == '-';
}

static void add_field(struct buf *buf, const char *before, const char *value)
{
	if (value == NULL || value[0] == '\0')
		return;
	buf_add_str(buf, before);
	text_add_safe(buf, value);
}

static void add_coloured(struct buf *buf, const char *before, const char *word)
{
	const char *colour = colour_wanted() && word != NULL ? state_colour(word) : NULL;

	if (colour == NULL) {
		add_field(buf, before, word);
		return;
	}
	buf_add_str(buf, before);
	buf_add_str(buf, colour);
	text_add_safe(buf, word);
	buf_add_str(buf, COLOUR_END);
}

/* What the plan says that a task does; tasks stand in it in the order of their numbers. */
static const char *planned_action(const struct table *plan, const char *task)
{
	int64_t row;
	const char *id;

	if (plan == NULL || task == NULL || !text_is_number(task, &row))
		return NULL;
	id = table_cell(plan, (size_t)row, PLAN_ID);
	return id != NULL && strcmp(id, task) == 0 ? table_cell(plan, (size_t)row, PLAN_ACTION) : NULL;
}

/* "task 3 failed, attempt 2: " */
static void add_task_head(struct buf *buf, const struct line *line, const char *task,
	const char *state, const char *attempt, const char *usual_graph)
{
	const char *graph = line_get(line, "graph");

	if (graph == NULL || usual_graph == NULL || strcmp(graph, usual_graph) != 0)
		add_field(buf, " graph ", graph);
	add_field(buf, " task ", task);
	add_coloured(buf, " ", state);
	if (attempt != NULL && strcmp(attempt, "1") != 0)
		add_field(buf, ", attempt ", attempt);
}

/* "task 3 failed, attempt 2: start_node <id>: <error>" */
static void add_task(struct buf *buf, const struct line *event, const struct table *plan,
	const char *usual_graph)
{
	const char *task = line_get(event, "task");
	const char *action = planned_action(plan, task);
	struct buf made = BUF_INIT;

	add_task_head(buf, event, task, event_verb(event), line_get(event, "attempt"), usual_graph);
	if (action == NULL) {
		action_format(&made, event);
		buf_add_char(&made, '\0');
		action = made.data;
	}
	add_field(buf, ": ", action);
	buf_fini(&made);
}

/* Behind the state of a graph: who or what brought it there. */
static void add_causes(struct buf *buf, const struct line *graph)
{
	add_field(buf, " by ", line_get(graph, "successor"));
	add_field(buf, " by ", line_get(graph, "cancelled-by"));
}

static void add_graph(struct buf *buf, const struct line *event)
{
	add_field(buf, " graph ", line_get(event, "graph"));
	add_coloured(buf, " ", event_verb(event));
	add_causes(buf, event);
	add_field(buf, ", revision ", line_get(event, "revision"));
	add_field(buf, ", tasks ", line_get(event, "tasks"));
	add_field(buf, ", reason ", line_get(event, "reason"));
	add_field(buf, ", user ", line_get(event, "user"));
}

static void add_node(struct buf *buf, const struct line *event)
{
	const char *id = line_get(event, "node");

	add_field(buf, " node ", id != NULL ? id : line_get(event, "id"));
	add_field(buf, " slot ", line_get(event, "slot"));
	add_field(buf, " version ", line_get(event, "version"));
	add_coloured(buf, " ", line_get(event, "state"));
}

/* Something of a type that this imctl does not know yet. */
static void add_unknown(struct buf *buf, const struct line *event)
{
	add_field(buf, " ", event->name);
	for (size_t i = 0; i < event->words->count; i++) {
		const struct word *word = &event->words->list[i];

		if (word->key == NULL || strcmp(word->key, "at") == 0 || strcmp(word->key, "error") == 0)
			continue;
		add_field(buf, " ", word->key);
		add_field(buf, " ", word->text);
	}
}

static void print_line(struct buf *line, const struct line *from)
{
	add_field(line, ": ", line_get(from, "error"));
	buf_add_char(line, '\n');
	fwrite(line->data, 1, line->len, stdout);
}

static void add_group(struct buf *buf, const struct ctl *ctl, const struct line *line)
{
	if (ctl_any_group(ctl))
		add_field(buf, " group ", line_get(line, "group"));
}

static void add_time(struct buf *buf, const char *stamp)
{
	char time_text[LOCAL_TIME_SIZE];

	if (stamp == NULL || local_time_of_stamp(stamp, time_text) < 0)
		local_time_now(time_text);
	buf_add_str(buf, time_text);
}

void event_print(const struct ctl *ctl, const struct line *event, const struct table *plan,
	const char *usual_graph)
{
	const char *at = line_get(event, "at");
	struct buf line = BUF_INIT;

	if (ctl->json) {
		json_print_line(event);
		return;
	}
	add_time(&line, at != NULL ? at : line_get(event, "created"));
	add_group(&line, ctl, event);
	if (event_is_of(event, "task"))
		add_task(&line, event, plan, usual_graph);
	else if (event_is_of(event, "graph"))
		add_graph(&line, event);
	else if (event_is_of(event, "node"))
		add_node(&line, event);
	else
		add_unknown(&line, event);
	print_line(&line, event);
	buf_fini(&line);
}

void graph_end_print(const struct ctl *ctl, const struct line *graph)
{
	struct buf line = BUF_INIT;

	add_time(&line, line_get(graph, "finished"));
	add_group(&line, ctl, graph);
	add_field(&line, " graph ", line_get(graph, "id"));
	add_coloured(&line, " ", line_get(graph, "state"));
	add_causes(&line, graph);
	print_line(&line, graph);
	buf_fini(&line);
}

static void add_task_change(struct buf *buf, const struct ctl *ctl, const struct line *task,
	const char *state, const char *attempt, const char *usual_graph)
{
	struct buf made = BUF_INIT;

	add_group(buf, ctl, task);
	add_task_head(buf, task, line_get(task, "id"), state, attempt, usual_graph);
	action_format(&made, task);
	buf_add_char(&made, '\0');
	add_field(buf, ": ", made.data);
	buf_fini(&made);
}

/* The record tells the latest attempt and why the one before failed; this is about the first. */
void task_start_print(const struct ctl *ctl, const struct line *task, const char *usual_graph)
{
	struct buf line = BUF_INIT;

	add_time(&line, line_get(task, "started"));
	add_task_change(&line, ctl, task, "started", NULL, usual_graph);
	buf_add_char(&line, '\n');
	fwrite(line.data, 1, line.len, stdout);
	buf_fini(&line);
}

void task_end_print(const struct ctl *ctl, const struct line *task, const char *usual_graph)
{
	struct buf line = BUF_INIT;

	add_time(&line, line_get(task, "finished"));
	add_task_change(&line, ctl, task, line_get(task, "state"), line_get(task, "attempt"),
		usual_graph);
	print_line(&line, task);
	buf_fini(&line);
}

static void add_task_record(struct buf *buf, const struct line *task)
{
	struct buf made = BUF_INIT;

	add_field(buf, "task ", line_get(task, "id"));
	add_coloured(buf, " ", line_get(task, "state"));
	buf_add_char(&made, ' ');
	prereqs_format(&made, line_get(task, "prereqs"));
	buf_add_str(&made, ": ");
	action_format(&made, task);
	buf_add_char(&made, '\0');
	text_add_safe(buf, made.data);
	buf_fini(&made);
}

void record_line_print(const struct ctl *ctl, const struct line *record)
{
	struct buf line = BUF_INIT;

	if (ctl->json) {
		json_print_line(record);
		return;
	}
	if (strcmp(record->name, "TASK") == 0) {
		add_task_record(&line, record);
	} else if (strcmp(record->name, "NODE") == 0) {
		add_field(&line, "node ", line_get(record, "id"));
		add_field(&line, " slot ", line_get(record, "slot"));
		add_field(&line, " version ", line_get(record, "version"));
		add_coloured(&line, " ", line_get(record, "state"));
	} else if (strcmp(record->name, "GRAPH") == 0) {
		add_field(&line, "graph ", line_get(record, "id"));
		add_coloured(&line, " ", line_get(record, "state"));
		add_causes(&line, record);
		add_field(&line, ", revision ", line_get(record, "revision"));
		add_field(&line, ", tasks ", line_get(record, "tasks"));
		add_field(&line, ", reason ", line_get(record, "reason"));
		add_field(&line, ", user ", line_get(record, "user"));
	} else {
		add_field(&line, "", record->name);
	}
	add_group(&line, ctl, record);
	print_line(&line, record);
	buf_fini(&line);
}
