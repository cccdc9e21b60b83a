/* One bound for what imctl keeps of what a server sends, whatever keeps it: a hostile server must not
 * make it grow without end. */
#ifndef IMD_CTL_KEEP_H
#define IMD_CTL_KEEP_H

#include <stdbool.h>
#include <stddef.h>

/* The plan of a rolling upgrade of LIMIT_SIZE nodes, two tasks of about 120 bytes for each, fits. */
enum { KEEP_MAX = 256 << 20 };

/* Counts bytes that are to be kept. False if they would be too many; then they are not counted, and the
 * caller does without. */
bool keep_take(size_t bytes);
/* Gives back what keep_take counted. */
void keep_give(size_t bytes);

#endif
