#include "state_rows.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "proto/mem.h"

enum { TABLES_MAX = 16, COLUMNS_MAX = 32, WORDS_MAX = 8, SQL_SIZE = 2048, PATCHES_MAX = 128, ROWS_MADE = 100 };
enum { HEADER_WRITE_VERSION = 18, HEADER_READ_VERSION = 19, JOURNAL = 1 };

struct table {
	char *name;
	char *columns[COLUMNS_MAX];
	size_t column_count;
	char key[256]; /* "(a, b)", the columns of the primary key */
};

/* A piece of the schema that is blank while rows are mutated. */
struct patch {
	size_t at, len;
	uint8_t before[16];
};

static struct {
	uint8_t *data; /* of the file */
	size_t size;
	uint8_t versions[2];
	struct table tables[TABLES_MAX];
	size_t table_count;
	struct patch patches[PATCHES_MAX];
	size_t patch_count;
} base;

/* ---- the base ------------------------------------------------------------------------------ */

static void read_base(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t size = lseek(fd, 0, SEEK_END);

	fuzz_require(fd >= 0 && size > 0, "%s: %s", path, strerror(errno));
	base.size = (size_t)size;
	base.data = mem_alloc(base.size);
	fuzz_require(pread(fd, base.data, base.size, 0) == size, "%s: %s", path, strerror(errno));
	close(fd);
}

/* What holds for rows is text in the schema; the same length of blanks leaves the file as it is otherwise. */
static void blank_constraints(void)
{
	static const char *const constraints[] = {"NOT NULL", "CHECK (one = 1)", "STRICT, ", "STRICT"};

	for (size_t i = 0; i < sizeof constraints / sizeof constraints[0]; i++) {
		size_t len = strlen(constraints[i]);
		uint8_t *at = base.data;

		while ((at = memmem(at, base.size - (size_t)(at - base.data), constraints[i], len)) != NULL) {
			struct patch *patch = &base.patches[base.patch_count++];

			fuzz_require(base.patch_count < PATCHES_MAX, "too many constraints");
			*patch = (struct patch){.at = (size_t)(at - base.data), .len = len};
			memcpy(patch->before, at, len);
			memset(at, ' ', len);
		}
	}
}

/* A database in memory has no log. */
static void use_journal(void)
{
	memcpy(base.versions, base.data + HEADER_WRITE_VERSION, sizeof base.versions);
	base.data[HEADER_WRITE_VERSION] = base.data[HEADER_READ_VERSION] = JOURNAL;
}

static void restore(uint8_t *data)
{
	for (size_t i = 0; i < base.patch_count; i++)
		memcpy(data + base.patches[i].at, base.patches[i].before, base.patches[i].len);
	memcpy(data + HEADER_WRITE_VERSION, base.versions, sizeof base.versions);
}

static sqlite3 *open_base(void)
{
	uint8_t *data = sqlite3_malloc64(base.size);
	sqlite3 *sqlite;
	int code = sqlite3_open(":memory:", &sqlite);

	fuzz_require(data != NULL && code == SQLITE_OK, "a database cannot be opened");
	memcpy(data, base.data, base.size);
	code = sqlite3_deserialize(sqlite, "main", data, (sqlite3_int64)base.size, (sqlite3_int64)base.size,
		SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE);
	fuzz_require(code == SQLITE_OK, "the base cannot be opened: %s", sqlite3_errmsg(sqlite));
	sqlite3_exec(sqlite, "PRAGMA journal_mode = OFF", NULL, NULL, NULL);
	return sqlite;
}

static sqlite3_stmt *prepare(sqlite3 *sqlite, const char *sql)
{
	sqlite3_stmt *statement;

	if (sqlite3_prepare_v2(sqlite, sql, -1, &statement, NULL) != SQLITE_OK)
		return NULL;
	return statement;
}

static void read_columns(sqlite3 *sqlite, struct table *table)
{
	sqlite3_stmt *columns = prepare(sqlite, "SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid");

	sqlite3_bind_text(columns, 1, table->name, -1, SQLITE_STATIC);
	while (sqlite3_step(columns) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(columns, 0);

		fuzz_require(table->column_count < COLUMNS_MAX, "too many columns");
		table->columns[table->column_count++] = mem_strdup(name);
		if (sqlite3_column_int(columns, 1) == 0)
			continue;
		strcat(table->key, table->key[0] ? ", " : "(");
		strcat(table->key, name);
	}
	strcat(table->key, ")");
	sqlite3_finalize(columns);
}

void rows_set_base(const char *path)
{
	sqlite3_stmt *tables;
	sqlite3 *sqlite;

	read_base(path);
	blank_constraints();
	use_journal();
	sqlite = open_base();
	tables = prepare(sqlite, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
	fuzz_require(tables != NULL, "the base cannot be read: %s", sqlite3_errmsg(sqlite));
	while (sqlite3_step(tables) == SQLITE_ROW) {
		struct table *table = &base.tables[base.table_count++];

		fuzz_require(base.table_count <= TABLES_MAX, "too many tables");
		*table = (struct table){.name = mem_strdup((const char *)sqlite3_column_text(tables, 0))};
		read_columns(sqlite, table);
	}
	sqlite3_finalize(tables);
	sqlite3_close(sqlite);
}

const char *rows_word(size_t index)
{
	for (size_t i = 0; i < base.table_count; i++) {
		const struct table *table = &base.tables[i];

		if (index == 0)
			return table->name;
		if (--index < table->column_count)
			return table->columns[index];
		index -= table->column_count;
	}
	return NULL;
}

void rows_make_line(uint64_t *random, char *ret_line, size_t size)
{
	static const char *const kinds[] = {"set", "set", "set", "set", "from", "from", "swap", "byte", "drop", "copy"};
	const char *kind = kinds[fuzz_below(random, sizeof kinds / sizeof kinds[0])];
	const struct table *table = &base.tables[fuzz_below(random, base.table_count)];
	const char *column = table->columns[fuzz_below(random, table->column_count)];
	size_t row = fuzz_below(random, ROWS_MADE), other = fuzz_below(random, ROWS_MADE);

	if (strcmp(kind, "set") == 0 || strcmp(kind, "copy") == 0)
		snprintf(ret_line, size, "%s %s %zu %s %s", kind, table->name, row, column, fuzz_any_word(random));
	else if (strcmp(kind, "byte") == 0)
		snprintf(ret_line, size, "byte %s %zu %s %zu %zu", table->name, row, column, other, fuzz_below(random, 256));
	else
		snprintf(ret_line, size, "%s %s %zu %s %zu", kind, table->name, row, column, other);
}

/* ---- one line ------------------------------------------------------------------------------ */

struct line {
	sqlite3 *sqlite;
	char *words[WORDS_MAX]; /* "" for one that is not there */
	const char *rest[WORDS_MAX]; /* the line from a word on */
	const struct table *table;
	const char *column;
};

static const struct table *find_table(const char *name)
{
	for (size_t i = 0; i < base.table_count; i++)
		if (strcmp(base.tables[i].name, name) == 0)
			return &base.tables[i];
	return NULL;
}

static const char *find_column(const struct table *table, const char *name)
{
	for (size_t i = 0; i < table->column_count; i++)
		if (strcmp(table->columns[i], name) == 0)
			return table->columns[i];
	return NULL;
}

static bool parse_number(const char *text, int64_t *ret_number)
{
	char *end;

	errno = 0;
	*ret_number = strtoll(text, &end, 10);
	return errno == 0 && end != text && *end == '\0';
}

/* The place of a row, from 0. */
static int64_t row_place(const struct line *line, const char *word)
{
	char sql[SQL_SIZE];
	sqlite3_stmt *statement;
	int64_t number = 0, count = 0;

	snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", line->table->name);
	statement = prepare(line->sqlite, sql);
	if (statement && sqlite3_step(statement) == SQLITE_ROW)
		count = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	parse_number(word, &number);
	return count == 0 ? 0 : (int64_t)((uint64_t)number % (uint64_t)count);
}

static void bind_blob(sqlite3_stmt *statement, int place, const char *hex)
{
	uint8_t bytes[4096];
	size_t len = 0;
	unsigned byte;

	for (; len < sizeof bytes && isxdigit((unsigned char)hex[0]) && isxdigit((unsigned char)hex[1]); hex += 2) {
		sscanf(hex, "%2x", &byte);
		bytes[len++] = (uint8_t)byte;
	}
	sqlite3_bind_blob(statement, place, bytes, (int)len, SQLITE_TRANSIENT);
}

static void bind_text_value(sqlite3_stmt *statement, int place, const char *text)
{
	int64_t number;

	if (strcmp(text, "null") == 0)
		sqlite3_bind_null(statement, place);
	else if (strncmp(text, "blob:", 5) == 0)
		bind_blob(statement, place, text + 5);
	else if (parse_number(text, &number))
		sqlite3_bind_int64(statement, place, number);
	else
		sqlite3_bind_text(statement, place, text, -1, SQLITE_TRANSIENT);
}

/* " WHERE the row is the one at this place", ?2 */
static void add_where(const struct table *table, char *sql)
{
	size_t len = strlen(sql), key_len = strlen(table->key);
	int list_len = (int)key_len - 2;

	snprintf(sql + len, SQL_SIZE - len, " WHERE %s = (SELECT %.*s FROM %s ORDER BY %.*s LIMIT 1 OFFSET ?2)",
		table->key, list_len, table->key + 1, table->name, list_len, table->key + 1);
}

static sqlite3_stmt *prepare_set(const struct line *line, int64_t place)
{
	char sql[SQL_SIZE];
	sqlite3_stmt *statement;

	snprintf(sql, sizeof sql, "UPDATE %s SET %s = ?1", line->table->name, line->column);
	add_where(line->table, sql);
	statement = prepare(line->sqlite, sql);
	fuzz_require(statement != NULL, "%s: %s", sql, sqlite3_errmsg(line->sqlite));
	sqlite3_bind_int64(statement, 2, place);
	return statement;
}

static void carry_out(sqlite3_stmt *statement)
{
	sqlite3_step(statement);
	sqlite3_finalize(statement);
}

static void set_value(const struct line *line, int64_t place, const sqlite3_value *value)
{
	sqlite3_stmt *statement;

	if (!value)
		return;
	statement = prepare_set(line, place);
	sqlite3_bind_value(statement, 1, value);
	carry_out(statement);
}

/* The value of the line's column in a row, to be freed with sqlite3_value_free. NULL: the table has no rows. */
static sqlite3_value *get_value(const struct line *line, int64_t place)
{
	char sql[SQL_SIZE];
	sqlite3_stmt *statement;
	sqlite3_value *value = NULL;

	snprintf(sql, sizeof sql, "SELECT %s FROM %s", line->column, line->table->name);
	add_where(line->table, sql);
	statement = prepare(line->sqlite, sql);
	fuzz_require(statement != NULL, "%s: %s", sql, sqlite3_errmsg(line->sqlite));
	sqlite3_bind_int64(statement, 2, place);
	if (sqlite3_step(statement) == SQLITE_ROW)
		value = sqlite3_value_dup(sqlite3_column_value(statement, 0));
	sqlite3_finalize(statement);
	return value;
}

static void do_set(const struct line *line)
{
	sqlite3_stmt *statement = prepare_set(line, row_place(line, line->words[2]));

	bind_text_value(statement, 1, line->rest[4]);
	carry_out(statement);
}

static void do_from(const struct line *line)
{
	sqlite3_value *value = get_value(line, row_place(line, line->words[4]));

	set_value(line, row_place(line, line->words[2]), value);
	sqlite3_value_free(value);
}

static void do_swap(const struct line *line)
{
	int64_t one = row_place(line, line->words[2]), other = row_place(line, line->words[4]);
	sqlite3_value *value = get_value(line, one), *other_value = get_value(line, other);

	set_value(line, one, other_value);
	set_value(line, other, value);
	sqlite3_value_free(value);
	sqlite3_value_free(other_value);
}

static void do_byte(const struct line *line)
{
	int64_t row = row_place(line, line->words[2]), at = 0, byte = 0;
	sqlite3_value *value = get_value(line, row);
	size_t len = value ? (size_t)sqlite3_value_bytes(value) : 0;
	sqlite3_stmt *statement;
	uint8_t *bytes;

	if (len > 0 && parse_number(line->words[4], &at) && parse_number(line->words[5], &byte)) {
		bool text = sqlite3_value_type(value) == SQLITE_TEXT;

		bytes = mem_alloc(len);
		memcpy(bytes, sqlite3_value_blob(value), len);
		bytes[(uint64_t)at % len] = (uint8_t)byte;
		statement = prepare_set(line, row);
		if (text)
			sqlite3_bind_text(statement, 1, (char *)bytes, (int)len, SQLITE_STATIC);
		else
			sqlite3_bind_blob(statement, 1, bytes, (int)len, SQLITE_STATIC);
		carry_out(statement);
		free(bytes);
	}
	sqlite3_value_free(value);
}

static void do_drop(const struct line *line)
{
	char sql[SQL_SIZE];
	sqlite3_stmt *statement;

	snprintf(sql, sizeof sql, "DELETE FROM %s", line->table->name);
	add_where(line->table, sql);
	statement = prepare(line->sqlite, sql);
	sqlite3_bind_int64(statement, 2, row_place(line, line->words[2]));
	carry_out(statement);
}

static void do_copy(const struct line *line)
{
	char sql[SQL_SIZE];
	size_t len = (size_t)snprintf(sql, sizeof sql, "INSERT INTO %s SELECT ", line->table->name);
	sqlite3_stmt *statement;

	for (size_t i = 0; i < line->table->column_count; i++) {
		const char *column = line->table->columns[i];

		len += (size_t)snprintf(sql + len, sizeof sql - len, "%s%s", i > 0 ? ", " : "",
			column == line->column ? "?1" : column);
	}
	snprintf(sql + len, sizeof sql - len, " FROM %s", line->table->name);
	add_where(line->table, sql);
	statement = prepare(line->sqlite, sql);
	bind_text_value(statement, 1, line->rest[4]);
	sqlite3_bind_int64(statement, 2, row_place(line, line->words[2]));
	carry_out(statement);
}

/* ---- a file -------------------------------------------------------------------------------- */

/* Cuts the text up; the words are its own. */
static void split(struct line *line, char *text, const char *whole)
{
	char *at = text;

	for (size_t i = 0; i < WORDS_MAX; i++) {
		at += strspn(at, " ");
		line->words[i] = at;
		line->rest[i] = whole + (at - text);
		at += strcspn(at, " ");
		if (*at != '\0')
			*at++ = '\0';
	}
}

static void mutate_row(struct line *line)
{
	static const struct {
		const char *name;
		void (*function)(const struct line *line);
		bool column;
	} kinds[] = {{"set", do_set, true}, {"from", do_from, true}, {"swap", do_swap, true}, {"byte", do_byte, true},
		{"drop", do_drop, false}, {"copy", do_copy, true}};

	line->table = find_table(line->words[1]);
	if (!line->table)
		return;
	line->column = find_column(line->table, line->words[3]);
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(kinds[i].name, line->words[0]) == 0 && (line->column || !kinds[i].column))
			kinds[i].function(line);
}

static void flip_byte(const struct line *line, uint8_t *data, size_t size)
{
	int64_t at, byte;

	if (strcmp(line->words[0], "flip") == 0 && parse_number(line->words[1], &at) &&
		parse_number(line->words[2], &byte))
		data[(uint64_t)at % size] = (uint8_t)byte;
}

/* Goes over the lines, and mutates the rows of a database or, if there is none, the bytes. A line ends at a NUL. */
static void each_line(const char *lines, size_t len, sqlite3 *sqlite, uint8_t *data, size_t size)
{
	while (len > 0) {
		const char *end = memchr(lines, '\n', len);
		size_t line_len = end ? (size_t)(end - lines) : len;
		char *whole = mem_zalloc(line_len + 1, 1), *text;
		struct line line = {.sqlite = sqlite};

		memcpy(whole, lines, line_len);
		text = mem_strdup(whole);
		split(&line, text, whole);
		if (sqlite)
			mutate_row(&line);
		else
			flip_byte(&line, data, size);
		free(text);
		free(whole);
		lines += line_len + (end != NULL);
		len -= line_len + (end != NULL);
	}
}

static void write_file(const char *path, const uint8_t *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	fuzz_require(fd >= 0 && write(fd, data, size) == (ssize_t)size, "%s: %s", path, strerror(errno));
	close(fd);
}

void rows_write(const char *path, const char *lines, size_t len)
{
	sqlite3 *sqlite = open_base();
	sqlite3_int64 size;
	uint8_t *data;

	sqlite3_exec(sqlite, "BEGIN", NULL, NULL, NULL);
	each_line(lines, len, sqlite, NULL, 0);
	sqlite3_exec(sqlite, "COMMIT", NULL, NULL, NULL);
	data = sqlite3_serialize(sqlite, "main", &size, SQLITE_SERIALIZE_NOCOPY);
	fuzz_require(data != NULL && size > 0, "the file cannot be made");
	restore(data);
	each_line(lines, len, NULL, data, (size_t)size);
	write_file(path, data, (size_t)size);
	sqlite3_close(sqlite);
}
