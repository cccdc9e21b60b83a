#include "notes.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "proto/mem.h"

/* An event with all that its line says, copied: graphs and nodes may be gone when it is written. */
struct note {
	STAILQ_ENTRY(note) entry;
	uint64_t seq;
	const char *event;
	enum log_level level;
	char group[LIMIT_GROUP_NAME + 1];
	char graph[ID_TEXT_LEN + 1];     /* empty: none, as with the texts below */
	char successor[ID_TEXT_LEN + 1];
	char node[ID_TEXT_LEN + 1];
	const char *reason;              /* of a graph, NULL: none */
	struct origin user;              /* who did what the line tells, nobody: imd */
	char *error;                     /* owned, NULL: none */
	uint64_t revision, tasks, took_ms;    /* of a graph; */
	uint64_t slot, version;          /* of a node */
};

static const struct id no_id;

/* ---- which events are of note -------------------------------------------------------------- */

static const struct {
	const char *event; /* NULL: it is not of note */
	enum log_level level;
} graph_notes[EVENT_TYPE_COUNT] = {
	[EVENT_GRAPH_STARTED] = {"graph-started", LEVEL_DEBUG},
	[EVENT_GRAPH_SUCCEEDED] = {"graph-succeeded", LEVEL_INFO},
	[EVENT_GRAPH_FAILED] = {"graph-failed", LEVEL_WARNING},
	[EVENT_GRAPH_SUPERSEDED] = {"graph-superseded", LEVEL_INFO},
	[EVENT_GRAPH_CANCELLED] = {"graph-cancelled", LEVEL_NOTICE},
};

/* What the core counts as deaths and as replacements. One that could not be started has not died: its
 * graph has failed, and says so. */
static bool tells_death(const struct notice *notice)
{
	return notice->type == EVENT_NODE_STATE && notice->node->state == NODE_FAILED &&
		notice->node->died;
}

static bool tells_replacement(const struct notice *notice)
{
	return notice->type == EVENT_TASK_SUCCEEDED && notice->graph->tasks[notice->task].replaces;
}

/* ---- notes --------------------------------------------------------------------------------- */

static void set_id(char *text, const struct id *id)
{
	if (id_equal(id, &no_id))
		return;
	id_format(id, text);
	text[ID_TEXT_LEN] = '\0';
}

static struct note *note_add(struct notes *notes, uint64_t seq, const struct notice *notice,
	const char *event, enum log_level level)
{
	struct note *note = mem_zalloc(1, sizeof *note);

	note->seq = seq;
	note->event = event;
	note->level = level;
	memcpy(note->group, notice->group->name, sizeof note->group);
	if (notice->graph != NULL)
		set_id(note->graph, &notice->graph->id);
	STAILQ_INSERT_TAIL(notes, note, entry);
	return note;
}

static void note_graph(struct note *note, const struct notice *notice)
{
	const struct graph *graph = notice->graph;

	set_id(note->successor, &graph->successor);
	note->reason = reason_name(graph->reason);
	if (notice->type == EVENT_GRAPH_STARTED)
		note->user = graph->origin;
	else if (notice->type == EVENT_GRAPH_CANCELLED)
		note->user = graph->canceller;
	note->error = graph->error != NULL ? mem_strdup(graph->error) : NULL;
	note->revision = graph->revision;
	note->tasks = graph->task_count;
	if (notice->at_us > graph->created_us)
		note->took_ms = (uint64_t)(notice->at_us - graph->created_us) / 1000;
}

void notes_take(struct notes *notes, uint64_t seq, const struct notice *notice)
{
	struct note *note;

	if (graph_notes[notice->type].event != NULL) {
		note = note_add(notes, seq, notice, graph_notes[notice->type].event,
			graph_notes[notice->type].level);
		note_graph(note, notice);
	} else if (tells_death(notice)) {
		note = note_add(notes, seq, notice, "node-died", LEVEL_WARNING);
		set_id(note->node, &notice->node->id);
		note->slot = notice->node->slot;
		note->version = notice->node->version;
		note->error = notice->node->error != NULL ? mem_strdup(notice->node->error) : NULL;
	} else if (tells_replacement(notice)) {
		const struct task *task = &notice->graph->tasks[notice->task];

		note = note_add(notes, seq, notice, "node-replaced", LEVEL_INFO);
		set_id(note->node, &task->node);
		note->slot = task->slot;
		note->version = task->version;
	}
}

static const char *text_or_null(const char *text)
{
	return text[0] != '\0' ? text : NULL;
}

static void note_log(const struct note *note)
{
	if (note->node[0] != '\0') {
		log_event(note->level, note->event, LOG_STR("group", note->group),
			LOG_STR("node", note->node), LOG_U64("slot", note->slot),
			LOG_U64("version", note->version), LOG_STR("graph", text_or_null(note->graph)),
			LOG_STR("error", note->error));
	} else {
		log_event(note->level, note->event, LOG_STR("group", note->group),
			LOG_STR("graph", note->graph), LOG_U64("revision", note->revision),
			LOG_STR("reason", note->reason),
			LOG_STR("user", text_or_null(note->user.user)), LOG_U64("tasks", note->tasks),
			LOG_U64("took-ms", note->took_ms),
			LOG_STR("successor", text_or_null(note->successor)),
			LOG_STR("error", note->error));
	}
}

static void note_free(struct note *note)
{
	free(note->error);
	free(note);
}

void notes_publish(struct notes *notes, uint64_t seq)
{
	struct note *note;

	while ((note = STAILQ_FIRST(notes)) != NULL && note->seq <= seq) {
		STAILQ_REMOVE_HEAD(notes, entry);
		note_log(note);
		note_free(note);
	}
}

void notes_retract(struct notes *notes, uint64_t seq)
{
	struct notes kept = STAILQ_HEAD_INITIALIZER(kept);
	struct note *note;

	while ((note = STAILQ_FIRST(notes)) != NULL) {
		STAILQ_REMOVE_HEAD(notes, entry);
		if (note->seq <= seq)
			STAILQ_INSERT_TAIL(&kept, note, entry);
		else
			note_free(note);
	}
	STAILQ_CONCAT(notes, &kept);
}

void notes_init(struct notes *notes)
{
	STAILQ_INIT(notes);
}

void notes_fini(struct notes *notes)
{
	notes_retract(notes, 0);
}
