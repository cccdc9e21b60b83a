#include "table.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/args.h"
#include "proto/id.h"
#include "proto/mem.h"

#include "ctl.h"
#include "keep.h"
#include "out.h"
#include "text.h"

/* One block: the places of the cells, counted from its beginning, 0 if there is none; then their texts. */
struct table_row {
	size_t size;
	uint32_t at[];
};

enum { ROW_OVERHEAD = 2 * sizeof(void *) + 16 }; /* its pointer, and what malloc needs */

void table_init(struct table *table, const struct column *columns, size_t column_count)
{
	assert(column_count <= COLUMNS_MAX);
	*table = (struct table){.columns = columns, .column_count = column_count, .legend = true};
}

static void drop_rows(struct table *table)
{
	for (size_t i = 0; i < table->row_count; i++)
		free(table->rows[i]);
	keep_give(table->bytes);
	table->row_count = table->bytes = 0;
}

void table_fini(struct table *table)
{
	drop_rows(table);
	free(table->rows);
	table->rows = NULL;
	table->row_capacity = 0;
	table->flows = false;
}

/* Appends the action of a task, made safe. */
static void add_action(struct buf *buf, const struct line *record)
{
	struct buf action = BUF_INIT;

	action_format(&action, record);
	buf_add_char(&action, '\0');
	text_add_safe(buf, action.data);
	buf_fini(&action);
}

/* Appends the text of a cell, made safe; false if there is none. */
static bool add_cell(struct buf *buf, const struct column *column, const struct line *record)
{
	const char *value = line_get(record, column->key);
	char time_text[LOCAL_TIME_SIZE];

	if (column->kind == COLUMN_PREREQS) {
		prereqs_format(buf, value);
		return true;
	}
	if (column->kind == COLUMN_ACTION) {
		add_action(buf, record);
		return true;
	}
	if (value == NULL)
		return false;
	if (column->kind == COLUMN_TIME && local_time_of_stamp(value, time_text) == 0)
		value = time_text;
	text_add_safe(buf, value);
	return true;
}

/* The cells of a row that is being made: their texts, each with a NUL after it. */
struct cells {
	struct buf texts;
	uint32_t at[COLUMNS_MAX]; /* from the first text on, counted from 1 */
};

static struct table_row *row_make(const struct table *table, struct cells *cells)
{
	size_t head = sizeof(struct table_row) + table->column_count * sizeof(uint32_t);
	size_t size = head + cells->texts.len;
	struct table_row *row = mem_alloc(size);

	row->size = size + ROW_OVERHEAD;
	for (size_t i = 0; i < table->column_count; i++)
		row->at[i] = cells->at[i] > 0 ? (uint32_t)(head + cells->at[i] - 1) : 0;
	if (cells->texts.len > 0)
		memcpy((char *)row + head, cells->texts.data, cells->texts.len);
	buf_fini(&cells->texts);
	return row;
}

static void append(struct table *table, struct table_row *row)
{
	if (table->row_count == table->row_capacity) {
		table->row_capacity = table->row_capacity > 0 ? table->row_capacity * 2 : 16;
		table->rows = mem_realloc(table->rows, table->row_capacity, sizeof(struct table_row *));
	}
	table->rows[table->row_count++] = row;
	table->bytes += row->size;
}

static void drop_last(struct table *table)
{
	struct table_row *row = table->rows[--table->row_count];

	table->bytes -= row->size;
	keep_give(row->size);
	free(row);
}

/* Keeps the row even if no more may be kept: as long as it takes to print it. */
static bool take_row(struct table *table, struct table_row *row)
{
	bool taken = keep_take(row->size);

	append(table, row);
	if (!taken)
		table->bytes -= row->size;
	return taken;
}

static void drop_untaken(struct table *table)
{
	free(table->rows[--table->row_count]);
}

static void begin_to_flow(struct table *table)
{
	table->flows = true;
	table_print_begin(table);
	for (size_t i = 0; i < table->row_count; i++)
		table_print_row(table, i);
}

/* Rows are numbered by their places, so after one that is not kept none is. */
static int add_row(struct table *table, struct cells *cells)
{
	bool taken = take_row(table, row_make(table, cells));
	bool begins = !table->silent && !table->flows &&
		(!taken || table->row_count > TABLE_ROWS_MAX || table->bytes > TABLE_BYTES_MAX);

	if (begins)
		begin_to_flow(table);
	else if (table->flows)
		table_print_row(table, table->row_count - 1);
	if (!taken) {
		drop_untaken(table);
		table->remembers = false;
	} else if (table->flows && !table->remembers && !begins) {
		drop_last(table);
	}
	if (begins && !table->remembers)
		drop_rows(table);
	return out_check();
}

static void note_cell(struct cells *cells, size_t column, size_t begin)
{
	buf_add_char(&cells->texts, '\0');
	cells->at[column] = (uint32_t)begin + 1;
}

int table_add(struct table *table, const struct line *record)
{
	struct cells cells = {.texts = BUF_INIT};

	if (table->silent && !table->remembers)
		return STATUS_OK;
	for (size_t i = 0; i < table->column_count; i++) {
		size_t begin = cells.texts.len;

		if (add_cell(&cells.texts, &table->columns[i], record))
			note_cell(&cells, i, begin);
	}
	return add_row(table, &cells);
}

int table_add_texts(struct table *table, const char *const *texts)
{
	struct cells cells = {.texts = BUF_INIT};

	for (size_t i = 0; i < table->column_count; i++) {
		size_t begin = cells.texts.len;

		if (texts[i] == NULL)
			continue;
		text_add_safe(&cells.texts, texts[i]);
		note_cell(&cells, i, begin);
	}
	return add_row(table, &cells);
}

const char *table_cell(const struct table *table, size_t row, size_t column)
{
	const struct table_row *kept;

	assert(column < table->column_count);
	if (row >= table->row_count)
		return NULL;
	kept = table->rows[row];
	return kept->at[column] > 0 ? (const char *)kept + kept->at[column] : NULL;
}

void table_end(struct table *table)
{
	if (!table->flows && !table->silent)
		table_print_whole(table);
}

bool column_is_valid(const struct column *column, const char *text)
{
	struct error error;
	struct id id;
	int64_t number;

	switch (column->kind) {
	case COLUMN_ID:
		return id_parse(text, strlen(text), &id) == 0;
	case COLUMN_NAME:
		return arg_group(text, &error) == 0;
	case COLUMN_NUMBER:
		return text_is_number(text, &number);
	default:
		return true;
	}
}
