/* What every store promises, and what a store that keeps things promises beyond it: whatever happens to a
 * core, and however its changes are gathered into commits, what is loaded is what was committed. */
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "store/snapshot.h"
#include "store_log.h"
#include "store_story.h"

static struct store *open_state(void)
{
	return open_file(path, runner_at_once());
}

static struct store *memory_new(void)
{
	return store_memory_new(&incarnations);
}

/* ---- every store --------------------------------------------------------------------------- */

static const struct kind {
	const char *name;
	struct store *(*open)(void);
	bool keeps; /* what was committed is there when it is opened again */
} kinds[] = {
	{"memory", memory_new, false},
	{"sqlite", open_state, true},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void begin(const struct kind *kind)
{
	keep_begin(kind->open());
	ck_assert_str_eq(keep.store->ops->name, kind->name);
}

static void end(void)
{
	store_close(keep.store);
	keep_end();
}

/* Closes the store, opens it again, and goes on with what was stored. */
static void reopen(const struct kind *kind, const char *when)
{
	char *before = state_text(&keep.core);
	uint64_t seq = keep.seq;

	store_close(keep.store);
	keep.store = kind->open();
	keep_load_as(before, when);
	must(keep.seq == seq);
	free(before);
	keep_load_end();
}

START_TEST(a_new_store_has_nothing)
{
	char *before;

	begin(&kinds[_i]);
	before = state_text(&keep.core);
	keep.seq = 7;
	keep_load_as(before, kinds[_i].name);
	ck_assert_uint_eq(keep.seq, 0);
	keep_load_end();
	ck_assert_uint_eq(keep.core.group_count, 1);
	ck_assert_uint_eq(keep.core.nodes.used, 0);
	ck_assert_uint_eq(keep.core.next_serial, 1);
	free(before);
	end();
}
END_TEST

START_TEST(each_commit_is_done_once)
{
	const struct kind *kind = &kinds[_i];

	begin(kind);
	keep_update("default", 3, 1, "the first");
	must_commit();
	ck_assert_uint_eq(keep.done, 1);
	keep_answer_all();
	keep_update("web", 2, 1, NULL);
	must_commit();
	ck_assert_uint_eq(keep.done, 2);
	/* With nothing to store but the number of an event; and with not even that. */
	must_commit();
	keep.seq--;
	must_commit();
	ck_assert_uint_eq(keep.done, 4);
	if (kind->keeps)
		reopen(kind, "after four commits");
	end();
}
END_TEST

START_TEST(a_copy)
{
	const struct kind *kind = &kinds[_i];

	begin(kind);
	copies_done = 0;
	copy_start();
	ck_assert_uint_eq(copies_done, 1);
	ck_assert(copy_failed == !kind->keeps);
	if (!kind->keeps)
		ck_assert_int_eq(copy_error.code, ERR_CONFLICT);
	ck_assert((access(copy_path, F_OK) == 0) == kind->keeps);
	must_have_no_snapshot();
	end();
}
END_TEST

/* It needs no log beside it: bytes 18 and 19 say so (https://www.sqlite.org/fileformat2.html). */
START_TEST(a_copy_is_a_plain_file)
{
	char header[20];
	FILE *file;

	begin(&kinds[1]);
	must_commit();
	copy_start();
	ck_assert(!copy_failed);
	file = fopen(copy_path, "r");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fread(header, 1, sizeof header, file), sizeof header);
	fclose(file);
	ck_assert_str_eq(header, "SQLite format 3");
	ck_assert_int_eq(header[18], 1);
	ck_assert_int_eq(header[19], 1);
	end();
}
END_TEST

START_TEST(there_is_one_copy_at_a_time)
{
	struct error error;

	begin(&kinds[1]);
	for (unsigned i = 0; i < 3; i++) {
		struct store_copy *copy = keep.store->ops->copy_begin(keep.store, &error);

		ck_assert_ptr_nonnull(copy);
		ck_assert_ptr_null(keep.store->ops->copy_begin(keep.store, &error));
		ck_assert_int_eq(error.code, ERR_CONFLICT);
		keep.store->ops->copy_end(copy);
	}
	ck_assert_ptr_nonnull(keep.store->ops->copy_begin(keep.store, &error));
	end(); /* which frees it, too */
}
END_TEST

static void make_file(const char *name)
{
	char full[PATH_MAX + 64];
	FILE *file;

	snprintf(full, sizeof full, "%s/%s", directory, name);
	file = fopen(full, "w");
	ck_assert_ptr_nonnull(file);
	fclose(file);
}

static bool take_file(const char *name)
{
	char full[PATH_MAX + 64];

	snprintf(full, sizeof full, "%s/%s", directory, name);
	return unlink(full) == 0;
}

/* By a daemon that was killed just when it had created the file. */
START_TEST(what_a_crash_has_left_is_removed)
{
	static const char *const others[] = {
		".state.db.imd-copy.abc12", ".state.db.imd-copy.abc1234", ".state.db.imd-copy.abc12-",
		"state.db.imd-copy.abc123", ".other.db.imd-copy.abc123",
	};
	static const char leftover[] = ".state.db.imd-copy.abc123", link_name[] = ".state.db.imd-copy.Zyx987";
	char full[PATH_MAX + 64];

	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		make_file(others[i]);
	snprintf(full, sizeof full, "%s/%s", directory, link_name);
	ck_assert_int_eq(symlink(others[0], full), 0);
	make_file(leftover);
	begin(&kinds[1]);
	ck_assert(!take_file(leftover));
	make_file(leftover);
	copy_start();
	ck_assert(!copy_failed);
	ck_assert(!take_file(leftover));
	end();
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		ck_assert(take_file(others[i]));
	ck_assert(take_file(link_name));
}
END_TEST

/* Whatever the umask: it has the rights that SQLite needs, and no more. Nobody can open it, because it has no name. */
START_TEST(the_snapshot_is_its_owners_alone)
{
	int state_directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct snapshot snapshot;
	struct stat status;
	struct error error;

	ck_assert_int_ge(state_directory, 0);
	for (unsigned i = 0; i < 2; i++) {
		mode_t mask = umask(i == 0 ? 0 : 0777);

		ck_assert_int_eq(snapshot_create(&snapshot, state_directory, "state.db", &error), 0);
		umask(mask);
		ck_assert_int_eq(fstat(snapshot.fd, &status), 0);
		ck_assert_uint_eq(status.st_mode & 0777, 0600);
		ck_assert_uint_eq(status.st_nlink, 0);
		must_have_no_snapshot();
		snapshot_close(&snapshot);
	}
	close(state_directory);
}
END_TEST

/* A graph that is not kept, and one that has not ended. */
START_TEST(graphs_that_are_not_read_back)
{
	begin(&kinds[1]);
	keep_update("default", 2, 1, NULL);
	must_commit();
	for (uint64_t serial = 0; serial < 3; serial++) {
		keep.store->ops->fetch(keep.store, serial, keep_fetched, NULL);
		ck_assert_uint_eq(keep.fetched, serial + 1);
		ck_assert(keep.failed && keep.error.code == ERR_GONE);
	}
	end();
}
END_TEST

/* ---- stores that keep: random stories ------------------------------------------------------ */

/* A copy is loaded as the state itself would be. */
static void check_copy(void)
{
	char *before = state_text(&keep.core), *after;
	struct core fresh;
	struct store *copy;
	struct error error;
	struct store_history history;

	copies_done = 0;
	copy_start();
	must(copies_done == 1 && !copy_failed);
	copy = open_file_to_read(copy_path);
	core_init(&fresh, &keep.config);
	must(copy->ops->load(copy, &fresh, &history, &error) == 0 && history.event_seq == keep.seq);
	after = state_text(&fresh);
	state_expect(after, before, "of a copy");
	core_fini(&fresh);
	store_close(copy);
	must(unlink(copy_path) == 0);
	free(before);
	free(after);
}

/* What is gone has left nothing behind, which loading would not meet. */
static void check_rows(void)
{
	static const char *const counts[] = {
		"SELECT count(*) FROM tasks WHERE graph NOT IN (SELECT serial FROM graphs)",
		"SELECT count(*) FROM plans WHERE graph NOT IN (SELECT serial FROM graphs)",
		"SELECT count(*) FROM specs WHERE group_name NOT IN (SELECT name FROM groups)",
	};
	sqlite3_stmt *statement;
	sqlite3 *sqlite;

	must(sqlite3_open(path, &sqlite) == SQLITE_OK);
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		must(sqlite3_prepare_v2(sqlite, counts[i], -1, &statement, NULL) == SQLITE_OK);
		must(sqlite3_step(statement) == SQLITE_ROW);
		must(sqlite3_column_int64(statement, 0) == 0);
		sqlite3_finalize(statement);
	}
	must(sqlite3_close(sqlite) == SQLITE_OK);
}

/* Every so many commits the store is looked at, by a copy or by opening it again. Up to `gather`
 * events are in one commit. */
static void random_story(const struct kind *kind, uint64_t seed)
{
	uint32_t gather, look;

	random_state = unit_seed = seed;
	begin(kind);
	gather = 1 + random_below(30);
	look = 1 + random_below(20);
	for (uint32_t commits = 1; commits <= 60; commits++) {
		for (uint32_t events = 1 + random_below(gather); events > 0; events--)
			random_event();
		must_commit();
		must(keep_fetch_all());
		if (commits % look == 0 && random_below(3))
			reopen(kind, "opened again");
		else if (commits % look == 0)
			check_copy();
	}
	reopen(kind, "at the end");
	must(store_file_verify(keep.store, NULL) == 0);
	end();
	check_rows();
	must(unlink(path) == 0);
}

enum { STORIES = 100 };

START_TEST(random_stories)
{
	const char *many = getenv("IMD_TEST_STORIES");
	uint32_t stories = many ? (uint32_t)atoi(many) : STORIES;

	if (!kinds[_i].keeps)
		return;
	unit_take_seed();
	for (uint64_t seed = unit_seed, i = 0; i < stories; i++)
		random_story(&kinds[_i], seed + i);
}
END_TEST

/* ---- files that are not to be used --------------------------------------------------------- */

typedef int open_fn(const char *, struct runner *, struct store **, struct error *);

static int open_to_use(const char *name, struct runner *runner, struct store **ret_store, struct error *error)
{
	return store_open(name, runner, ret_store, error);
}

static void expect_refused(const char *name, open_fn *open, const char *why)
{
	struct store *store;
	struct error error;

	ck_assert_int_eq(open(name, runner_at_once(), &store, &error), -1);
	ck_assert_int_eq(error.code, ERR_STORAGE);
	ck_assert_msg(strstr(error.text, why) && strstr(error.text, name), "%s", error.text);
}

static void run_sql(const char *sql)
{
	sqlite3 *sqlite;

	ck_assert_int_eq(sqlite3_open(path, &sqlite), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(sqlite, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(sqlite);
}

START_TEST(files_that_are_refused)
{
	struct store *store;
	FILE *file;

	expect_refused(path, store_file_open_copy, "No such file");
	ck_assert_int_eq(access(path, F_OK), -1);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	expect_refused(path, open_to_use, "is a directory");
	ck_assert_int_eq(rmdir(path), 0);
	expect_refused("/nowhere/state.db", open_to_use, "No such file");
	store = open_state();
	expect_refused(path, open_to_use, "in use");
	store_close(store);
	run_sql("PRAGMA user_version = 99");
	expect_refused(path, open_to_use, "newer imd");
	run_sql("PRAGMA application_id = 5");
	expect_refused(path, open_to_use, "not a state file");
	file = fopen(path, "w");
	fputs("This is a text, and not a short one: it is longer than the header of a database, which"
		" has a hundred bytes.\n", file);
	fclose(file);
	expect_refused(path, open_to_use, "not a state file");
}
END_TEST

/* ---- files that change while they are opened ----------------------------------------------- */

static const char *const parts[] = {"", "-wal"};
enum { PARTS = sizeof parts / sizeof parts[0] };

static void part_rename(const char *from, const char *to, const char *part)
{
	char old[PATH_MAX + 8], new[PATH_MAX + 8];

	snprintf(old, sizeof old, "%s%s", from, part);
	snprintf(new, sizeof new, "%s%s", to, part);
	must(rename(old, new) == 0);
}

/* A state that was loaded and may not be written to yet. */
static void state_load(void)
{
	struct error error;

	begin(&kinds[1]);
	keep_update("default", 3, 1, NULL);
	must_commit();
	store_close(keep.store);
	must(store_file_open(path, &incarnations, runner_at_once(), &keep.store, &error) == 0);
	must(keep_load(&error) == 0);
}

static void must_not_be_accepted(const char *why)
{
	struct error error;

	must(keep.store->ops->accept(keep.store, &error) == -1);
	ck_assert_int_eq(error.code, ERR_STORAGE);
	ck_assert_msg(strstr(error.text, why) && strstr(error.text, path), "%s", error.text);
}

static void must_be_as_it_was(void)
{
	char *before = state_text(&keep.core);

	keep.store = open_state();
	keep_load_as(before, "opened again");
	free(before);
	end();
}

/* By a copy that has all that it had. What would be written to the file that is open is in no file with a name. */
START_TEST(a_file_that_is_replaced_while_it_is_loaded_is_refused)
{
	state_load();
	part_rename(path, copy_path, parts[_i]);
	file_copy(copy_path, path, parts[_i]);
	must_not_be_accepted("replaced or removed while it was opened");
	store_close(keep.store);
	part_rename(copy_path, path, parts[_i]);
	must_be_as_it_was();
}
END_TEST

START_TEST(only_its_owner_may_read_it)
{
	struct stat status;

	begin(&kinds[1]);
	keep_update("default", 1, 1, NULL);
	must_commit();
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 0777, 0600);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store, the contract");
	TCase *tests = tcase_create("store, the contract");

	tcase_set_timeout(tests, 300);
	tcase_add_checked_fixture(tests, make_directory, remove_directory);
	tcase_add_loop_test(tests, a_new_store_has_nothing, 0, KINDS);
	tcase_add_loop_test(tests, each_commit_is_done_once, 0, KINDS);
	tcase_add_loop_test(tests, a_copy, 0, KINDS);
	tcase_add_test(tests, a_copy_is_a_plain_file);
	tcase_add_test(tests, there_is_one_copy_at_a_time);
	tcase_add_test(tests, what_a_crash_has_left_is_removed);
	tcase_add_test(tests, the_snapshot_is_its_owners_alone);
	tcase_add_loop_test(tests, random_stories, 0, KINDS);
	tcase_add_test(tests, graphs_that_are_not_read_back);
	tcase_add_test(tests, files_that_are_refused);
	tcase_add_loop_test(tests, a_file_that_is_replaced_while_it_is_loaded_is_refused, 0, PARTS);
	tcase_add_test(tests, only_its_owner_may_read_it);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
