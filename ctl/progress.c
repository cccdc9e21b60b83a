#include "progress.h"

#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "proto/mem.h"
#include "proto/names.h"

#include "event.h"
#include "json.h"
#include "keep.h"
#include "text.h"

/* What was shown, and by what: an event tells news, unless a record was shown that told it before. */
struct task_progress {
	bool started; /* the beginning of the first attempt was shown */
	bool ended;
	bool start_told; /* by a record */
	bool end_told;
};

void progress_fini(struct progress *progress)
{
	keep_give(progress->task_count * sizeof *progress->tasks);
	free(progress->tasks);
	*progress = (struct progress){.tasks = NULL};
}

/* A number that is no number, or none that a task can have, is -1. */
static int64_t number_of(const struct line *line, const char *key)
{
	const char *text = line_get(line, key);
	int64_t number;

	return text != NULL && text_is_number(text, &number) ? number : -1;
}

static struct task_progress *task_of(struct progress *progress, int64_t number)
{
	size_t count = progress->task_count;

	if (number < 0 || number >= LIMIT_TASKS)
		return NULL;
	if ((size_t)number >= count) {
		count = (size_t)number + 1 > count * 2 ? (size_t)number + 1 : count * 2;
		if (!keep_take((count - progress->task_count) * sizeof *progress->tasks))
			return NULL;
		progress->tasks = mem_realloc(progress->tasks, count, sizeof *progress->tasks);
		memset(progress->tasks + progress->task_count, 0,
			(count - progress->task_count) * sizeof *progress->tasks);
		progress->task_count = count;
	}
	return &progress->tasks[number];
}

static bool is_end(const char *state)
{
	int parsed = state != NULL ? task_state_parse(state) : -1;

	return parsed == TASK_SUCCEEDED || parsed == TASK_FAILED || parsed == TASK_CANCELLED;
}

static bool advance_task(struct task_progress *task, const struct line *event)
{
	bool starts = strcmp(event->name, event_type_name(EVENT_TASK_STARTED)) == 0;

	if (task->end_told || (starts && task->start_told && number_of(event, "attempt") <= 1))
		return false;
	task->started = task->started || starts;
	task->ended = task->ended || is_end(event_verb(event));
	return true;
}

bool progress_advance(struct progress *progress, const struct line *event)
{
	if (event_is_of(event, "task")) {
		struct task_progress *task = task_of(progress, number_of(event, "task"));

		return task == NULL || advance_task(task, event);
	}
	if (strcmp(event->name, event_type_name(EVENT_GRAPH_STARTED)) == 0)
		return true;
	if (progress->end_told)
		return false;
	progress->ended = true;
	return true;
}

bool progress_end(struct progress *progress)
{
	bool news = !progress->ended;

	progress->ended = true;
	progress->end_told = progress->end_told || news;
	return news;
}

void progress_catch_up(struct progress *progress, const struct ctl *ctl, const struct line *task,
	const char *usual_graph)
{
	struct task_progress *shown = task_of(progress, number_of(task, "id"));
	bool begins, ends;

	if (shown == NULL)
		return;
	begins = !shown->started && !shown->ended && line_get(task, "started") != NULL;
	ends = !shown->ended && is_end(line_get(task, "state"));
	shown->started = shown->started || begins;
	shown->start_told = shown->start_told || begins;
	shown->ended = shown->ended || ends;
	shown->end_told = shown->end_told || ends;
	if (ctl->json) {
		if (begins || ends)
			json_print_line(task);
		return;
	}
	if (begins)
		task_start_print(ctl, task, usual_graph);
	if (ends)
		task_end_print(ctl, task, usual_graph);
}
