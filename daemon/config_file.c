/* The files are taken apart by inih. Its own idea of a section is cut at 49 bytes, and it has no word for
 * the line that a key stands in; so the reader, which hands it one line after the other, keeps both. */
#include "config_file.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "proto/args.h"
#include "settings.h"
#include "sys/overflow.h"
#include "sys/trust.h"

#define BLANKS " \t\r\n\v\f"
enum {
	PATH_SHOWN = 100,
	WORD_SHOWN = 64,
	ALIKE = 3,                    /* bytes at the beginning that make a key like another one */
	FILE_MAX = 16 * 1024 * 1024,
};

_Static_assert(CONFIG_LINE_MAX + 3 <= INI_MAX_LINE, "inih takes a line and its end");

struct config_reader {
	struct config *config;
	const char *path;
	FILE *file;
	char *line;
	size_t capacity;
	unsigned number;            /* of the line */
	enum config_section section;
	struct config_group *group; /* of [group NAME] */
	char title[LIMIT_GROUP_NAME + sizeof "group "]; /* of the section, as it is written */
	bool failed;
	int failed_errno;           /* why the next line could not be had; 0: there is none */
	struct error *error;
};

/* The end of a path says more than its beginning. To be printed as "%s%s". */
#define SHOWN(path) (strlen(path) > PATH_SHOWN ? "..." : ""), path_end(path)

static const char *path_end(const char *path)
{
	size_t len = strlen(path);

	return len > PATH_SHOWN ? path + len - PATH_SHOWN : path;
}

/* An error of the line that is being read: what came behind it is not looked at. */
static int reader_fail(struct config_reader *reader, const char *what)
{
	reader->failed = true;
	return error_set(reader->error, ERR_BAD_ARGUMENT, "%s%s:%u: %s", SHOWN(reader->path),
		reader->number, what);
}

static int refuse_file(const char *path, int why, struct error *error)
{
	return error_set(error, ERR_BAD_ARGUMENT, "%s%s cannot be read: %s", SHOWN(path),
		strerror(why));
}

/* ---- keys ---------------------------------------------------------------------------------- */

/* [imd] has too many keys to name all of them. */
static bool worth_naming(const struct config_reader *reader, const struct setting *setting, const char *key)
{
	return setting_in(setting, reader->section) &&
		(reader->section != SECTION_IMD || strncmp(setting_key(setting), key, ALIKE) == 0);
}

static int refuse_key(struct config_reader *reader, const char *key)
{
	struct buf what = BUF_INIT;
	const char *sep = "; it has ";
	int ret;

	if (key[0] == '\0')
		return reader_fail(reader, "there is no key before the =");
	buf_addf(&what, "[%s] has no key %.*s", reader->title, WORD_SHOWN, key);
	for (int i = 0; i < setting_count; i++) {
		if (!worth_naming(reader, &settings[i], key))
			continue;
		buf_add_str(&what, sep);
		buf_add_str(&what, setting_key(&settings[i]));
		sep = ", "; /* behind the first */
	}
	if (reader->section == SECTION_IMD)
		buf_add_str(&what, "; see imd.conf(5) for all");
	buf_add_char(&what, '\0');
	ret = reader_fail(reader, what.data);
	buf_fini(&what);
	return ret;
}

/* Whether the key has been there in this file; it counts as having been from here on. */
static bool key_again(struct config_reader *reader, int index)
{
	uint64_t bit = UINT64_C(1) << index;
	uint64_t *here = reader->group != NULL ? &reader->group->given_here
					       : &reader->config->given_here;
	bool again = (*here & bit) != 0;

	*here |= bit;
	if (reader->group != NULL)
		reader->group->given |= bit;
	else
		reader->config->sources[index] = (struct config_source){reader->path, reader->number};
	return again;
}

static int read_key(struct config_reader *reader, const char *key, const char *text)
{
	char title[sizeof reader->title + SETTING_TITLE_SIZE], what[sizeof title + 32];
	const struct setting *setting;
	struct error inner;
	int index;

	if (reader->section == SECTION_NONE)
		return reader_fail(reader, "a key stands in no section: [imd] is the first one");
	index = setting_find_key(reader->section, key);
	if (index < 0)
		return refuse_key(reader, key);
	setting = &settings[index];
	snprintf(title, sizeof title, "[%s] %s", reader->title, key);
	if (key_again(reader, index)) {
		snprintf(what, sizeof what, "%s is given twice in this file", title);
		return reader_fail(reader, what);
	}
	if (setting->kind->set(setting, reader->config,
			setting_place(setting, reader->config, reader->group), title, text, &inner) < 0)
		return reader_fail(reader, inner.text);
	return 0;
}

static int on_key(void *arg, const char *section, const char *key, const char *text)
{
	struct config_reader *reader = arg;

	(void)section;
	return !reader->failed && read_key(reader, key, text) == 0;
}

/* ---- sections ------------------------------------------------------------------------------ */

static int section_unknown(struct config_reader *reader, const char *name)
{
	char what[LIMIT_ERROR_TEXT];

	snprintf(what, sizeof what,
		"[%.*s] is no section; there are [imd], [driver mock] and [group NAME]", WORD_SHOWN,
		name);
	return reader_fail(reader, what);
}

static int section_group(struct config_reader *reader, const char *name)
{
	struct error inner;

	name += strspn(name, " \t");
	if (arg_group(name, &inner) < 0)
		return reader_fail(reader, inner.text);
	reader->section = SECTION_GROUP;
	reader->group = config_group(reader->config, name);
	snprintf(reader->title, sizeof reader->title, "group %s", name);
	return 0;
}

static int section_begin(struct config_reader *reader, char *name)
{
	reader->group = NULL;
	if (strncmp(name, "group", 5) == 0 && (name[5] == ' ' || name[5] == '\t'))
		return section_group(reader, name + 5);
	if (strcmp(name, "imd") == 0)
		reader->section = SECTION_IMD;
	else if (strcmp(name, "driver mock") == 0)
		reader->section = SECTION_MOCK;
	else
		return section_unknown(reader, name);
	snprintf(reader->title, sizeof reader->title, "%s", name);
	return 0;
}

/* `line` is as it will be handed on, and begins with a bracket. */
static int read_section(struct config_reader *reader, const char *line)
{
	const char *end = strchr(line, ']'), *behind;
	struct buf name = BUF_INIT;
	int ret;

	if (end == NULL)
		return reader_fail(reader, "a section has no ] at its end");
	behind = end + 1 + strspn(end + 1, BLANKS);
	if (*behind != '\0' && *behind != ';' && *behind != '#')
		return reader_fail(reader, "something stands behind the ] of a section");
	buf_add(&name, line + 1, (size_t)(end - line) - 1);
	buf_add_char(&name, '\0');
	ret = section_begin(reader, name.data);
	buf_fini(&name);
	return ret;
}

/* ---- lines --------------------------------------------------------------------------------- */

/* Hands the next line to inih, which takes an indented one for more of the value before: nobody who
 * indents the keys of a section means that, so blanks at the beginning stay away. */
static char *next_line(char *ret_line, int size, void *arg)
{
	static const char mark[] = "\xef\xbb\xbf"; /* that some editors begin a file of UTF-8 with */
	struct config_reader *reader = arg;
	const char *start;
	ssize_t len;

	if (reader->failed)
		return NULL;
	len = getline(&reader->line, &reader->capacity, reader->file);
	if (len < 0) {
		reader->failed_errno = feof(reader->file) ? 0 : errno;
		return NULL;
	}
	reader->number++;
	start = reader->line;
	if (reader->number == 1 && strncmp(start, mark, sizeof mark - 1) == 0)
		start += sizeof mark - 1;
	start += strspn(start, BLANKS);
	if (strlen(reader->line) != (size_t)len) {
		reader_fail(reader, "the line has a NUL byte in it");
	} else if (strcspn(start, "\r\n") > CONFIG_LINE_MAX || strlen(start) >= (size_t)size) {
		char what[64];

		snprintf(what, sizeof what, "the line is too long: %d bytes are the most",
			CONFIG_LINE_MAX);
		reader_fail(reader, what);
	} else if (start[0] == '[') {
		read_section(reader, start);
	} else if (start[0] != ';' && start[0] != '#' && start[strcspn(start, "=:")] == ':') {
		reader_fail(reader, "a key and its value are parted by =, and not by :");
	}
	return reader->failed ? NULL : strcpy(ret_line, start);
}

static int read_lines(struct config_reader *reader)
{
	int line = ini_parse_stream(next_line, reader, on_key, reader);

	if (reader->failed)
		return -1;
	if (line < 0) /* it found no memory, for nothing is opened here */
		return refuse_file(reader->path, ENOMEM, reader->error);
	if (line != 0) {
		reader->number = (unsigned)line;
		return reader_fail(reader, "neither [section] nor key=value nor a comment");
	}
	if (reader->failed_errno != 0)
		return refuse_file(reader->path, reader->failed_errno, reader->error);
	return 0;
}

/* ---- files --------------------------------------------------------------------------------- */

static void forget_given_here(struct config *config)
{
	config->given_here = 0;
	for (size_t i = 0; i < config->group_count; i++)
		config->groups[i].given_here = 0;
}

static bool is_null_device(const struct stat *found)
{
	return S_ISCHR(found->st_mode) && found->st_rdev == makedev(1, 3);
}

static int refuse_untrusted(const char *path, const struct error *why, struct error *error)
{
	return error_set(error, ERR_DENIED, "%s%s is not trusted: %s", SHOWN(path), why->text);
}

static bool is_missing(int why)
{
	return why == ENOENT || why == ENOTDIR;
}

/* In a user namespace that does not map root no path can be trusted. Whoever runs imd there can do without files:
 * one that is missing is none, although elsewhere it could have been removed by somebody. */
static bool missing_without_root(const char *path)
{
	struct stat status;

	return lstat(path, &status) < 0 && is_missing(errno) && stat("/", &status) == 0 &&
		overflow_uid(status.st_uid);
}

/* A path that does not lead to a trusted directory. 0: there is no such file, and none is needed. */
static int refuse_path(const char *path, bool must_be, int why, const struct error *inner,
	struct error *error)
{
	if (!must_be && (is_missing(why) || missing_without_root(path)))
		return 0;
	if (why == EPERM)
		return refuse_untrusted(path, inner, error);
	return refuse_file(path, why, error);
}

/* Whether an open file may be read. The null device, which everybody can write to, has nothing to say. */
static int check_file(const struct trust_path *found, const char *path, int fd, struct error *error)
{
	struct stat status;
	struct error inner;

	if (fstat(fd, &status) < 0)
		return refuse_file(path, errno, error);
	if (is_null_device(&status))
		return 0;
	if (!S_ISREG(status.st_mode))
		return error_set(error, ERR_BAD_ARGUMENT, "%s%s is not a regular file", SHOWN(path));
	if (trust_check(&status, found->path, &inner) < 0)
		return refuse_untrusted(path, &inner, error);
	return status.st_size > FILE_MAX ? refuse_file(path, EFBIG, error) : 0;
}

/* Neither the open nor a read may wait: imd serves clients while it reads its files again. */
static int open_file(const struct trust_path *found, const char *path, bool must_be, FILE **ret_file,
	struct error *error)
{
	int fd = openat(found->directory, found->name,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	*ret_file = NULL;
	if (fd < 0 && errno == ENOENT && !must_be)
		return 0;
	if (fd < 0)
		return refuse_file(path, errno, error);
	if (check_file(found, path, fd, error) < 0) {
		close(fd);
		return -1;
	}
	*ret_file = fdopen(fd, "r");
	if (*ret_file)
		return 0;
	close(fd);
	return refuse_file(path, ENOMEM, error);
}

/* Reads the file that was found in a trusted directory. */
static int read_file(struct config *config, const struct trust_path *found, const char *path, bool must_be,
	struct error *error)
{
	struct config_reader reader = {.config = config, .error = error};
	int ret = open_file(found, path, must_be, &reader.file, error);

	if (!reader.file)
		return ret;
	reader.path = config_file_add(config, path);
	forget_given_here(config);
	ret = read_lines(&reader);
	free(reader.line);
	fclose(reader.file);
	return ret;
}

int config_file_read(struct config *config, const char *path, bool must_be, struct error *error)
{
	struct trust_path found;
	struct error inner;
	int ret;

	if (trust_resolve(path, TRUST_FILE, &found, &inner) < 0)
		return refuse_path(path, must_be, errno, &inner, error);
	ret = read_file(config, &found, path, must_be, error);
	trust_path_fini(&found);
	return ret;
}

static int wanted(const struct dirent *entry)
{
	return fnmatch("*.conf", entry->d_name, FNM_PERIOD) == 0;
}

/* alphasort would go by the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* The names of the files in a directory, in their order; -1 with an error. 0: there are none, nor need there be. */
static int list_directory(const char *path, struct dirent ***ret_entries, struct error *error)
{
	struct trust_path found;
	struct error inner;
	int count;

	if (trust_resolve(path, TRUST_DIRECTORY, &found, &inner) < 0)
		return refuse_path(path, false, errno, &inner, error);
	count = scandirat(found.directory, ".", ret_entries, wanted, by_name);
	if (count < 0)
		refuse_file(path, errno, error);
	trust_path_fini(&found);
	return count;
}

int config_directory_read(struct config *config, const char *path, struct error *error)
{
	struct dirent **entries = NULL;
	int count = list_directory(path, &entries, error), ret = count < 0 ? -1 : 0;

	for (int i = 0; i < count; i++) {
		struct buf file = BUF_INIT;

		buf_addf(&file, "%s/%s", path, entries[i]->d_name);
		buf_add_char(&file, '\0');
		if (ret == 0)
			ret = config_file_read(config, file.data, true, error);
		buf_fini(&file);
		free(entries[i]);
	}
	free(entries);
	return ret;
}
