/* The files of a state, and who may have them. SQLite trusts what is beside a database: a write-ahead log becomes
 * part of it, and a rollback journal may name a file that is then removed. So all of them must belong to
 * the owner of the state, in a directory to which nobody else can write, sticky or not. */
#ifndef IMD_STORE_FILES_H
#define IMD_STORE_FILES_H

#include <sys/stat.h>

#include "proto/error.h"
#include "sys/trust.h"

enum state_file {
	STATE_DATABASE,
	STATE_LOG,     /* written ahead */
	STATE_JOURNAL, /* of a rollback, from while the database was created */
	STATE_FILE_COUNT,
};

enum { FILES_HEADER_BYTES = 100 }; /* of any database of SQLite */

/* The name of a file of the state whose database is `name`; the caller's. */
char *files_name(const char *name, enum state_file file);
/* What follows the last slash of a path. */
const char *files_base_name(const char *path);
/* The directory of a path; the caller's. */
char *files_directory(const char *path);
/* "PATH cannot be opened: ..." with errno, if `what` is "opened". Returns -1 with ERR_STORAGE. */
int files_failed(const char *path, const char *what, struct error *error);

/* Makes the directories above `path` that are missing, for their owner alone. Each is made in one that is
 * trusted (sys/trust.h). */
int files_make_directory(const char *path, struct error *error);
/* Resolves the path of a state that this process is to use, and checks its directory and its files as far as they
 * exist. SQLite may open the resulting path. ERR_STORAGE. */
int files_resolve(const char *path, struct trust_path *ret_path, struct error *error);
/* Makes renames in the directory of a state, and new files, durable. ERR_STORAGE. */
int files_sync_directory(const struct trust_path *place, struct error *error);

/* As fstatat(2), of the device, the inode and the size alone. If a process asks for the times of a file, each write
 * after that has to note a new one (multigrain timestamps, Linux 6.13), which makes a commit slower by a fifth. */
int files_stat(int directory, const char *path, int flags, struct stat *ret_status);

/* Whether what was found at `path` may be a file of a state of this owner: regular, not writable by others, and
 * with no other link. */
int files_check_status(const struct stat *status, uid_t owner, const char *path,
	struct error *error);
/* Refuses a file that is mounted in its directory: the log beside it is not that of the file elsewhere. If there is no
 * file, or the kernel does not tell (before Linux 5.8), there is no objection. */
int files_check_mount(int directory, const char *name, const char *path, struct error *error);

#endif
