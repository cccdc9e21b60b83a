/* What a stored graph must be like by itself. */
#ifndef IMD_CORE_GRAPH_CHECK_H
#define IMD_CORE_GRAPH_CHECK_H

#include "graph.h"

/* What contradicts the state of a graph; NULL: nothing. */
const char *graph_state_wrong(const struct graph *graph);
/* Whether its edges lead to earlier tasks; of a graph whose tasks are not loaded, whether its counts are those of one
 * that has ended. */
bool graph_shape_is_valid(const struct graph *graph);

#endif
