/* What a commit writes, as rows: copied from the core when the commit begins, for by the time that they
 * are written the core has gone on. */
#ifndef IMD_STORE_ROWS_H
#define IMD_STORE_ROWS_H

#include "core/core.h"
#include "proto/buf.h"

/* A text, or bytes, in rows->texts. */
struct row_text {
	size_t at; /* 1 + where it begins; 0: there is none */
	size_t len;
};

enum row_kind {
	ROW_GROUP,
	ROW_SPEC,
	ROW_SPEC_GONE,  /* of spec: group and revision; that one and all before it */
	ROW_GRAPH,
	ROW_PLAN,
	ROW_GRAPH_GONE,
	ROW_TASK,
	ROW_NODE,
	ROW_NODE_GONE,  /* serial */
	ROW_KIND_COUNT,
};

struct row_group {
	uint32_t number;
	const char *name; /* the core's, as all names of groups here: it stays as long as the core does */
	struct id next_graph;
	uint64_t proven_revision;
};

struct row_spec {
	const char *group;
	struct spec spec; /* without its note */
	struct row_text note;
};

struct row_graph {
	uint64_t serial, revision;
	struct id id, successor;
	const char *group;
	enum graph_state state;
	enum reason reason;
	uint32_t tasks, min_available, max_live, failed_task, succeeded, failed, cancelled;
	int64_t created_us, started_us, dropped_us, finished_us;
	struct row_text error;
	size_t origin, canceller; /* for rows_origin */
};

struct row_plan {
	uint64_t graph;
	struct row_text tasks;
};

/* A run of graphs. */
struct row_graph_gone {
	uint64_t first, last; /* serials */
	bool tasks;           /* one of them has some */
};

struct row_task {
	uint64_t graph;
	uint32_t id;
	struct task task;
	struct row_text error;
};

struct row_node {
	uint64_t serial;
	const char *group;
	struct node node; /* without its error and its marker */
	struct row_text error;
	size_t marker;    /* for rows_origin */
};

struct row {
	enum row_kind kind;
	union {
		struct row_group group;
		struct row_spec spec;
		struct row_graph graph;
		struct row_plan plan;
		struct row_graph_gone graph_gone;
		struct row_task task;
		struct row_node node;
		uint64_t serial;
	};
};

struct rows {
	struct row *list;
	size_t count, capacity;
	struct buf texts;
	uint64_t event_seq;
	bool removes; /* there is something _GONE among them */
	size_t spec_gone, graph_gone; /* 1 + the place of the last such row, 0: there is none */
};

/* The numbers that the file gives to nodes: by the node's ref, 0 where it has none. */
struct node_serials {
	uint64_t *by_ref;
	uint32_t capacity;
	uint64_t last;
};

void rows_fini(struct rows *rows);
/* Forgets the rows. Much memory is given back, a little is kept. */
void rows_clear(struct rows *rows);
/* Copies what the changes name. */
void rows_take(struct rows *rows, struct node_serials *serials, const struct core *core,
	const struct change *changes, size_t count);

const char *rows_text(const struct rows *rows, const struct row_text *text);
/* A user of a graph's or node's row: a struct origin in rows->texts, for few rows have one. */
struct origin rows_origin(const struct rows *rows, size_t at);

void node_serials_fini(struct node_serials *serials);
void node_serials_set(struct node_serials *serials, uint32_t ref, uint64_t serial);

/* The word for what a node was asked; NULL for OP_NONE. And back: -1 where there is none. */
const char *node_op_word(enum node_op op);
int node_op_parse(const char *word);

#endif
