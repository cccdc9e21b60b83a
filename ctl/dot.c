#include "dot.h"

#include <string.h>

#include "text.h"

enum { SHORT_ID_LEN = 8 };

static const struct {
	const char *state;
	const char *fill;
} fills[] = {
	{"waiting", "white"},
	{"running", "lightyellow"},
	{"failed", "lightpink"},
	{"succeeded", "palegreen"},
	{"cancelled", "lightgrey"},
};

static const char *fill_of(const char *state)
{
	for (size_t i = 0; i < sizeof fills / sizeof fills[0]; i++) {
		if (state != NULL && strcmp(fills[i].state, state) == 0)
			return fills[i].fill;
	}
	return "white";
}

/* The first max bytes of a text within the quotes of a string of dot. It is made safe first, so the backslashes
 * of that are quoted and dot shows them. */
static void add_text(struct buf *buf, const char *text, size_t max)
{
	struct buf safe = BUF_INIT;

	if (text == NULL)
		return;
	text_add_safe_part(&safe, text, max);
	for (size_t i = 0; i < safe.len; i++) {
		if (safe.data[i] == '"' || safe.data[i] == '\\')
			buf_add_char(buf, '\\');
		buf_add_char(buf, safe.data[i]);
	}
	buf_fini(&safe);
}

/* A line of the label, where there is something to say. */
static void add_label_line(struct buf *buf, const char *before, const char *text, size_t max)
{
	if (text == NULL)
		return;
	buf_add_str(buf, before);
	add_text(buf, text, max);
}

void dot_begin(struct buf *buf, const struct line *graph)
{
	buf_add_str(buf, "digraph \"");
	add_text(buf, line_get(graph, "id"), SIZE_MAX);
	buf_add_str(buf, "\" {\n\trankdir=LR;\n\tnode [shape=box, style=\"filled,rounded\", "
		"fontname=\"sans-serif\"];\n\tlabel=\"");
	add_label_line(buf, "group ", line_get(graph, "group"), SIZE_MAX);
	add_label_line(buf, ", revision ", line_get(graph, "revision"), SIZE_MAX);
	add_label_line(buf, ", ", line_get(graph, "state"), SIZE_MAX);
	buf_add_str(buf, "\";\n");
}

static void add_edges(struct buf *buf, const char *prereqs, const char *id)
{
	while (prereqs != NULL && *prereqs != '\0') {
		size_t len = strcspn(prereqs, ",");

		buf_add_str(buf, "\t\"");
		add_text(buf, prereqs, len);
		buf_add_str(buf, "\" -> \"");
		add_text(buf, id, SIZE_MAX);
		buf_add_str(buf, "\";\n");
		prereqs += len + (prereqs[len] == ',' ? 1 : 0);
	}
}

void dot_task(struct buf *buf, const struct line *task)
{
	const char *id = line_get(task, "id");

	if (id == NULL)
		return;
	buf_add_str(buf, "\t\"");
	add_text(buf, id, SIZE_MAX);
	add_label_line(buf, "\" [label=\"", id, SIZE_MAX);
	add_label_line(buf, "\\n", line_get(task, "action"), SIZE_MAX);
	add_label_line(buf, "\\n", line_get(task, "description"), SIZE_MAX);
	add_label_line(buf, "\\n", line_get(task, "node"), SHORT_ID_LEN);
	add_label_line(buf, "\\nversion ", line_get(task, "version"), SIZE_MAX);
	buf_addf(buf, "\", fillcolor=%s];\n", fill_of(line_get(task, "state")));
	add_edges(buf, line_get(task, "prereqs"), id);
}

void dot_end(struct buf *buf)
{
	buf_add_str(buf, "}\n");
}
