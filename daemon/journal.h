/* The journal's native protocol, as https://systemd.io/JOURNAL_NATIVE_PROTOCOL has it: one datagram an entry.
 * It is spoken here because sd_journal_sendv waits for the journal, and nothing here ever does. */
#ifndef IMD_JOURNAL_H
#define IMD_JOURNAL_H

#include <stddef.h>

#include "proto/buf.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* Where entries go from now on: to the datagram socket of this path, whoever has made it when an entry is
 * sent. -1 where there is no descriptor for that. */
int journal_open(const char *path);

/* Appends a field to an entry. The key is for the journal as it is; the value may be any bytes. */
void journal_field(struct buf *entry, const char *key, const char *value, size_t len);

/* 0 where the journal will find the entry in its queue, -EAGAIN where that is full, and another negative errno
 * where there is no journal. */
int journal_send(const struct buf *entry);

#endif
