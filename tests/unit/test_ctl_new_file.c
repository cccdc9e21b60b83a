/* Files of imctl that appear whole or not at all, also where the file system knows no RENAME_NOREPLACE, or has no
 * links: the linker hands these calls to the test. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/new_file.h"
#include "unit.h"

static int rename_fails, link_fails; /* with this error number; 0: they work */

int __real_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int __real_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);

int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	if (rename_fails == 0)
		return __real_renameat2(from_fd, from, to_fd, to, flags);
	errno = rename_fails;
	return -1;
}

int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	if (link_fails == 0)
		return __real_linkat(from_fd, from, to_fd, to, flags);
	errno = link_fails;
	return -1;
}

/* The file systems that there are. */
static const struct {
	int rename_fails, link_fails;
} kinds[] = {{0, 0}, {EINVAL, 0}, {ENOSYS, 0}, {EINVAL, EPERM}, {EINVAL, EOPNOTSUPP}, {EINVAL, EMLINK}};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static char directory[32];
static char path[PATH_MAX];

static void begin(void)
{
	strcpy(directory, "/tmp/imctl-file-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/copy.db", directory);
	rename_fails = link_fails = 0;
}

/* What is in the directory. */
static unsigned count_names(void)
{
	DIR *names = opendir(directory);
	unsigned count = 0;

	ck_assert_ptr_nonnull(names);
	while (readdir(names) != NULL)
		count++;
	closedir(names);
	return count - 2;
}

static void end(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(directory), 0);
}

static void put(const char *text)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static void expect_text(const char *text)
{
	char is[64] = "";
	FILE *file = fopen(path, "r");

	ck_assert_ptr_nonnull(file);
	ck_assert_ptr_nonnull(fgets(is, sizeof is, file));
	fclose(file);
	ck_assert_str_eq(is, text);
}

static void must_begin(struct new_file *file, const char *name, bool replace)
{
	struct error error;

	if (new_file_begin(file, name, replace, &error) < 0)
		ck_abort_msg("%s", error.text);
	ck_assert_int_eq(new_file_write(file, "new", 3, &error), 0);
}

static void expect_refused(const char *name, bool replace, const char *why)
{
	struct new_file file;
	struct error error;

	ck_assert_int_eq(new_file_begin(&file, name, replace, &error), -1);
	ck_assert_msg(strstr(error.text, why) != NULL, "%s", error.text);
}

START_TEST(it_appears_at_the_end)
{
	struct new_file file;
	struct error error;
	struct stat status;
	mode_t mask;

	rename_fails = kinds[_i].rename_fails;
	link_fails = kinds[_i].link_fails;
	mask = umask(_i % 2 ? 0 : 0777);
	must_begin(&file, path, false);
	umask(mask);
	ck_assert_int_eq(access(path, F_OK), -1);
	ck_assert_int_eq(new_file_finish(&file, &error), 0);
	new_file_end(&file);
	expect_text("new");
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0600);
	ck_assert_uint_eq(count_names(), 1);
}
END_TEST

START_TEST(what_comes_meanwhile_is_kept)
{
	struct new_file file;
	struct error error;

	rename_fails = kinds[_i].rename_fails;
	link_fails = kinds[_i].link_fails;
	must_begin(&file, path, false);
	put("other");
	ck_assert_int_eq(new_file_finish(&file, &error), -1);
	ck_assert_int_eq(error.code, ERR_CONFLICT);
	new_file_end(&file);
	expect_text("other");
	ck_assert_uint_eq(count_names(), 1);
}
END_TEST

START_TEST(what_is_not_finished_is_removed)
{
	struct new_file file;

	must_begin(&file, path, false);
	ck_assert_uint_eq(count_names(), 1);
	new_file_end(&file);
	ck_assert_uint_eq(count_names(), 0);
}
END_TEST

START_TEST(a_file_is_replaced_only_if_asked)
{
	struct new_file file;
	struct error error;

	put("old");
	expect_refused(path, false, "already exists");
	must_begin(&file, path, true);
	expect_text("old");
	ck_assert_int_eq(new_file_finish(&file, &error), 0);
	new_file_end(&file);
	expect_text("new");
	ck_assert_uint_eq(count_names(), 1);
}
END_TEST

START_TEST(only_a_file_is_replaced)
{
	ck_assert_int_eq(symlink("nowhere", path), 0);
	for (unsigned replace = 0; replace < 2; replace++)
		expect_refused(path, replace, "is a symbolic link");
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	for (unsigned replace = 0; replace < 2; replace++)
		expect_refused(path, replace, "is a FIFO");
	expect_refused("/tmp", true, "is a directory");
	expect_refused("/dev/null", true, "is a device");
	expect_refused("/tmp/", true, "is not the name of a file");
	expect_refused(".", true, "is not the name of a file");
	expect_refused("/", true, "is not the name of a file");
	expect_refused("/nowhere/copy.db", false, "No such file");
	expect_refused("/dev/null/copy.db", false, "Not a directory");
	ck_assert_uint_eq(count_names(), 1);
}
END_TEST

/* The name of the temporary file is longer. */
START_TEST(a_name_may_be_as_long_as_any)
{
	char name[NAME_MAX + 2];
	struct new_file file;
	struct error error;

	memset(name, 'n', sizeof name);
	name[NAME_MAX] = '\0';
	snprintf(path, sizeof path, "%s/%s", directory, name);
	must_begin(&file, path, false);
	ck_assert_int_eq(new_file_finish(&file, &error), 0);
	new_file_end(&file);
	expect_text("new");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("new files");
	TCase *tests = tcase_create("new files");

	tcase_add_checked_fixture(tests, begin, end);
	tcase_add_loop_test(tests, it_appears_at_the_end, 0, KINDS);
	tcase_add_loop_test(tests, what_comes_meanwhile_is_kept, 0, KINDS);
	tcase_add_test(tests, what_is_not_finished_is_removed);
	tcase_add_test(tests, a_file_is_replaced_only_if_asked);
	tcase_add_test(tests, only_a_file_is_replaced);
	tcase_add_test(tests, a_name_may_be_as_long_as_any);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
