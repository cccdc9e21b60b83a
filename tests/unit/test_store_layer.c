/* The layer under a database: what it says of a log, and what it keeps of one in memory. */
#include <limits.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/mem.h"
#include "store/sqlite_layer.h"
#include "tree.h"
#include "unit.h"

static char top[] = "/tmp/imd-layer.XXXXXX";
static char database[PATH_MAX], log_path[PATH_MAX + 8];
static sqlite3 *sqlite;
static struct sqlite_watch watch;
static unsigned commits;

/* ---- memory -------------------------------------------------------------------------------- */

static bool no_memory;   /* for caches */
static unsigned blocks;  /* that were allocated for caches */

void *__real_mem_cache_realloc(void *memory, size_t size);
void *__wrap_mem_cache_realloc(void *memory, size_t size);

void *__wrap_mem_cache_realloc(void *memory, size_t size)
{
	if (no_memory)
		return NULL;
	blocks += memory == NULL;
	return __real_mem_cache_realloc(memory, size);
}

/* ---- the database -------------------------------------------------------------------------- */

static int64_t size_of(const char *path)
{
	struct stat status;

	must(stat(path, &status) == 0);
	return status.st_size;
}

/* The first log of the database has no frames of an earlier one after its end. */
static int on_committing(void *arg, int64_t pages)
{
	(void)arg;
	(void)pages;
	commits++;
	ck_assert_int_eq(watch.log_end, size_of(log_path));
	return 0;
}

static void must_run(const char *sql)
{
	ck_assert_msg(sqlite3_exec(sqlite, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(sqlite));
}

static void database_open(void)
{
	memcpy(top + sizeof top - sizeof "XXXXXX", "XXXXXX", sizeof "XXXXXX" - 1);
	ck_assert_ptr_nonnull(mkdtemp(top));
	snprintf(database, sizeof database, "%s/db", top);
	snprintf(log_path, sizeof log_path, "%s-wal", database);
	ck_assert_int_eq(sqlite3_open_v2(database, &sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
		sqlite_layer_name()), SQLITE_OK);
	must_run("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
	must_run("PRAGMA wal_autocheckpoint = 0");
	watch = (struct sqlite_watch){.committing = on_committing};
	sqlite_layer_watch(sqlite, &watch);
}

static void database_close(void)
{
	sqlite3_close(sqlite);
	tree_remove(top);
}

static sqlite3_file *log_file(void)
{
	sqlite3_file *file = NULL;

	ck_assert_int_eq(sqlite3_file_control(sqlite, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file), SQLITE_OK);
	return file;
}

/* Cuts the log to half, and returns whether the layer can write the rest again. */
static bool log_is_mended(void)
{
	int64_t size = size_of(log_path);

	ck_assert_int_gt(size, 0);
	ck_assert_int_eq(truncate(log_path, size / 2), 0);
	return sqlite_layer_mend(log_file(), size) == 0 && size_of(log_path) == size;
}

/* ---- the tests ----------------------------------------------------------------------------- */

/* A transaction that is larger than SQLite's cache writes frames before it commits. If it changes their pages once
 * more, SQLite writes over the frames, and at last the headers from there on, because of their checksums. */
START_TEST(the_end_of_a_log_is_known_after_a_transaction_that_spilled)
{
	must_run("CREATE TABLE t (a INTEGER PRIMARY KEY, b)");
	must_run("PRAGMA cache_size = 5; PRAGMA cache_spill = 5");
	must_run("BEGIN");
	must_run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
		"INSERT INTO t SELECT i, zeroblob(3000) FROM n");
	must_run("UPDATE t SET b = randomblob(3000)");
	must_run("COMMIT");
	must_run("INSERT INTO t VALUES (1000, 1)");
	ck_assert_uint_eq(commits, 3);
}
END_TEST

/* What a transaction has written that was rolled back is not needed. */
START_TEST(the_end_of_a_log_is_known_after_a_rollback)
{
	must_run("CREATE TABLE t (a INTEGER PRIMARY KEY, b)");
	must_run("PRAGMA cache_size = 5; PRAGMA cache_spill = 5");
	must_run("BEGIN");
	must_run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
		"INSERT INTO t SELECT i, zeroblob(3000) FROM n");
	ck_assert_int_gt(size_of(log_path), 50 * 4096);
	must_run("ROLLBACK");
	ck_assert_int_eq(log_file()->pMethods->xTruncate(log_file(), 32 + 2 * (24 + 4096)), SQLITE_OK);
	must_run("INSERT INTO t VALUES (1000, 1)");
	ck_assert_uint_eq(commits, 2);
}
END_TEST

START_TEST(a_log_is_kept_in_memory_that_can_be_spared)
{
	must_run("CREATE TABLE t (a)");
	ck_assert_uint_eq(blocks, 1);
	ck_assert(log_is_mended());
	must_run("PRAGMA wal_checkpoint(TRUNCATE)");
	no_memory = true;
	must_run("INSERT INTO t VALUES (zeroblob(1 << 20))");
	ck_assert(!log_is_mended());
}
END_TEST

START_TEST(an_empty_log_takes_no_memory)
{
	must_run("CREATE TABLE t (a)");
	for (unsigned i = 1; i < 4; i++) {
		must_run("INSERT INTO t VALUES (zeroblob(1 << 20))");
		ck_assert_uint_eq(blocks, i);
		must_run("PRAGMA wal_checkpoint(TRUNCATE)");
		ck_assert_int_eq(size_of(log_path), 0);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store, the layer");
	TCase *tests = tcase_create("store, the layer");

	tcase_set_timeout(tests, 300);
	tcase_add_checked_fixture(tests, database_open, database_close);
	tcase_add_test(tests, the_end_of_a_log_is_known_after_a_transaction_that_spilled);
	tcase_add_test(tests, the_end_of_a_log_is_known_after_a_rollback);
	tcase_add_test(tests, a_log_is_kept_in_memory_that_can_be_spared);
	tcase_add_test(tests, an_empty_log_takes_no_memory);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
