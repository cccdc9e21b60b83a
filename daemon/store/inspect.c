/* That a log continues a database is decided by what the database says with the log and without it: see schema.h for
 * the rule, and for why a checkpoint that a crash has interrupted does not break it. A database that asks for no log in
 * its header never had one, so a log with commits is that of another file: that is what a copy looks like that was put
 * over a state. */
#include "inspect.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/mem.h"
#include "rollback.h"

enum { LINEAGE_VERSION = 4 }; /* of the schema: the first that has it */

/* ---- lineage ------------------------------------------------------------------------------- */

static int lineage_take_row(struct db_statement *statement, struct lineage *ret_lineage)
{
	size_t len;
	const char *text;

	if (db_next(statement, NULL) <= 0 || db_column_type(statement, 1) != DB_INTEGER)
		return -1;
	text = db_column_text(statement, 0, &len);
	if (text && len != ID_TEXT_LEN)
		return -1;
	ret_lineage->kind = text ? LINEAGE_USED : LINEAGE_UNUSED;
	if (text)
		memcpy(ret_lineage->incarnation, text, len + 1);
	ret_lineage->commits = db_column_number(statement, 1);
	return 0;
}

/* What cannot be read here, for it is the log that makes it whole, is unknown. */
static struct lineage lineage_read(struct db *db)
{
	struct lineage lineage = {.kind = LINEAGE_UNKNOWN};
	struct db_statement *statement;
	int64_t version;

	if (db_number(db, "PRAGMA user_version", &version, NULL) < 0)
		return lineage;
	if (version < LINEAGE_VERSION)
		return (struct lineage){.kind = LINEAGE_NONE};
	if (db_prepare(db, "SELECT incarnation, commits FROM daemon", &statement, NULL) < 0)
		return lineage;
	if (lineage_take_row(statement, &lineage) < 0)
		lineage = (struct lineage){.kind = LINEAGE_UNKNOWN};
	db_finish(statement);
	return lineage;
}

static struct lineage lineage_read_alone(const char *path)
{
	struct lineage lineage = {.kind = LINEAGE_UNKNOWN};
	struct db *db;

	if (db_open_alone(path, &db, NULL) < 0)
		return lineage;
	lineage = lineage_read(db);
	db_close(db);
	return lineage;
}

/* ---- files --------------------------------------------------------------------------------- */

static int inspect_status(const struct source *source, struct inspection *inspection, struct error *error)
{
	for (int file = 0; file < STATE_FILE_COUNT; file++) {
		struct stat status;

		if (source->files[file] < 0)
			continue;
		if (fstat(source->files[file], &status) < 0)
			return files_failed(source->path, "read", error);
		inspection->inodes[file] = status.st_ino;
		inspection->sizes[file] = status.st_size;
		inspection->times[file] = status.st_mtim;
	}
	return 0;
}

static int is_foreign(const char *name, const char *why, struct error *error)
{
	return error_set(error, ERR_STORAGE, "%s-wal is not the log of %s: %s; to restore a copy, use imd "
		"--restore=COPY", name, files_base_name(name), why);
}

/* A short file is left to db_open. */
static int inspect_log(const struct source *source, const char *path, struct inspection *inspection,
	struct error *error)
{
	const struct wal *log = &inspection->log;

	if (source->files[STATE_LOG] < 0 || source->page_size == 0)
		return 0;
	if (wal_read(source->files[STATE_LOG], source->page_size, &inspection->log) < 0)
		return files_failed(source->path, "read", error);
	if (log->commits + log->lost == 0)
		return 0;
	if (!source->asks_for_log)
		return is_foreign(source->path, "the file is a copy that was never used with a log", error);
	if (log->page_size != 0 && log->page_size != source->page_size)
		return is_foreign(source->path, "its pages have another size", error);
	inspection->database = lineage_read_alone(path);
	return 0;
}

static int inspect_journal(const struct source *source, struct error *error)
{
	char *path;
	int ret;

	if (source->files[STATE_JOURNAL] < 0)
		return 0;
	path = files_name(source->path, STATE_JOURNAL);
	ret = rollback_check(source->files[STATE_JOURNAL], source->files[STATE_DATABASE], path, error);
	free(path);
	return ret;
}

int inspect_files(const struct source *source, const char *path, struct inspection *ret_inspection,
	struct error *error)
{
	*ret_inspection = (struct inspection){.log = {.end = WAL_WHOLE}};
	if (inspect_status(source, ret_inspection, error) < 0 || inspect_journal(source, error) < 0)
		return -1;
	return inspect_log(source, path, ret_inspection, error);
}

/* ---- the verdict --------------------------------------------------------------------------- */

int inspect_check_log(const struct inspection *inspection, const char *name, struct error *error)
{
	const struct wal *log = &inspection->log;
	char place[64];

	if (log->end != WAL_DAMAGED)
		return 0;
	if (log->bad_frame == 0)
		snprintf(place, sizeof place, "its header");
	else
		snprintf(place, sizeof place, "frame %" PRIu64 " of %" PRIu64, log->bad_frame, log->frames);
	return error_set(error, ERR_STORAGE, "%s-wal is damaged in %s: commits from number %" PRIu64 " on are lost, at "
		"least %" PRIu64 "; restore a copy with imd --restore=COPY, or keep the commits before them with imd "
		"--truncate-log", name, place, log->commits + 1, log->lost > 0 ? log->lost : 1);
}

static bool is_unchanged(const struct inspection *inspection, enum state_file file, const char *path)
{
	struct stat status;

	if (stat(path, &status) < 0)
		return errno == ENOENT && inspection->inodes[file] == 0;
	if (file == STATE_DATABASE) /* which may be new, or have been rolled back */
		return inspection->inodes[file] == 0 || status.st_ino == inspection->inodes[file];
	return status.st_size == inspection->sizes[file] && (inspection->inodes[file] == 0 ||
		(status.st_ino == inspection->inodes[file] &&
		status.st_mtim.tv_sec == inspection->times[file].tv_sec &&
		status.st_mtim.tv_nsec == inspection->times[file].tv_nsec));
}

int inspect_check_unchanged(const struct inspection *inspection, const char *path, const char *name,
	struct error *error)
{
	for (int file = STATE_DATABASE; file <= STATE_LOG; file++) {
		char *full = files_name(path, (enum state_file)file);
		bool unchanged = is_unchanged(inspection, (enum state_file)file, full);

		free(full);
		if (!unchanged)
			return error_set(error, ERR_STORAGE, "%s was changed by another process while it was opened", name);
	}
	return 0;
}

/* Why the log does not continue the database; NULL: it does, or nothing can be said. The log alone may have brought the
 * database to the layout that has a lineage. */
static const char *why_foreign(const struct inspection *inspection, const struct lineage *after)
{
	const struct lineage *before = &inspection->database;
	int64_t base = after->commits - (int64_t)inspection->log.commits;

	if (before->kind == LINEAGE_UNKNOWN || after->kind == LINEAGE_UNKNOWN)
		return NULL;
	if (after->kind == LINEAGE_NONE)
		return before->kind == LINEAGE_NONE ? NULL : "it is of an earlier version";
	if (before->commits == 0 && before->kind != LINEAGE_USED)
		return base <= 0 ? NULL : "it begins later than the file";
	if (before->kind == LINEAGE_UNUSED)
		return base == before->commits ? NULL : "the file is a copy that was not in use";
	if (strcmp(before->incarnation, after->incarnation) != 0)
		return "it is of another state";
	if (before->commits < base)
		return "it begins later than the file";
	return before->commits > after->commits ? "the file is newer" : NULL;
}

/* If the file has commits that the log has not, and the end of the log is incomplete, they were in it. */
int inspect_check_lineage(const struct inspection *inspection, const char *name, struct db *db, struct error *error)
{
	struct lineage after;
	const char *why;

	if (inspection->log.commits == 0)
		return 0;
	after = lineage_read(db);
	why = why_foreign(inspection, &after);
	if (why && inspection->log.end == WAL_TORN && inspection->database.commits > after.commits) {
		struct inspection damaged = *inspection;

		damaged.log.end = WAL_DAMAGED;
		return inspect_check_log(&damaged, name, error);
	}
	return why ? is_foreign(name, why, error) : 0;
}

bool inspect_notice(const struct inspection *inspection, const char *name, struct error *ret_notice)
{
	if (inspection->log.end != WAL_TORN)
		return false;
	error_set(ret_notice, ERR_STORAGE, "%s-wal: the last transaction is incomplete and was ignored; no client received "
		"a reply to it, unless the log was damaged", name);
	return true;
}
