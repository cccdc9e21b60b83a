/* A copy of the state as DATA records. The store reads a piece, which becomes some records; the next piece is read when
 * the client has taken these. So a copy never has more than a piece in memory, and one that a client does not read
 * waits without a job in the store, until the client's time is over: others want to have theirs. */
#include "session_copy.h"

#include "internal.h"
#include "proto/base64.h"
#include "proto/record.h"

_Static_assert(LIMIT_DATA % 3 == 0, "only the last record of a copy is padded");
_Static_assert(BASE64_TEXT_LEN(STORE_COPY_PIECE) + STORE_COPY_PIECE / LIMIT_DATA * 100 < LIMIT_WAITING,
	"a piece fits into what may wait for a client");

/* How it ended is logged: a copy holds all that imd knows. */
static void session_copy_end(struct session *session, const struct error *failed)
{
	struct engine *engine = session->server->engine;

	audit_backup_ended(session, failed);
	if (session->wait == WAIT_COPY) {
		engine_forget(engine, &session->request);
		session->wait = WAIT_NOTHING;
	}
	engine_copy_end(engine, session->copy);
	session->copy = NULL;
	session->server->copying = NULL;
	session_set_deadline(session, false);
}

void session_copy_drop(struct session *session)
{
	static const struct error closed = {ERR_GONE, "the connection was closed"};

	if (session->copy != NULL)
		session_copy_end(session, &closed);
}

static void session_copy_record(struct session *session, const char *data, size_t len)
{
	struct buf *out = &session->server->out;
	size_t text_len = BASE64_TEXT_LEN(len);

	record_open(out, "DATA");
	record_u64(out, "offset", session->copied);
	record_u64(out, "bytes", len);
	base64_encode(data, len, record_key(out, "base64", text_len));
	out->len += text_len;
	record_close(out);
	session->copied += len;
}

static void session_copy_finish(struct session *session)
{
	struct buf *out = &session->server->out;

	buf_add(out, "OK", 2);
	record_u64(out, "bytes", session->copied);
	buf_add_char(out, '\n');
	session_copy_end(session, NULL);
}

void session_copied(struct session *session, const struct error *failed)
{
	const char *data = session->request.data;
	size_t len = session->request.len;

	if (failed != NULL) {
		session_error(session, failed);
		session_copy_end(session, failed);
	} else if (len == 0) {
		session_copy_finish(session);
	}
	for (size_t at = 0; failed == NULL && at < len; at += LIMIT_DATA)
		session_copy_record(session, data + at, len - at < LIMIT_DATA ? len - at : LIMIT_DATA);
}

void session_copy_go(struct session *session)
{
	session_flush(session);
	if (session->mute) {
		session_copy_drop(session);
		return;
	}
	if (session->dead || session->wait != WAIT_NOTHING || session_waiting(session) > 0)
		return;
	session->wait = WAIT_COPY;
	engine_copy_read(session->server->engine, session->copy, &session->request);
}

/* If the holder has hung up, which may not have been noticed yet, its copy must not block another. The holder goes on
 * after this pass, whose reply is in server->out. */
static void drop_abandoned(struct session *holder)
{
	if (holder == NULL || !session_hung_up(holder))
		return;
	session_mute(holder);
	session_copy_drop(holder);
	bufferevent_trigger(holder->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

int session_copy_begin(struct session *session, struct error *error)
{
	drop_abandoned(session->server->copying);
	session->copy = engine_copy_begin(session->server->engine, error);
	if (session->copy == NULL)
		return -1;
	audit_backup_started(session);
	session->server->copying = session;
	session->copied = 0;
	session_set_deadline(session, true);
	session_copy_go(session);
	return 0;
}
