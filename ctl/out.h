/* Standard output, and the interrupt: what may end a command from outside while it writes. */
#ifndef IMD_CTL_OUT_H
#define IMD_CTL_OUT_H

#include <stdbool.h>

/* Flushes stdout. 0, or the exit status where it cannot be written: a reader that is gone
 * (EPIPE) ends imctl without a word, anything else is said, once. */
int out_flush(void);

/* Whether stdout still takes output: STATUS_OK, or as out_flush. */
int out_check(void);

/* From now on SIGINT is noted instead of ending the program. */
void interrupt_arm(void);
/* The same, and of SIGTERM and SIGHUP: for a command that must not leave half of its work. */
void interrupt_arm_all(void);
/* Readable from the moment of the interrupt on; -1 before interrupt_arm. */
int interrupt_fd(void);
bool interrupt_seen(void);

#endif
