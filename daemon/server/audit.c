#include "audit.h"

#include "internal.h"
#include "log.h"

/* ---- the limit ----------------------------------------------------------------------------- */

static struct audit_place *place_find(struct audit *audit, uid_t uid, bool changes)
{
	for (unsigned i = 0; i < audit->count; i++) {
		struct audit_place *place = &audit->places[i];

		if (place->uid == uid && place->changes == changes)
			return place;
	}
	return NULL;
}

/* A place that is free, or whose time is over; NULL if there is none. */
static struct audit_place *place_take(struct audit *audit, int64_t now_ms)
{
	if (audit->count < AUDIT_PLACES)
		return &audit->places[audit->count++];
	for (unsigned i = 0; i < audit->count; i++) {
		if (audit->places[i].until_ms <= now_ms) {
			audit->unplaced += audit->places[i].suppressed;
			return &audit->places[i];
		}
	}
	return NULL;
}

bool audit_admit(struct audit *audit, uid_t uid, bool changes, int64_t now_ms, uint64_t *ret_suppressed)
{
	struct audit_place *place = place_find(audit, uid, changes);

	if (place && now_ms < place->until_ms) {
		place->suppressed++;
		return false;
	}
	if (!place) {
		place = place_take(audit, now_ms);
		if (!place) {
			audit->unplaced++;
			return false;
		}
		*place = (struct audit_place){.uid = uid, .changes = changes};
	}
	*ret_suppressed = place->suppressed + audit->unplaced;
	place->until_ms = now_ms + AUDIT_EVERY_MS;
	place->suppressed = 0;
	audit->unplaced = 0;
	return true;
}

/* ---- lines --------------------------------------------------------------------------------- */

void audit_denied(const struct session *session, const struct verb_row *verb, const struct origin *origin)
{
	struct server *server = session->server;
	bool changes = (verb->flags & VERB_RESTRICTED) != 0;
	uint64_t suppressed;

	if (audit_admit(&server->audit, session->uid, changes, engine_now(server->engine).mono_ms, &suppressed))
		log_event(LEVEL_INFO, "request-denied", LOG_STR("verb", verb->name), LOG_U64("uid", session->uid),
			LOG_STR("user", origin->user), LOG_U64("suppressed", suppressed));
}

void audit_marked(const struct session *session)
{
	const struct core_event *event = &session->request.event;
	const struct core *core = engine_core(session->server->engine);
	const struct node *node = core_node_find(core, &event->id);
	char id[ID_TEXT_LEN + 1];

	id_format_z(&event->id, id);
	log_event(LEVEL_INFO, event->mark ? "node-marked" : "node-unmarked",
		LOG_STR("group", node ? core->groups[node->group]->name : NULL), LOG_STR("node", id),
		LOG_U64("uid", event->origin.uid), LOG_STR("user", event->origin.user));
}

void audit_backup_started(const struct session *session)
{
	struct origin origin = session_origin(session);

	log_event(LEVEL_INFO, "backup-started", LOG_U64("uid", origin.uid),
		LOG_STR("user", origin.user));
}

void audit_backup_ended(const struct session *session, const struct error *failed)
{
	struct origin origin = session_origin(session);

	log_event(failed ? LEVEL_WARNING : LEVEL_INFO, failed ? "backup-failed" : "backup-succeeded",
		LOG_U64("uid", origin.uid), LOG_STR("user", origin.user),
		LOG_STR("error", failed ? failed->text : NULL));
}
