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
	return error_set(error, ERR_STORAGE, "the table %s has a row, %" PRIi64
		", whose %s cannot be", cursor->table, key, cursor->wrong);
}

void cursor_wrong(struct cursor *cursor, const char *column)
{
	if (!cursor->wrong)
		cursor->wrong = column;
}

uint64_t cursor_number(struct cursor *cursor, int column, const char *name, uint64_t max)
{
	int64_t number = db_column_number(cursor->statement, column);

	if (number < 0 || (uint64_t)number > max)
		cursor_wrong(cursor, name);
	return (uint64_t)number;
}

uint32_t cursor_u32(struct cursor *cursor, int column, const char *name)
{
	return (uint32_t)cursor_number(cursor, column, name, UINT32_MAX - 1);
}

int64_t cursor_time(struct cursor *cursor, int column, const char *name, bool needed)
{
	size_t len;
	const char *text = db_column_text(cursor->statement, column, &len);
	int64_t time_us = 0;

	if ((text && stamp_parse(text, len, &time_us) < 0) || (needed && time_us == 0))
		cursor_wrong(cursor, name);
	return time_us;
}

void cursor_id(struct cursor *cursor, int column, const char *name, bool needed,
	struct id *ret_id)
{
	size_t len;
	const char *text = db_column_text(cursor->statement, column, &len);

	*ret_id = (struct id){0};
	if ((text && id_parse(text, len, ret_id) < 0) || (needed && id_equal(ret_id, &no_id)))
		cursor_wrong(cursor, name);
}

void cursor_origin(struct cursor *cursor, int column, const char *uid, const char *user,
	struct origin *ret_origin)
{
	const char *name = db_column_text(cursor->statement, column + 1, NULL);
	bool numbered = db_column_text(cursor->statement, column, NULL) != NULL;

	*ret_origin = (struct origin){0};
	if (!name && !numbered)
		return;
	ret_origin->uid = (uid_t)cursor_number(cursor, column, uid, UINT32_MAX);
	if (!numbered)
		cursor_wrong(cursor, uid);
	else if (!name || strlen(name) >= sizeof ret_origin->user)
		cursor_wrong(cursor, user);
	else
		strcpy(ret_origin->user, name);
}

int cursor_word(struct cursor *cursor, int column, const char *name,
	int (*parse)(const char *word))
{
	const char *text = db_column_text(cursor->statement, column, NULL);
	int value = text ? parse(text) : -1;

	if (value < 0)
		cursor_wrong(cursor, name);
	return value < 0 ? 0 : value;
}

char *cursor_text(struct cursor *cursor, int column)
{
	const char *text = db_column_text(cursor->statement, column, NULL);

	return text ? mem_strdup(text) : NULL;
}

const char *cursor_peek(struct cursor *cursor, int column)
{
	const char *text = db_column_text(cursor->statement, column, NULL);

	return text ? text : "";
}
