/* Which files a state was opened in. What is written to a file that has no name any more is lost, so a commit may be
 * answered only while the names of the database and of its log lead to the files that are open. */
#ifndef IMD_STORE_IDENTITY_H
#define IMD_STORE_IDENTITY_H

#include <stdbool.h>
#include <sys/types.h>

#include "files.h"
#include "sqlite.h"

struct file_id {
	dev_t device;
	ino_t inode;
};

struct identity {
	char *directory_path;    /* as the user named it, but absolute; owned */
	char *paths[2];          /* of the database and of the log, to be shown and without symbolic links; owned */
	int directory;           /* open with O_PATH; -1: none */
	struct file_id directory_id;
	struct file_id ids[2];   /* STATE_DATABASE, STATE_LOG */
};

/* Notes the files of a database that was just opened, with its log, at the path that files_resolve has made of `name`.
 * -1 with ERR_STORAGE if one of them is not there. `identity` is zeroed with directory -1, or what
 * identity_fini has left. */
int identity_take(struct identity *identity, const char *name, const char *path, struct error *error);
void identity_fini(struct identity *identity);

/* The name of the database in its directory. */
const char *identity_name(const struct identity *identity);

/* Whether the directory and both files are still there under their names, and have these sizes at least.
 * -1 with ERR_STORAGE, and a text that says what to do, or with `at_end` what is lost, because the state is closed. */
int identity_check(const struct identity *identity, const struct db_sizes *sizes, bool at_end, struct error *error);
/* Whether the database is in its place: then it can take what the log has. If a log with fewer commits is in the place
 * of that log, the next start refuses it (inspect.h). */
bool identity_keeps_database(const struct identity *identity);

#endif
