/* Tables for people: records as rows, with headings and no borders. The rows are kept until all are there,
 * so that the columns can be made to fit. A table too large for that flows: its columns are made to fit the
 * rows that there are, and further rows are printed as they come. */
#ifndef IMD_CTL_TABLE_H
#define IMD_CTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
	bool optional; /* left out if no row has a value in it; not if the table flows */
};

enum {
	COLUMNS_MAX = 20,
	TABLE_ROWS_MAX = 10000,     /* a table that has more rows flows, */
	TABLE_BYTES_MAX = 16 << 20, /* or rows of so many bytes */
};

struct table_row;

struct table {
	const struct column *columns; /* the caller's */
	size_t column_count;
	struct table_row **rows;
	size_t row_count;             /* that are kept */
	size_t row_capacity;
	size_t bytes;                 /* of these rows */
	bool any_group;               /* the records are of every group */
	bool legend;                  /* headings are wanted, as they are after table_init */
	const char *title;            /* a line above the table, or NULL */
	bool flows;
	unsigned widths[COLUMNS_MAX]; /* then */
	bool remembers;  /* rows are kept for table_cell, also when they are printed, while KEEP_MAX allows */
	bool silent;     /* and are not printed at all */
};

void table_init(struct table *table, const struct column *columns, size_t column_count);
void table_fini(struct table *table);

/* Appends a row of what the record has for each column. STATUS_OK, or the exit status if the table flows
 * and cannot be printed. */
int table_add(struct table *table, const struct line *record);
/* Appends a row of these texts, copied; as many as there are columns. */
int table_add_texts(struct table *table, const char *const *texts);
/* A cell as it is shown, made safe by text_add_safe; NULL if there is none or the row is not kept. */
const char *table_cell(const struct table *table, size_t row, size_t column);

/* Prints what has not been printed yet. */
void table_end(struct table *table);

/* For table.c: prints the rows that there are as a whole table; the beginning of one that flows; a row of
 * that, which is the last one kept. */
void table_print_whole(const struct table *table);
void table_print_begin(struct table *table);
void table_print_row(const struct table *table, size_t row);

/* Whether text is a valid value of the column, by the rules of the protocol; any is of a column of text. */
bool column_is_valid(const struct column *column, const char *text);

/* What the task of a TASK record or a task's event does: "start_node <id> slot 0 version 1". */
void action_format(struct buf *buf, const struct line *line);
/* "0,1,2" as "[0 1 2]"; NULL as "[]". Eight or more numbers at one distance from each other are
 * written as the first two and the last, "[0 1 .. 99]", so that the barrier of a large change
 * remains readable and still tells every number. */
void prereqs_format(struct buf *buf, const char *prereqs);

#endif
