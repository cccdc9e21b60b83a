/* A task graph in the language of Graphviz. */
#ifndef IMD_CTL_DOT_H
#define IMD_CTL_DOT_H

#include "proto/record.h"

/* Appends the head, what a TASK record says, and the end. */
void dot_begin(struct buf *buf, const struct line *graph);
void dot_task(struct buf *buf, const struct line *task);
void dot_end(struct buf *buf);

#endif
