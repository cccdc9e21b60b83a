#include "schema_compare.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* The texts of a row of sqlite_schema. Without one it is "", which none of imd's is but an automatic index. */
enum { OBJECT_NAME, OBJECT_TYPE, OBJECT_TABLE, OBJECT_SQL, OBJECT_FIELDS };

struct object {
	struct db_statement *statement;
	int row; /* of db_next */
	const char *fields[OBJECT_FIELDS];
	size_t lengths[OBJECT_FIELDS];
};

static int object_next(struct object *object, struct error *error)
{
	object->row = db_next(object->statement, error);
	for (int i = 0; i < OBJECT_FIELDS && object->row > 0; i++) {
		object->fields[i] = db_column_text(object->statement, i, &object->lengths[i]);
		if (!object->fields[i])
			object->fields[i] = "";
	}
	return object->row < 0 ? -1 : 0;
}

static int object_first(struct db *db, struct object *object, struct error *error)
{
	static const char query[] = "SELECT name, type, tbl_name, sql FROM sqlite_schema ORDER BY name, type";

	*object = (struct object){.row = 0};
	if (db_prepare(db, query, &object->statement, error) < 0)
		return -1;
	return object_next(object, error);
}

static int field_compare(const struct object *a, const struct object *b, int field)
{
	size_t len = a->lengths[field] < b->lengths[field] ? a->lengths[field] : b->lengths[field];
	int difference = memcmp(a->fields[field], b->fields[field], len);

	if (difference != 0)
		return difference;
	return a->lengths[field] < b->lengths[field] ? -1 : a->lengths[field] > b->lengths[field];
}

/* Takes the next character; a run of white space is one blank. -1 at the end. */
static int text_next(const char **at, const char *end)
{
	static const char blanks[] = " \t\n\f\r";
	int c;

	if (*at == end)
		return -1;
	c = (unsigned char)*(*at)++;
	if (c == '\0' || !strchr(blanks, c))
		return c;
	while (*at < end && **at != '\0' && strchr(blanks, **at))
		(*at)++;
	return ' ';
}

/* Whether the SQL is the same but for white space, which says nothing: imd's SQL has none in quotes, and no
 * comments. Files of version 1 differ in it. */
static bool sql_equal(const struct object *a, const struct object *b)
{
	const char *left = a->fields[OBJECT_SQL], *left_end = left + a->lengths[OBJECT_SQL];
	const char *right = b->fields[OBJECT_SQL], *right_end = right + b->lengths[OBJECT_SQL];
	int c;

	while ((c = text_next(&left, left_end)) == text_next(&right, right_end))
		if (c < 0)
			return true;
	return false;
}

static int object_fails(const struct object *object, const char *how, struct error *error)
{
	return error_set(error, ERR_STORAGE, "its schema is not imd's: the %.10s \"%.64s\" %s",
		object->fields[OBJECT_TYPE], object->fields[OBJECT_NAME], how);
}

/* Both are in the order of names and types. */
static int compare_objects(struct object *found, struct object *expected, struct error *error)
{
	while (found->row > 0 || expected->row > 0) {
		int order = found->row == 0 ? 1 : expected->row == 0 ? -1 :
			field_compare(found, expected, OBJECT_NAME);

		if (order == 0)
			order = field_compare(found, expected, OBJECT_TYPE);
		if (order < 0)
			return object_fails(found, "does not belong there", error);
		if (order > 0)
			return object_fails(expected, "is missing", error);
		if (field_compare(found, expected, OBJECT_TABLE) != 0 ||
			!sql_equal(found, expected))
			return object_fails(found, "is not as imd made it", error);
		if (object_next(found, error) < 0 || object_next(expected, error) < 0)
			return -1;
	}
	return 0;
}

int schema_compare(struct db *db, struct db *reference, struct error *error)
{
	struct object found = {.row = 0}, expected = {.row = 0};
	int ret = -1;

	if (object_first(db, &found, error) == 0 && object_first(reference, &expected, error) == 0)
		ret = compare_objects(&found, &expected, error);
	db_finish(found.statement);
	db_finish(expected.statement);
	return ret;
}
