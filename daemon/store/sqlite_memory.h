/* Lets SQLite allocate from the reserve of memory (proto/mem.h), which covers what it needs to store a change. A part
 * of sqlite_open.c. */
#ifndef IMD_STORE_SQLITE_MEMORY_H
#define IMD_STORE_SQLITE_MEMORY_H

/* To be called before the first use of SQLite; later calls change nothing. */
void sqlite_memory_share(void);

#endif
