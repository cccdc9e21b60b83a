/* A whole table is laid out by libsmartcols; the rows of one that flows are padded here. */
#include "table.h"

#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/mem.h"
#include "text.h"

/* A cell longer than this is not lined up: every other row would be filled up to its width. */
enum { ALIGNED_MAX = 400 };

/* The length of the longest cell of a column; -1 if all are empty. */
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
	return table->flows || !table->columns[column].optional || longest_cell(table, column) >= 0;
}

static void print_title(const struct table *table)
{
	if (table->title != NULL)
		puts(table->title);
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
		buf_add_str(&line, cell != NULL ? cell : "-");
	}
	buf_add_char(&line, '\n');
	fwrite(line.data, 1, line.len, stdout);
	buf_fini(&line);
}

static void print_plain(const struct table *table, const bool *shown)
{
	if (table->legend)
		print_plain_row(table, shown, 0, true);
	for (size_t row = 0; row < table->row_count; row++)
		print_plain_row(table, shown, row, false);
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
			mem_exhausted();
		if (cell != NULL && table->columns[i].kind == COLUMN_STATE && colour_wanted())
			scols_cell_set_color(scols_line_get_cell(line, place), state_colour(cell));
		place++;
	}
}

static void print_aligned(const struct table *table, const bool *shown)
{
	struct libscols_table *scols = scols_new_table();

	if (scols == NULL)
		mem_exhausted();
	scols_table_enable_colors(scols, colour_wanted());
	scols_table_enable_noencoding(scols, 1); /* the cells are safe; it would escape their backslashes again */
	scols_table_enable_noheadings(scols, !table->legend);
	for (size_t i = 0; i < table->column_count; i++) {
		if (shown[i] && scols_table_new_column(scols, table->columns[i].heading, 0,
				column_flags(&table->columns[i])) == NULL)
			mem_exhausted();
	}
	for (size_t row = 0; row < table->row_count; row++) {
		struct libscols_line *line = scols_table_new_line(scols, NULL);

		if (line == NULL)
			mem_exhausted();
		fill_line(line, table, row, shown);
	}
	scols_print_table(scols);
	scols_unref_table(scols);
}

void table_print_whole(const struct table *table)
{
	bool shown[COLUMNS_MAX];
	bool aligned = table->row_count > 0;

	print_title(table);
	for (size_t i = 0; i < table->column_count; i++) {
		shown[i] = is_shown(table, i);
		if (longest_cell(table, i) > ALIGNED_MAX && i + 1 < table->column_count)
			aligned = false;
	}
	if (aligned)
		print_aligned(table, shown);
	else
		print_plain(table, shown);
}

/* ---- a table that flows --------------------------------------------------------------------- */

/* Characters, counted by the bytes that begin one. */
static unsigned width_of(const char *text, size_t len)
{
	unsigned width = 0;

	for (size_t i = 0; i < len; i++)
		width += ((unsigned char)text[i] & 0xc0) != 0x80;
	return width;
}

static void pad(struct buf *line, unsigned width, unsigned wanted)
{
	for (; width < wanted; width++)
		buf_add_char(line, ' ');
}

static void add_padded(struct buf *line, const struct table *table, size_t column, const char *text)
{
	const struct column *row = &table->columns[column];
	const char *colour = row->kind == COLUMN_STATE && colour_wanted() ? state_colour(text) : NULL;
	unsigned wanted = table->widths[column], width = width_of(text, strlen(text));

	if (row->kind == COLUMN_NUMBER)
		pad(line, width, wanted);
	buf_add_str(line, colour != NULL ? colour : "");
	buf_add_str(line, text);
	buf_add_str(line, colour != NULL ? COLOUR_END : "");
	if (row->kind != COLUMN_NUMBER && column + 1 < table->column_count)
		pad(line, width, wanted);
}

static void print_padded(const struct table *table, size_t row, bool heading)
{
	struct buf line = BUF_INIT;

	for (size_t i = 0; i < table->column_count; i++) {
		const char *cell = heading ? table->columns[i].heading : table_cell(table, row, i);

		if (!is_shown(table, i))
			continue;
		if (line.len > 0)
			buf_add_char(&line, ' ');
		add_padded(&line, table, i, cell != NULL ? cell : "-");
	}
	buf_add_char(&line, '\n');
	fwrite(line.data, 1, line.len, stdout);
	buf_fini(&line);
}

static unsigned width_of_column(const struct table *table, size_t column)
{
	const char *heading = table->columns[column].heading;
	unsigned widest = table->legend ? width_of(heading, strlen(heading)) : 1;

	for (size_t row = 0; row < table->row_count; row++) {
		const char *cell = table_cell(table, row, column);
		unsigned width = cell != NULL ? width_of(cell, strlen(cell)) : 1;

		if (width <= ALIGNED_MAX && width > widest)
			widest = width;
	}
	return widest;
}

void table_print_begin(struct table *table)
{
	print_title(table);
	for (size_t i = 0; i < table->column_count; i++)
		table->widths[i] = width_of_column(table, i);
	if (table->legend)
		print_padded(table, 0, true);
}

void table_print_row(const struct table *table, size_t row)
{
	print_padded(table, row, false);
}
