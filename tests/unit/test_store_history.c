/* What a state file says of its history (store/schema.h): its incarnation, and how many transactions led to it. */
#include <sys/stat.h>

#include "store/schema.h"
#include "store_log.h"
#include "store_story.h"

static char scratch_path[PATH_MAX];

static void begin(void)
{
	make_directory();
	snprintf(scratch_path, sizeof scratch_path, "%s/scratch.db", directory);
	keep_begin(open_file(path, runner_at_once()));
}

static void end(void)
{
	store_close(keep.store);
	keep_end();
	remove_directory();
}

static void reopen(void)
{
	store_close(keep.store);
	keep.store = open_file(path, runner_at_once());
}

static struct log_history history_without_log(void)
{
	struct log_history alone, whole;

	log_read_both(path, scratch_path, &alone, &whole);
	return alone;
}

static struct log_history history(void)
{
	struct log_history alone, whole;

	log_read_both(path, scratch_path, &alone, &whole);
	return whole;
}

static void probe_done(void *arg, const struct error *error)
{
	(void)arg;
	ck_assert_ptr_null(error);
}

/* A log is there from the first transaction after the file was put into use. It is not checkpointed so early. */
START_TEST(every_transaction_in_the_log_is_counted_once)
{
	struct log_history first;

	begin();
	first = history_without_log();
	for (unsigned count = 1; count <= 30; count++) {
		if (count % 5 == 0) {
			keep.store->ops->probe(keep.store, probe_done, NULL);
		} else {
			keep_update(count % 3 == 0 ? "web" : "default", count % 7, count, "a note");
			keep_answer_all();
			must_commit();
		}
		ck_assert_uint_eq(log_transactions(path), count);
		ck_assert_int_eq(history_without_log().commits, first.commits);
		ck_assert_int_eq(history().commits, first.commits + count);
	}
	end();
}
END_TEST

START_TEST(a_commit_without_changes_is_counted)
{
	begin();
	must_commit();
	must_commit();
	ck_assert_uint_eq(log_transactions(path), 2);
	ck_assert_int_eq(history().commits - history_without_log().commits, 2);
	end();
}
END_TEST

/* The log begins again and again, and the file takes its pages over. */
START_TEST(a_log_continues_the_file_at_every_moment)
{
	begin();
	for (unsigned i = 1; i <= 60; i++) {
		keep_update("default", i % 2 ? 300 : 1, i, "a note");
		keep_answer_all();
		must_commit();
		log_check(path, scratch_path);
	}
	ck_assert_int_lt(log_transactions(path), 60);
	end();
}
END_TEST

START_TEST(a_file_has_its_incarnation_before_it_has_a_log)
{
	begin();
	ck_assert_uint_eq(log_transactions(path), 0);
	ck_assert_str_ne(history_without_log().incarnation, "");
	end();
}
END_TEST

START_TEST(opening_a_file_again_changes_nothing)
{
	struct log_history before, after;

	begin();
	must_commit();
	before = history();
	reopen();
	after = history();
	ck_assert_str_eq(after.incarnation, before.incarnation);
	ck_assert_int_eq(after.commits, before.commits);
	end();
}
END_TEST

START_TEST(a_copy_has_no_incarnation_until_it_is_used)
{
	struct log_history original, copied, used;

	begin();
	must_commit();
	original = history();
	copy_start();
	ck_assert(!copy_failed);
	must_have_no_snapshot();
	log_read_history(copy_path, &copied);
	ck_assert_str_eq(copied.incarnation, "");
	ck_assert_str_eq(history().incarnation, original.incarnation);
	store_close(keep.store);
	ck_assert_int_eq(rename(copy_path, path), 0);
	keep.store = open_file(path, runner_at_once());
	used = history_without_log();
	ck_assert_str_ne(used.incarnation, "");
	ck_assert_str_ne(used.incarnation, original.incarnation);
	end();
}
END_TEST

START_TEST(each_use_of_a_copy_has_an_incarnation_of_its_own)
{
	struct log_history first;

	begin();
	copy_start();
	ck_assert(!copy_failed);
	store_close(keep.store);
	file_copy(copy_path, path, "");
	keep.store = open_file(path, runner_at_once());
	first = history();
	store_close(keep.store);
	ck_assert_int_eq(rename(copy_path, path), 0);
	keep.store = open_file(path, runner_at_once());
	ck_assert_str_ne(history().incarnation, first.incarnation);
	end();
}
END_TEST

/* The graph that the group's next change will get. */
static struct id next_graph(void)
{
	struct error error;

	if (keep_load(&error) < 0)
		ck_abort_msg("%s", error.text);
	return keep.core.groups[0]->next_graph;
}

START_TEST(the_graphs_of_each_use_of_a_copy_have_other_ids)
{
	struct id original, first, second;

	begin();
	keep_update("default", 2, 1, NULL);
	must_commit();
	copy_start();
	ck_assert(!copy_failed);
	original = next_graph();
	store_close(keep.store);
	file_copy(copy_path, path, "");
	keep.store = open_file(path, runner_at_once());
	first = next_graph();
	reopen();
	second = next_graph();
	ck_assert(id_equal(&first, &second));
	store_close(keep.store);
	ck_assert_int_eq(rename(copy_path, path), 0);
	keep.store = open_file(path, runner_at_once());
	second = next_graph();
	ck_assert(!id_equal(&original, &first) && !id_equal(&original, &second) && !id_equal(&first, &second));
	end();
}
END_TEST

static void run_sql(const char *name, const char *sql)
{
	sqlite3 *sqlite;

	ck_assert_int_eq(sqlite3_open(name, &sqlite), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(sqlite, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(sqlite);
}

/* As a dump of a state that is read back, it has the incarnation of the state. */
START_TEST(a_file_that_sqlite_made_of_a_state_gets_another)
{
	struct log_history original, made;
	char sql[PATH_MAX + 32];

	begin();
	must_commit();
	original = history();
	store_close(keep.store);
	snprintf(sql, sizeof sql, "VACUUM INTO '%s'", copy_path);
	run_sql(path, sql);
	log_read_history(copy_path, &made);
	ck_assert_str_eq(made.incarnation, original.incarnation);
	ck_assert_int_eq(rename(copy_path, path), 0);
	ck_assert_int_eq(chmod(path, 0600), 0);
	keep.store = open_file(path, runner_at_once());
	made = history();
	ck_assert_str_ne(made.incarnation, original.incarnation);
	reopen();
	ck_assert_str_eq(history().incarnation, made.incarnation);
	end();
}
END_TEST

static void forget(void)
{
	struct error error;
	struct db *db;

	if (db_open(path, path, false, &db, &error) < 0 || schema_forget_incarnation(db, &error) < 0)
		ck_abort_msg("%s", error.text);
	db_close(db);
}

/* As after a restore into a file that was in use. */
START_TEST(a_file_that_forgot_its_incarnation_gets_another)
{
	struct log_history before, forgotten;

	begin();
	must_commit();
	before = history();
	store_close(keep.store);
	forget();
	log_read_history(path, &forgotten);
	ck_assert_str_eq(forgotten.incarnation, "");
	keep.store = open_file(path, runner_at_once());
	ck_assert_str_ne(history().incarnation, "");
	ck_assert_str_ne(history().incarnation, before.incarnation);
	end();
}
END_TEST

START_TEST(a_copy_that_is_only_read_gets_no_incarnation)
{
	struct log_history copied;
	struct store *store;
	struct error error;

	begin();
	copy_start();
	ck_assert(!copy_failed);
	if (store_file_open_copy(copy_path, runner_at_once(), &store, &error) < 0)
		ck_abort_msg("%s", error.text);
	store_close(store);
	log_read_history(copy_path, &copied);
	ck_assert_str_eq(copied.incarnation, "");
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store, the history of a file");
	TCase *tests = tcase_create("store, the history of a file");

	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, every_transaction_in_the_log_is_counted_once);
	tcase_add_test(tests, a_commit_without_changes_is_counted);
	tcase_add_test(tests, a_log_continues_the_file_at_every_moment);
	tcase_add_test(tests, a_file_has_its_incarnation_before_it_has_a_log);
	tcase_add_test(tests, opening_a_file_again_changes_nothing);
	tcase_add_test(tests, a_copy_has_no_incarnation_until_it_is_used);
	tcase_add_test(tests, each_use_of_a_copy_has_an_incarnation_of_its_own);
	tcase_add_test(tests, the_graphs_of_each_use_of_a_copy_have_other_ids);
	tcase_add_test(tests, a_file_that_sqlite_made_of_a_state_gets_another);
	tcase_add_test(tests, a_file_that_forgot_its_incarnation_gets_another);
	tcase_add_test(tests, a_copy_that_is_only_read_gets_no_incarnation);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
