/* What METRICS answers: the daemon's figures as OpenMetrics has them. */
#ifndef IMD_SERVER_METRICS_H
#define IMD_SERVER_METRICS_H

#include "core/core.h"
#include "proto/buf.h"

struct server;

/* Metrics of which each group has samples, numbered from 0. */
enum { METRICS_OF_GROUPS = 3 };

/* Appends all metrics but those of groups. */
void metrics_daemon(struct buf *buf, const struct server *server);
/* Appends what stands before the samples of a metric of groups; and those of one group. */
void metrics_group_head(struct buf *buf, unsigned number);
void metrics_group(struct buf *buf, unsigned number, const struct group *group);
/* Appends the line that ends the exposition. */
void metrics_end(struct buf *buf);

#endif
