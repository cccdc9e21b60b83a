/* Judges the files of a state before SQLite changes them: whether the journal and the log beside a database belong to
 * it, and are whole. SQLite takes whatever is there by its name: a log of another file is laid over the database, and
 * one with damage is cut off. */
#ifndef IMD_STORE_INSPECT_H
#define IMD_STORE_INSPECT_H

#include <stdbool.h>
#include <sys/stat.h>

#include "proto/id.h"
#include "source.h"
#include "sqlite.h"
#include "wal.h"

/* What a database says of its history (schema.h). */
struct lineage {
	enum {
		LINEAGE_UNKNOWN, /* it could not be read */
		LINEAGE_NONE,    /* of a layout before version 4, or without tables */
		LINEAGE_UNUSED,  /* without an incarnation */
		LINEAGE_USED,
	} kind;
	char incarnation[ID_TEXT_LEN + 1]; /* of LINEAGE_USED */
	int64_t commits;                   /* 0 of the first two */
};

struct inspection {
	struct wal log;          /* without a log, as of an empty one */
	struct lineage database; /* without its log; read only if that has commits */
	ino_t inodes[STATE_FILE_COUNT]; /* of the files; 0: there is none */
	off_t sizes[STATE_FILE_COUNT];
	struct timespec times[STATE_FILE_COUNT]; /* of their last changes */
};

/* Looks at the files of a source. `path` leads to the database or a copy of it; SQLite opens it alone, without locks,
 * and that drops this process's own locks on it. A damaged log is not an error here. -1 with ERR_STORAGE if the
 * journal is not imd's, the log cannot be that of the database, or a file cannot be read. */
int inspect_files(const struct source *source, const char *path, struct inspection *ret_inspection,
	struct error *error);
/* Refuses a log that is damaged, and says what can be done. */
int inspect_check_log(const struct inspection *inspection, const char *name, struct error *error);
/* Refuses files that have changed since: those that are open now are other ones. `name` is for messages. */
int inspect_check_unchanged(const struct inspection *inspection, const char *path, const char *name,
	struct error *error);
/* Refuses a log that does not continue the database; `db` is open with its log and has not been changed. */
int inspect_check_lineage(const struct inspection *inspection, const char *name, struct db *db, struct error *error);

/* For the user: which part of the log was ignored; false if it is whole. */
bool inspect_notice(const struct inspection *inspection, const char *name, struct error *ret_notice);

#endif
