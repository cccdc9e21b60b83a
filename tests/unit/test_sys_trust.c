/* Trusted paths: which ones are refused, and that what is checked is what is used. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/overflow.h"
#include "sys/trust.h"
#include "tree.h"
#include "unit.h"

enum { OTHER = 61001 };

static char top[] = "/tmp/imd-trust.XXXXXX";
static struct trust_path found;
static struct error error;

static void top_make(void)
{
	memcpy(top + sizeof top - sizeof "XXXXXX", "XXXXXX", sizeof "XXXXXX" - 1);
	ck_assert_ptr_nonnull(mkdtemp(top));
	ck_assert_int_eq(chdir(top), 0);
	ck_assert_int_eq(mkdir("a", 0755), 0);
	ck_assert_int_eq(mkdir("a/b", 0755), 0);
	ck_assert_int_eq(close(open("a/b/file", O_CREAT | O_EXCL | O_WRONLY, 0600)), 0);
	found = (struct trust_path){.directory = -1};
}

static void top_remove(void)
{
	trust_path_fini(&found);
	ck_assert_int_eq(chdir("/"), 0);
	tree_remove(top);
}

static void leads_to(const char *path, enum trust_last last, const char *expected)
{
	char whole[PATH_MAX];

	snprintf(whole, sizeof whole, "%s%s", top, expected);
	ck_assert_msg(trust_resolve(path, last, &found, &error) == 0, "%s: %s", path, error.text);
	ck_assert_str_eq(found.path, whole);
	trust_path_fini(&found);
}

static void is_refused(const char *path, enum trust_last last, int failed, const char *text)
{
	ck_assert_int_eq(trust_resolve(path, last, &found, &error), -1);
	ck_assert_int_eq(errno, failed);
	ck_assert_msg(strstr(error.text, text) != NULL, "%s: %s", path, error.text);
	ck_assert_int_eq(error.code, failed == EPERM ? ERR_DENIED : ERR_BAD_ARGUMENT);
}

START_TEST(paths_lead_where_the_kernel_says)
{
	ck_assert_int_eq(symlink("b/file", "a/link"), 0);
	ck_assert_int_eq(symlink("../a", "a/up"), 0);
	leads_to("a/b/file", TRUST_FILE, "/a/b/file");
	leads_to("./a//b/../b/./file", TRUST_FILE, "/a/b/file");
	leads_to("a/missing", TRUST_FILE, "/a/missing");
	leads_to("a/link", TRUST_FILE, "/a/b/file");
	leads_to("a/link", TRUST_FILE_NOFOLLOW, "/a/link");
	leads_to("a/up/up/link", TRUST_FILE, "/a/b/file");
	leads_to("a/b/", TRUST_DIRECTORY, "/a/b");
	leads_to("a/up/b/..", TRUST_DIRECTORY, "/a");
}
END_TEST

START_TEST(the_directory_is_held)
{
	struct stat status;

	ck_assert_int_eq(trust_resolve("a/b/file", TRUST_FILE, &found, &error), 0);
	ck_assert_str_eq(found.name, "file");
	ck_assert_int_eq(rename("a/b", "a/c"), 0);
	ck_assert_int_eq(mkdir("a/b", 0755), 0);
	ck_assert_int_eq(fstatat(found.directory, found.name, &status, AT_SYMLINK_NOFOLLOW), 0);
}
END_TEST

START_TEST(what_is_missing_or_no_directory)
{
	ck_assert_int_eq(symlink("loop", "loop"), 0);
	is_refused("a/missing/file", TRUST_FILE, ENOENT, "/a/missing: No such file");
	is_refused("a/missing", TRUST_DIRECTORY, ENOENT, "/a/missing: No such file");
	is_refused("a/b/file/file", TRUST_FILE, ENOTDIR, "/a/b/file: Not a directory");
	is_refused("loop", TRUST_FILE, ELOOP, "/loop: Too many levels");
	is_refused("", TRUST_FILE, ENOENT, "No such file");
}
END_TEST

START_TEST(directories_that_others_can_write)
{
	static const char *const sticky[] = {"a", "a/", "a/.", "a/./", "a/b/..", "./a/b/../."};

	ck_assert_int_eq(chmod("a", 0775), 0);
	is_refused("a/b/file", TRUST_FILE, EPERM, "/a can be written by others (mode 0775)");
	ck_assert_int_eq(chmod("a", 0757), 0);
	is_refused("a/b", TRUST_DIRECTORY, EPERM, "/a can be written by others (mode 0757)");
	ck_assert_int_eq(chmod("a", 01777), 0);
	leads_to("a/b/file", TRUST_FILE, "/a/b/file");
	for (size_t i = 0; i < sizeof sticky / sizeof sticky[0]; i++)
		is_refused(sticky[i], TRUST_DIRECTORY, EPERM, "/a can be written by others (mode 1777)");
	ck_assert_int_eq(chdir("a"), 0);
	is_refused(".", TRUST_DIRECTORY, EPERM, "/a can be written by others (mode 1777)");
	ck_assert_int_eq(chdir(".."), 0);
}
END_TEST

START_TEST(a_link_is_followed_only_through_trusted_directories)
{
	ck_assert_int_eq(mkdir("open", 0755), 0);
	ck_assert_int_eq(symlink("../a/b", "open/link"), 0);
	leads_to("open/link/file", TRUST_FILE, "/a/b/file");
	ck_assert_int_eq(chmod("open", 0777), 0);
	is_refused("open/link/file", TRUST_FILE, EPERM, "/open can be written by others");
	is_refused("a/../open/../a/b/file", TRUST_FILE, EPERM, "/open can be written by others");
}
END_TEST

START_TEST(what_belongs_to_another_user)
{
	if (geteuid() != 0) {
		puts("what_belongs_to_another_user: skipped, only root can give files away");
		return;
	}
	ck_assert_int_eq(symlink("b", "a/link"), 0);
	ck_assert_int_eq(lchown("a/link", OTHER, (gid_t)-1), 0);
	is_refused("a/link/file", TRUST_FILE, EPERM, "/a/link belongs to user 61001");
	ck_assert_int_eq(chown("a/b", OTHER, (gid_t)-1), 0);
	is_refused("a/b/file", TRUST_FILE, EPERM, "/a/b belongs to user 61001; it must belong to root");
	ck_assert_int_eq(chmod(top, 0755), 0);
	ck_assert_int_eq(seteuid(OTHER), 0);
	leads_to("a/b/file", TRUST_FILE_NOFOLLOW, "/a/b/file");
	ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST(files_by_owner_and_mode)
{
	struct stat status = {.st_mode = S_IFREG | 0644, .st_uid = geteuid()};

	ck_assert_int_eq(trust_check(&status, "x", &error), 0);
	status.st_uid = 0;
	ck_assert_int_eq(trust_check(&status, "x", &error), 0);
	status.st_mode = S_IFREG | 0664;
	ck_assert_int_eq(trust_check(&status, "x", &error), -1);
	ck_assert_str_eq(error.text,
		"x can be written by others (mode 0664); remove the write permission of group and others");
	status.st_mode = S_IFREG | 0644;
	status.st_uid = OTHER;
	ck_assert_int_eq(trust_check(&status, "x", &error), -1);
}
END_TEST

START_TEST(overflow_ids_are_nobodys)
{
	ck_assert(overflow_uid(65534));
	ck_assert(overflow_gid(65534));
	ck_assert(!overflow_uid(0));
	ck_assert(!overflow_gid(0));
	ck_assert(!trust_uid(65534));
	ck_assert(trust_uid(0));
	ck_assert(trust_uid(geteuid()));
}
END_TEST

static Suite *trust_suite(void)
{
	Suite *suite = suite_create("trust");
	TCase *tests = tcase_create("trust");

	tcase_add_checked_fixture(tests, top_make, top_remove);
	tcase_add_test(tests, paths_lead_where_the_kernel_says);
	tcase_add_test(tests, the_directory_is_held);
	tcase_add_test(tests, what_is_missing_or_no_directory);
	tcase_add_test(tests, directories_that_others_can_write);
	tcase_add_test(tests, a_link_is_followed_only_through_trusted_directories);
	tcase_add_test(tests, what_belongs_to_another_user);
	tcase_add_test(tests, files_by_owner_and_mode);
	tcase_add_test(tests, overflow_ids_are_nobodys);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	return unit_run(trust_suite(), CK_FORK_GETENV);
}
