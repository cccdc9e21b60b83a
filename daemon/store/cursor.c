#include "cursor.h"

#include <inttypes.h>

#include "proto/mem.h"
#include "proto/stamp.h"

static const struct id no_id;

int cursor_open(struct db *db, const char *table, const char *sql, struct cursor *ret_cursor,
	struct error *error)
{
	*ret_cursor = (struct cursor){.table = table};
	return db_prepare(db, sql, &ret_cursor->statement, error);
}

int cursor_check(const struct cursor *cursor, int64_t key, struct error *error)
{
	if (!cursor->wrong)
		return 0;
	if (db_lacks_memory(cursor->statement))
		return error_set(error, ERR_INTERNAL, "not enough memory to read table %s", cursor->table);
	return error_set(error, ERR_STORAGE, "table %s, row %" PRIi64 ": invalid %s",
		cursor->table, key, cursor->wrong);
}

int cursor_fail(const struct cursor *cursor, int64_t key, struct error *error)
{
	struct error inner = *error;

	if (inner.code == ERR_INTERNAL)
		return -1; /* which is not the fault of the row */
	return error_set(error, inner.code, "table %s, row %" PRIi64 ": %s", cursor->table, key,
		inner.text);
}

void cursor_wrong(struct cursor *cursor, const char *column)
{
	if (!cursor->wrong)
		cursor->wrong = column;
}

bool cursor_is_null(const struct cursor *cursor, int column)
{
	return db_column_type(cursor->statement, column) == DB_NULL;
}

/* NULL if there is none, or the value is not a text of at most `max` bytes. */
static const char *text_of(struct cursor *cursor, int column, const char *name, size_t max,
	size_t *ret_len)
{
	struct db_value value = db_column(cursor->statement, column);

	*ret_len = value.len;
	if (value.type == DB_NULL)
		return NULL;
	if (value.type == DB_TEXT && value.data && value.len <= max &&
		strlen(value.data) == value.len)
		return value.data;
	cursor_wrong(cursor, name);
	return NULL;
}

uint64_t cursor_number(struct cursor *cursor, int column, const char *name, uint64_t max)
{
	struct db_value value = db_column(cursor->statement, column);

	if (value.type != DB_INTEGER || value.number < 0 || (uint64_t)value.number > max)
		cursor_wrong(cursor, name);
	return value.number < 0 ? 0 : (uint64_t)value.number;
}

uint32_t cursor_u32(struct cursor *cursor, int column, const char *name)
{
	return (uint32_t)cursor_number(cursor, column, name, UINT32_MAX - 1);
}

uint32_t cursor_count(struct cursor *cursor, int column, const char *name)
{
	return cursor_is_null(cursor, column) ? 0 : cursor_u32(cursor, column, name);
}

int64_t cursor_time(struct cursor *cursor, int column, const char *name, bool needed)
{
	size_t len;
	const char *text = text_of(cursor, column, name, STAMP_TEXT_LEN, &len);
	int64_t time_us = 0;

	if ((text && stamp_parse(text, len, &time_us) < 0) || (needed && time_us == 0))
		cursor_wrong(cursor, name);
	return time_us;
}

void cursor_id(struct cursor *cursor, int column, const char *name, bool needed,
	struct id *ret_id)
{
	size_t len;
	const char *text = text_of(cursor, column, name, ID_TEXT_LEN, &len);

	*ret_id = (struct id){0};
	if ((text && id_parse(text, len, ret_id) < 0) || (needed && id_equal(ret_id, &no_id)))
		cursor_wrong(cursor, name);
}

void cursor_origin(struct cursor *cursor, int column, const char *uid, const char *user,
	struct origin *ret_origin)
{
	size_t len;
	const char *name = text_of(cursor, column + 1, user, sizeof ret_origin->user - 1, &len);
	bool numbered = !cursor_is_null(cursor, column);

	*ret_origin = (struct origin){0};
	if (!name && !numbered)
		return;
	ret_origin->uid = numbered ? (uid_t)cursor_number(cursor, column, uid, UINT32_MAX) : 0;
	if (!numbered)
		cursor_wrong(cursor, uid);
	else if (!name)
		cursor_wrong(cursor, user);
	else
		strcpy(ret_origin->user, name);
}

int cursor_word(struct cursor *cursor, int column, const char *name,
	int (*parse)(const char *word))
{
	size_t len;
	const char *text = text_of(cursor, column, name, TEXT_WORD_MAX, &len);
	int value = text ? parse(text) : -1;

	if (value < 0)
		cursor_wrong(cursor, name);
	return value < 0 ? 0 : value;
}

char *cursor_text(struct cursor *cursor, int column, const char *name, enum cursor_text_max max)
{
	size_t len;
	const char *text = text_of(cursor, column, name, max, &len);

	return text ? mem_strdup(text) : NULL;
}

const char *cursor_peek(struct cursor *cursor, int column, const char *name,
	enum cursor_text_max max)
{
	size_t len;
	const char *text = text_of(cursor, column, name, max, &len);

	if (!text)
		cursor_wrong(cursor, name);
	return text ? text : "";
}

const void *cursor_blob(struct cursor *cursor, int column, const char *name, size_t *ret_len)
{
	struct db_value value = db_column(cursor->statement, column);

	*ret_len = value.type == DB_BLOB ? value.len : 0;
	if (value.type == DB_BLOB && value.data)
		return value.data;
	cursor_wrong(cursor, name);
	return NULL;
}
