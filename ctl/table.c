#include "table.h"

#include <assert.h>
#include <errno.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/args.h"
#include "proto/id.h"
#include "proto/mem.h"

#include "text.h"

/* A cell longer than this is not lined up: every other row would be filled up to its width. */
enum { ALIGNED_MAX = 400 };

void table_init(struct table *table, const struct column *columns, size_t column_count)
{
	*table = (struct table){.columns = columns, .column_count = column_count};
}

void table_fini(struct table *table)
{
	for (size_t i = 0; i < table->row_count * table->column_count; i++)
		free(table->cells[i]);
	free(table->cells);
	table_init(table, table->columns, table->column_count);
}

static char **add_row(struct table *table)
{
	if (table->row_count == table->row_capacity) {
		table->row_capacity = table->row_capacity > 0 ? table->row_capacity * 2 : 16;
		table->cells = mem_realloc(table->cells, table->row_capacity,
			table->column_count * sizeof *table->cells);
	}
	return table->cells + table->row_count++ * table->column_count;
}

static char *copy_of(struct buf *buf)
{
	char *text = mem_alloc(buf->len + 1);

	if (buf->len > 0)
		memcpy(text, buf->data, buf->len);
	text[buf->len] = '\0';
	buf_fini(buf);
	return text;
}

static char *make_cell(const struct column *column, const struct line *record)
{
	const char *value = line_get(record, column->key);
	char time_text[LOCAL_TIME_SIZE];
	struct buf text = BUF_INIT;

	if (column->kind == COLUMN_PREREQS) {
		prereqs_format(&text, value);
		return copy_of(&text);
	}
	if (column->kind == COLUMN_ACTION) {
		action_format(&text, record);
		return copy_of(&text);
	}
	if (value == NULL)
		return NULL;
	if (column->kind == COLUMN_TIME && local_time_of_stamp(value, time_text) == 0)
		value = time_text;
	return mem_strdup(value);
}

void table_add(struct table *table, const struct line *record)
{
	char **row = add_row(table);

	for (size_t i = 0; i < table->column_count; i++)
		row[i] = make_cell(&table->columns[i], record);
}

void table_add_texts(struct table *table, const char *const *texts)
{
	char **row = add_row(table);

	for (size_t i = 0; i < table->column_count; i++)
		row[i] = texts[i] != NULL ? mem_strdup(texts[i]) : NULL;
}

const char *table_cell(const struct table *table, size_t row, size_t column)
{
	assert(row < table->row_count && column < table->column_count);
	return table->cells[row * table->column_count + column];
}

/* The length of the longest cell of a column; -1 where all are empty. */
static long longest_cell(const struct table *table, size_t column)
{
	long longest = -1;

	for (size_t row = 0; row < table->row_count; row++) {
		const char *cell = table_cell(table, row, column);
		long len = cell != NULL ? (long)strlen(cell) : -1;

		longest = len > longest ? len : longest;
	}
	return longest;
}

static bool is_shown(const struct table *table, size_t column)
{
	if (table->columns[column].kind == COLUMN_GROUP)
		return table->any_group;
	return !table->columns[column].optional || longest_cell(table, column) >= 0;
}

/* One blank between the cells. For headings alone, and for what cannot be lined up. */
static void print_plain_row(const struct table *table, const bool *shown, size_t row, bool heading)
{
	struct buf line = BUF_INIT;

	for (size_t i = 0; i < table->column_count; i++) {
		const char *cell = heading ? table->columns[i].heading : table_cell(table, row, i);

		if (!shown[i])
			continue;
		if (line.len > 0)
			buf_add_char(&line, ' ');
		text_add_safe(&line, cell != NULL ? cell : "-");
	}
	buf_add_char(&line, '\n');
	fwrite(line.data, 1, line.len, stdout);
	buf_fini(&line);
}

static void print_plain(const struct table *table, const bool *shown, bool legend)
{
	if (legend)
		print_plain_row(table, shown, 0, true);
	for (size_t row = 0; row < table->row_count; row++)
		print_plain_row(table, shown, row, false);
}

static void out_of_memory(void)
{
	say("out of memory");
	abort();
}

/* On a terminal a long text is wrapped within its column; elsewhere a row is a line. */
static int column_flags(const struct column *column)
{
	if (column->kind == COLUMN_NUMBER)
		return SCOLS_FL_RIGHT;
	if (column->kind == COLUMN_TEXT && column->optional && isatty(STDOUT_FILENO))
		return SCOLS_FL_WRAP;
	return 0;
}

static void fill_line(struct libscols_line *line, const struct table *table, size_t row,
	const bool *shown)
{
	size_t place = 0;

	for (size_t i = 0; i < table->column_count; i++) {
		const char *cell = table_cell(table, row, i);

		if (!shown[i])
			continue;
		if (scols_line_set_data(line, place, cell != NULL ? cell : "-") < 0)
			out_of_memory();
		if (cell != NULL && table->columns[i].kind == COLUMN_STATE && colour_wanted())
			scols_cell_set_color(scols_line_get_cell(line, place), state_colour(cell));
		place++;
	}
}

static void print_aligned(const struct table *table, const bool *shown, bool legend)
{
	struct libscols_table *scols = scols_new_table();

	if (scols == NULL)
		out_of_memory();
	scols_table_enable_colors(scols, colour_wanted());
	scols_table_enable_noheadings(scols, !legend);
	for (size_t i = 0; i < table->column_count; i++) {
		if (shown[i] && scols_table_new_column(scols, table->columns[i].heading, 0,
				column_flags(&table->columns[i])) == NULL)
			out_of_memory();
	}
	for (size_t row = 0; row < table->row_count; row++) {
		struct libscols_line *line = scols_table_new_line(scols, NULL);

		if (line == NULL)
			out_of_memory();
		fill_line(line, table, row, shown);
	}
	scols_print_table(scols);
	scols_unref_table(scols);
}

void table_print(const struct table *table, bool legend)
{
	bool *shown = mem_zalloc(table->column_count, sizeof *shown);
	bool aligned = table->row_count > 0;

	for (size_t i = 0; i < table->column_count; i++) {
		shown[i] = is_shown(table, i);
		if (longest_cell(table, i) > ALIGNED_MAX && i + 1 < table->column_count)
			aligned = false;
	}
	if (aligned)
		print_aligned(table, shown, legend);
	else
		print_plain(table, shown, legend);
	free(shown);
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
