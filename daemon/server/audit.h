/* The audit trail: who was refused something, who marks nodes and who takes backups, as lines in the log.
 *
 * A client that is refused may ask again without end, so refusals are limited: of one user there is one line
 * in AUDIT_EVERY_MS for requests that change something and one for those that only read. It says how many
 * came before it without a line. */
#ifndef IMD_SERVER_AUDIT_H
#define IMD_SERVER_AUDIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/spec.h"
#include "proto/error.h"
#include "proto/verbs.h"

struct session;

enum {
	AUDIT_EVERY_MS = 10000,
	AUDIT_PLACES = 64, /* of users and kinds of request; if all are taken, further refusals are counted alone */
};

/* Zeroed, it has no places. */
struct audit {
	struct audit_place {
		uid_t uid;
		bool changes;        /* the kind: requests that change something */
		int64_t until_ms;    /* monotonic: no further line before */
		uint64_t suppressed; /* refusals since the line */
	} places[AUDIT_PLACES];
	unsigned count;
	uint64_t unplaced; /* refusals without a line that no place counts any more */
};

/* Whether this refusal gets a line. *ret_suppressed: how many before it did not. */
bool audit_admit(struct audit *audit, uid_t uid, bool changes, int64_t now_ms, uint64_t *ret_suppressed);

/* A request was refused, or a watch ended because its user may not watch any more. */
void audit_denied(const struct session *session, const struct verb_row *verb, const struct origin *origin);
/* The MARK that the session submitted is durable. */
void audit_marked(const struct session *session);
/* The session's BACKUP was accepted; it ended, well if there is no error. */
void audit_backup_started(const struct session *session);
void audit_backup_ended(const struct session *session, const struct error *failed);

#endif
