/* A change that is declared and watched to its end, also where another takes its place. */
#ifndef IMD_CTL_FOLLOW_H
#define IMD_CTL_FOLLOW_H

#include "ctl.h"

/* Makes the UPDATE of the command line, prints its plan and then what happens, until the graph, or
 * the one that superseded it, ends. Returns the exit status. */
int follow_update(struct ctl *ctl);

#endif
