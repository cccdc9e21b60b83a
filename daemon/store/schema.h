/* The tables of the state file, and how files of earlier versions become files of this one. */
#ifndef IMD_STORE_SCHEMA_H
#define IMD_STORE_SCHEMA_H

#include "sqlite.h"

enum { SCHEMA_VERSION = 3 };

/* Sets a database up that was just opened: makes the tables where it is empty, and brings it to
 * SCHEMA_VERSION if it is older. Refuses, and leaves as it is, what is not imd's or is newer, and a schema
 * that differs in anything from what imd makes.
 * `name` is for messages. What is not `lasting` is a copy that nobody needs any more: it has no log, and
 * nothing waits for the disk. */
int schema_set_up(struct db *db, const char *name, bool lasting, struct error *error);
/* A commit that changes nothing, and is written all the same. */
int schema_touch(struct db *db, struct error *error);

#endif
