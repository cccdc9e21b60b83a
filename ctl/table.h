/* Tables for people: records as rows, with headings and no borders. */
#ifndef IMD_CTL_TABLE_H
#define IMD_CTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/record.h"

enum column_kind {
	COLUMN_TEXT,
	COLUMN_ID,      /* of a node or a graph */
	COLUMN_NAME,    /* of a group */
	COLUMN_NUMBER,  /* to the right */
	COLUMN_STATE,   /* in colour */
	COLUMN_TIME,    /* a stamp, shown as local time */
	COLUMN_PREREQS, /* "0,1,2", shown as [0 1 2] */
	COLUMN_ACTION,  /* of a task: made of several keys */
	COLUMN_GROUP,   /* shown where the records are of more than one group */
};

struct column {
	const char *heading;
	const char *key;
	enum column_kind kind;
	bool optional; /* left out where no row has a value in it */
};

struct table {
	const struct column *columns; /* the caller's */
	size_t column_count;
	char **cells;                 /* row by row; NULL where empty */
	size_t row_count;
	size_t row_capacity;
	bool any_group;               /* the records are of every group */
};

void table_init(struct table *table, const struct column *columns, size_t column_count);
void table_fini(struct table *table);

/* Appends a row of what the record has for each column. */
void table_add(struct table *table, const struct line *record);
/* Appends a row of these texts, copied; as many as there are columns. */
void table_add_texts(struct table *table, const char *const *texts);
/* A cell as it is shown, or NULL. */
const char *table_cell(const struct table *table, size_t row, size_t column);

/* Prints it on stdout. */
void table_print(const struct table *table, bool legend);
/* Whether text is a valid value of the column, by the rules of the protocol; any is of a column of text. */
bool column_is_valid(const struct column *column, const char *text);

/* What the task of a TASK record or a task's event does: "start_node <id> slot 0 version 1". */
void action_format(struct buf *buf, const struct line *line);
/* "0,1,2" as "[0 1 2]"; NULL as "[]". Eight or more numbers at one distance from each other are
 * written as the first two and the last, "[0 1 .. 99]", so that the barrier of a large change
 * remains readable and still tells every number. */
void prereqs_format(struct buf *buf, const char *prereqs);

#endif
