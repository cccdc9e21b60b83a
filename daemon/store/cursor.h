/* Reading rows of the state file, of which nothing is believed: a value that is invalid, or is not stored as what it
 * should be (SQLite would convert it), is noted. */
#ifndef IMD_STORE_CURSOR_H
#define IMD_STORE_CURSOR_H

#include "core/spec.h"
#include "proto/id.h"
#include "proto/limits.h"
#include "sqlite.h"

#define SERIAL_MAX ((uint64_t)INT64_MAX / 2) /* so that there is always a next one */

/* A row that is read. The first value that cannot be is noted, and the rest is read as it comes. */
struct cursor {
	struct db_statement *statement; /* to be ended with db_finish */
	const char *table;
	const char *wrong; /* the column, NULL: all was right so far */
};

/* The longest texts of columns, in bytes: what is longer is invalid, whatever the column is for. */
enum cursor_text_max {
	TEXT_WORD_MAX = 31,   /* a state, a reason, an action */
	TEXT_AMOUNT_MAX = 15, /* a number or a percentage */
	TEXT_GROUP_MAX = LIMIT_GROUP_NAME,
	TEXT_NOTE_MAX = LIMIT_NOTE,
	TEXT_ERROR_MAX = LIMIT_ERROR_TEXT - 1,
};

int cursor_open(struct db *db, const char *table, const char *sql, struct cursor *ret_cursor,
	struct error *error);
/* -1 if something was wrong with the row; the key says which row it is. */
int cursor_check(const struct cursor *cursor, int64_t key, struct error *error);
/* Returns -1, and puts the table and the row before what the error says of it. */
int cursor_fail(const struct cursor *cursor, int64_t key, struct error *error);
void cursor_wrong(struct cursor *cursor, const char *column);

/* The values of columns, from 0; `name` is the column's, to be noted. */
bool cursor_is_null(const struct cursor *cursor, int column);
uint64_t cursor_number(struct cursor *cursor, int column, const char *name, uint64_t max);
uint32_t cursor_u32(struct cursor *cursor, int column, const char *name);
/* 0 if there is none. */
uint32_t cursor_count(struct cursor *cursor, int column, const char *name);
/* 0 where there is none, if there need not be one: time 0 is none. */
int64_t cursor_time(struct cursor *cursor, int column, const char *name, bool needed);
/* All zero where there is none, if there need not be one. */
void cursor_id(struct cursor *cursor, int column, const char *name, bool needed,
	struct id *ret_id);
/* A user: the number, and in the next column the name. Nobody where there is neither. */
void cursor_origin(struct cursor *cursor, int column, const char *uid, const char *user,
	struct origin *ret_origin);
int cursor_word(struct cursor *cursor, int column, const char *name,
	int (*parse)(const char *word));
/* A copy that the caller owns, NULL if there is none. Texts have no NUL; they may be no UTF-8, as those of
 * requests (proto.txt). */
char *cursor_text(struct cursor *cursor, int column, const char *name, enum cursor_text_max max);
/* Valid until the next row. There must be one; "" if it is invalid. */
const char *cursor_peek(struct cursor *cursor, int column, const char *name,
	enum cursor_text_max max);
/* The same for bytes; NULL if they are invalid. */
const void *cursor_blob(struct cursor *cursor, int column, const char *name, size_t *ret_len);

#endif
