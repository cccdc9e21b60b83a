/* Commands that are like no other: a picture, metrics, raw requests. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "dot.h"
#include "json.h"
#include "out.h"
#include "request.h"
#include "proto/limits.h"
#include "proto/mem.h"
#include "spool.h"
#include "text.h"

/* A text of whole lines that a reply is made into; as JSON it is the one member of an object. */
struct text_view {
	const struct ctl *ctl;
	const char *member;
	struct spool spool;
	bool opened;
};

static void open_member(struct text_view *view)
{
	if (view->ctl->json && !view->opened)
		buf_addf(&view->spool.text, "{\"%s\":\"", view->member);
	view->opened = true;
}

/* Appends lines of the text, and releases them. */
static int add_lines(struct text_view *view, struct buf *lines)
{
	open_member(view);
	buf_add_char(lines, '\0');
	if (view->ctl->json)
		json_add_part(&view->spool.text, lines->data);
	else
		buf_add_str(&view->spool.text, lines->data);
	buf_fini(lines);
	return spool_settle(&view->spool);
}

static int add_to_dot(void *arg, const struct line *record)
{
	struct buf lines = BUF_INIT;

	if (strcmp(record->name, "GRAPH") == 0)
		dot_begin(&lines, record);
	else if (strcmp(record->name, "TASK") == 0)
		dot_task(&lines, record);
	return add_lines(arg, &lines);
}

static int add_metric(void *arg, const struct line *line)
{
	struct text_view *view = arg;
	struct buf lines = BUF_INIT;

	if (view->ctl->json)
		buf_add_str(&lines, line->text);
	else
		text_add_safe(&lines, line->text);
	buf_add_char(&lines, '\n');
	return add_lines(view, &lines);
}

/* Makes the request. Nothing is printed of a text that did not come whole, unless it is very long. */
static int show_text(struct ctl *ctl, enum verb verb, struct text_view *view, const struct reply_handler *handler,
	void (*end)(struct buf *buf))
{
	const struct line *ok = NULL;
	struct buf lines = BUF_INIT;
	int status = request_run(ctl, verb, handler, &ok);

	if (status == STATUS_OK && end != NULL)
		end(&lines);
	if (status == STATUS_OK)
		status = add_lines(view, &lines);
	if (status == STATUS_OK && ctl->json)
		buf_add_str(&view->spool.text, "\"}\n");
	if (status == STATUS_OK)
		status = spool_end(&view->spool);
	spool_cut(&view->spool);
	return status;
}

int command_graphs_dot(struct ctl *ctl)
{
	struct text_view view = {.ctl = ctl, .member = "dot"};
	struct reply_handler handler = {.record = add_to_dot, .arg = &view, .records_max = 1 + LIMIT_TASKS};

	return show_text(ctl, VERB_graph, &view, &handler, dot_end);
}

int command_metrics(struct ctl *ctl)
{
	struct text_view view = {.ctl = ctl, .member = "metrics"};
	struct reply_handler handler = {.metric = add_metric, .arg = &view};

	return show_text(ctl, VERB_metrics, &view, &handler, NULL);
}

/* Prints a line as it came. */
static void print_raw(const struct ctl *ctl, const struct line *line)
{
	struct buf text = BUF_INIT;

	if (ctl->json) {
		json_print_line(line);
		return;
	}
	client_add_text(&ctl->client, &text);
	buf_add_char(&text, '\n');
	fwrite(text.data, 1, text.len, stdout);
	buf_fini(&text);
}

/* Sends one line and prints what comes, up to the end of its reply; *ret_answer is the exit status
 * that this stands for. */
static int raw_request(struct ctl *ctl, const char *request, int *ret_answer)
{
	struct buf line = BUF_INIT;
	int status;

	buf_addf(&line, "%s\n", request);
	status = client_send(&ctl->client, &line);
	buf_fini(&line);
	while (status == STATUS_OK) {
		const struct line *answer = NULL;

		status = client_read(&ctl->client, &answer);
		if (status != STATUS_OK)
			break;
		print_raw(ctl, answer);
		status = out_flush();
		if (answer->kind == LINE_OK || answer->kind == LINE_ERR) {
			*ret_answer = answer->kind == LINE_OK ? STATUS_OK : client_status_of(answer);
			break;
		}
	}
	return status;
}

/* The daemon ignores an empty line: no reply would come. */
static bool is_empty(const char *line)
{
	return line[strspn(line, " \t\r")] == '\0';
}

static int check_raw_lines(const struct ctl *ctl)
{
	for (size_t i = 0; i < ctl->arg_count; i++) {
		if (strchr(ctl->args[i], '\n') != NULL || is_empty(ctl->args[i])) {
			say("raw takes each argument as a line: it must not be empty or have several");
			return -1;
		}
	}
	return 0;
}

int command_raw(struct ctl *ctl)
{
	int answer = STATUS_OK;
	int status;

	if (check_raw_lines(ctl) < 0)
		return STATUS_USAGE;
	status = ctl_connect(ctl);
	for (size_t i = 0; i < ctl->arg_count && status == STATUS_OK; i++)
		status = raw_request(ctl, ctl->args[i], &answer);
	return status != STATUS_OK ? status : answer;
}
