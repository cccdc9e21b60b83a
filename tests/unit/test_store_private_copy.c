/* The private copy in which a state is checked: what of it can be seen by others, and for how long. */
#include <dirent.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"
#include "tree.h"
#include "unit.h"

static char top[] = "/tmp/imd-copy.XXXXXX";
static char state[PATH_MAX], scratch[PATH_MAX];

static void new_id(void *arg, struct id *ret_id)
{
	(void)arg;
	memset(ret_id, 1, sizeof *ret_id);
}

static void top_make(void)
{
	static const struct id_source ids = {.new_id = new_id};
	struct store *store;
	struct error error;

	memcpy(top + sizeof top - sizeof "XXXXXX", "XXXXXX", sizeof "XXXXXX" - 1);
	ck_assert_ptr_nonnull(mkdtemp(top));
	snprintf(scratch, sizeof scratch, "%s/scratch", top);
	snprintf(state, sizeof state, "%s/imd.db", top);
	ck_assert_int_eq(mkdir(scratch, 0700), 0);
	ck_assert_int_eq(setenv("TMPDIR", scratch, 1), 0);
	ck_assert_msg(store_file_open(state, &ids, runner_at_once(), &store, &error) == 0, "%s", error.text);
	ck_assert_msg(store->ops->accept(store, &error) >= 0, "%s", error.text);
	store->ops->free(store);
}

static void top_remove(void)
{
	tree_remove(top);
}

/* The one entry of a directory, as a path; NULL if it is empty. */
static const char *only_entry(const char *directory)
{
	static char path[PATH_MAX + NAME_MAX];
	const char *found = NULL;
	const struct dirent *entry;
	DIR *entries = opendir(directory);

	ck_assert_ptr_nonnull(entries);
	while ((entry = readdir(entries)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		ck_assert_ptr_null(found);
		snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
		found = path;
	}
	closedir(entries);
	return found;
}

/* If the directory went earlier, others could make one of its name, and SQLite would use what they put there. */
START_TEST(its_directory_is_empty_and_stays_until_the_check_ends)
{
	char directory[PATH_MAX];
	struct store *store;
	struct error error;
	struct stat status;

	ck_assert_msg(store_file_open_copy(state, runner_at_once(), &store, &error) == 0, "%s", error.text);
	ck_assert_ptr_nonnull(only_entry(scratch));
	strcpy(directory, only_entry(scratch));
	ck_assert_int_eq(lstat(directory, &status), 0);
	ck_assert(S_ISDIR(status.st_mode));
	ck_assert_uint_eq(status.st_mode & 07777, 0700);
	ck_assert_ptr_null(only_entry(directory));
	ck_assert_msg(store_file_verify(store, &error) == 0, "%s", error.text);
	ck_assert_ptr_null(only_entry(directory));
	store->ops->free(store);
	ck_assert_ptr_null(only_entry(scratch));
}
END_TEST

START_TEST(a_check_that_is_refused_leaves_nothing)
{
	struct store *store;
	struct error error;

	ck_assert_int_eq(truncate(state, 5000), 0);
	ck_assert_int_eq(store_file_open_copy(state, runner_at_once(), &store, &error), -1);
	ck_assert_ptr_null(only_entry(scratch));
	ck_assert_int_eq(unlink(state), 0);
	ck_assert_int_eq(store_file_open_copy(state, runner_at_once(), &store, &error), -1);
	ck_assert_ptr_null(only_entry(scratch));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("private copy");
	TCase *tests = tcase_create("private copy");

	tcase_add_checked_fixture(tests, top_make, top_remove);
	tcase_add_test(tests, its_directory_is_empty_and_stays_until_the_check_ends);
	tcase_add_test(tests, a_check_that_is_refused_leaves_nothing);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
