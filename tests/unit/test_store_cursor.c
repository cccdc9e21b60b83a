/* Reading values of rows: each must be stored as what its column is for, for SQLite would convert it. */
#include <string.h>

#include "store/cursor.h"
#include "unit.h"

#define ID "'b1dc0a8f-4df7-896b-bc37-18ab756e3b04'"
#define STAMP "'2026-11-25T09:31:05.108137Z'"

static struct db *db;
static struct cursor cursor;

/* Opens a row of these values. */
static void read_row(const char *values)
{
	char sql[256];
	struct error error;

	snprintf(sql, sizeof sql, "SELECT %s", values);
	ck_assert_int_eq(db_open_memory(&db, &error), 0);
	ck_assert_int_eq(cursor_open(db, "nodes", sql, &cursor, &error), 0);
	ck_assert_int_eq(db_next(cursor.statement, &error), 1);
}

static void end_row(void)
{
	db_finish(cursor.statement);
	db_close(db);
}

static int parse_word(const char *word)
{
	return strcmp(word, "running") == 0 ? 7 : -1;
}

/* ---- one value read in every way ----------------------------------------------------------- */

enum reading { NUMBER, COUNT, TIME, ID_NEEDED, ID_OPTIONAL, WORD, TEXT, PEEK, BLOB, READINGS };

static const char *const names[READINGS] = {"number", "count", "time", "id", "optional id", "word",
	"text", "needed text", "blob"};

static void read_value(enum reading reading)
{
	struct id id;
	size_t len;

	switch (reading) {
	case NUMBER: cursor_number(&cursor, 0, "value", INT64_MAX); break;
	case COUNT: cursor_count(&cursor, 0, "value"); break;
	case TIME: cursor_time(&cursor, 0, "value", false); break;
	case ID_NEEDED: cursor_id(&cursor, 0, "value", true, &id); break;
	case ID_OPTIONAL: cursor_id(&cursor, 0, "value", false, &id); break;
	case WORD: cursor_word(&cursor, 0, "value", parse_word); break;
	case TEXT: free(cursor_text(&cursor, 0, "value", TEXT_NOTE_MAX)); break;
	case PEEK: cursor_peek(&cursor, 0, "value", TEXT_NOTE_MAX); break;
	case BLOB: cursor_blob(&cursor, 0, "value", &len); break;
	case READINGS: break;
	}
}

#define BIT(reading) (1u << (reading))
enum { TEXTS = BIT(TEXT) | BIT(PEEK), NULLS = BIT(COUNT) | BIT(TIME) | BIT(ID_OPTIONAL) | BIT(TEXT) };

static const struct {
	const char *value;
	unsigned accepted; /* by these readings */
} values[] = {
	{"NULL", NULLS},
	{"7", BIT(NUMBER) | BIT(COUNT)},
	{"-7", 0},
	{"7.0", 0},
	{"1.5", 0},
	{"'7'", TEXTS},
	{"x'37'", BIT(BLOB)},
	{"''", TEXTS},
	{"'running'", TEXTS | BIT(WORD)},
	{"x'72756e6e696e67'", BIT(BLOB)},              /* "running" */
	{"CAST(x'72756e6e696e6700' AS TEXT)", 0},      /* with a NUL after it, */
	{"CAST(x'610062' AS TEXT)", 0},                /* or in the middle */
	{"CAST(x'c3' AS TEXT)", TEXTS},                /* not UTF-8, as a note may be */
	{ID, TEXTS | BIT(ID_NEEDED) | BIT(ID_OPTIONAL)},
	{"CAST(" ID " AS BLOB)", BIT(BLOB)},
	{STAMP, TEXTS | BIT(TIME)},
	{"CAST(" STAMP " AS BLOB)", BIT(BLOB)},
};
enum { VALUES = sizeof values / sizeof values[0] };

START_TEST(a_value_of_another_type_is_noted)
{
	const char *value = values[_i].value;

	for (enum reading reading = 0; reading < READINGS; reading++) {
		bool accepted = values[_i].accepted & BIT(reading);
		struct error error;

		read_row(value);
		read_value(reading);
		ck_assert_msg(!cursor.wrong == accepted, "%s as %s", value, names[reading]);
		ck_assert_int_eq(cursor_check(&cursor, 12, &error), accepted ? 0 : -1);
		if (!accepted)
			ck_assert_str_eq(error.text, "table nodes, row 12: invalid value");
		end_row();
	}
}
END_TEST

START_TEST(a_user_has_a_number_and_a_name)
{
	static const struct {
		const char *values, *wrong;
	} users[] = {
		{"0, 'root'", NULL},
		{"NULL, NULL", NULL},
		{"NULL, 'root'", "uid"},
		{"0, NULL", "user"},
		{"'0', 'root'", "uid"},
		{"0.0, 'root'", "uid"},
		{"0, 7", "user"},
		{"0, x'726f6f74'", "user"},
		{"0, CAST(x'726f6f7400' AS TEXT)", "user"},
		{"NULL, 7", "user"},
		{"4294967296, 'root'", "uid"},
		{"0, '12345678901234567890123456789012'", NULL},
		{"0, '123456789012345678901234567890123'", "user"},
	};

	for (size_t i = 0; i < sizeof users / sizeof users[0]; i++) {
		struct origin origin;

		read_row(users[i].values);
		cursor_origin(&cursor, 0, "uid", "user", &origin);
		if (users[i].wrong)
			ck_assert_msg(cursor.wrong && strcmp(cursor.wrong, users[i].wrong) == 0, "%s: %s",
				users[i].values, cursor.wrong ? cursor.wrong : "accepted");
		else
			ck_assert_msg(!cursor.wrong, "%s", users[i].values);
		end_row();
	}
}
END_TEST

/* Reads a text of `len` bytes in one of two ways: whether it is accepted. */
static bool accepts_text(enum cursor_text_max max, int len, bool peek)
{
	char value[64];
	bool accepted;

	snprintf(value, sizeof value, "printf('%%.*c', %d, 'x')", len);
	read_row(value);
	if (peek)
		cursor_peek(&cursor, 0, "value", max);
	else
		free(cursor_text(&cursor, 0, "value", max));
	accepted = !cursor.wrong;
	end_row();
	return accepted;
}

START_TEST(a_text_is_at_most_as_long_as_its_column_allows)
{
	static const enum cursor_text_max longest[] = {TEXT_WORD_MAX, TEXT_AMOUNT_MAX, TEXT_GROUP_MAX,
		TEXT_NOTE_MAX, TEXT_ERROR_MAX};

	for (size_t i = 0; i < sizeof longest / sizeof longest[0]; i++)
		for (int peek = 0; peek < 2; peek++) {
			ck_assert(accepts_text(longest[i], (int)longest[i], peek));
			ck_assert(!accepts_text(longest[i], (int)longest[i] + 1, peek));
		}
}
END_TEST

START_TEST(a_query_for_a_number_takes_no_other_value)
{
	struct error error;
	int64_t number = 5;

	ck_assert_int_eq(db_open_memory(&db, &error), 0);
	ck_assert_int_eq(db_number(db, "SELECT 7", &number, &error), 0);
	ck_assert_int_eq(number, 7);
	ck_assert_int_eq(db_number(db, "SELECT '8'", &number, &error), -1);
	ck_assert_int_eq(db_number(db, "SELECT 8.5", &number, &error), -1);
	ck_assert_int_eq(db_number(db, "SELECT NULL", &number, &error), -1);
	ck_assert_int_eq(number, 7);
	db_close(db);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store, reading rows");
	TCase *tests = tcase_create("store, reading rows");

	tcase_add_loop_test(tests, a_value_of_another_type_is_noted, 0, VALUES);
	tcase_add_test(tests, a_user_has_a_number_and_a_name);
	tcase_add_test(tests, a_text_is_at_most_as_long_as_its_column_allows);
	tcase_add_test(tests, a_query_for_a_number_takes_no_other_value);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
