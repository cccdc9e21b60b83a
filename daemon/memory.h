/* How the daemon's process is to have its memory. */
#ifndef IMD_MEMORY_H
#define IMD_MEMORY_H

/* Before anything is loaded. Until memory_started, lack of memory is logged as what keeps the daemon from starting, and
 * ends it with status 1. */
void memory_set_up(void);
void memory_started(void);

#endif
