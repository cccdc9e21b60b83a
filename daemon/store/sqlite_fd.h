/* A database in a file that is open already, and needs no name. A part of sqlite.c. */
#ifndef IMD_STORE_SQLITE_FD_H
#define IMD_STORE_SQLITE_FD_H

struct sqlite3;

/* Opens a database in the file, which stays open as long as the connection does, and is the caller's. Nobody else
 * uses it: it is not locked, and has neither a journal nor a log. Returns SQLite's code; the connection is to be
 * closed whatever it is, and may be NULL. */
int sqlite_fd_open(int fd, struct sqlite3 **ret_sqlite);

#endif
