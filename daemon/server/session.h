/* A client: its connection, the request that it has under way, its listing and its watch.
 *
 * Input is handled line by line, in order, while nothing is in the way of the next reply:
 *   - the session waits for the engine (session->wait),
 *   - a listing is not made to its end, or a copy not sent to its end,
 *   - LIMIT_WAITING bytes of replies wait for the client to read,
 *   - it has quit.
 * Each of these ends in a call of session_go, which goes on with the next line. */
#ifndef IMD_SERVER_SESSION_H
#define IMD_SERVER_SESSION_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdbool.h>

#include "engine/engine.h"
#include "link.h"
#include "listing.h"
#include "watch.h"

enum session_wait {
	WAIT_NOTHING,
	WAIT_PASS,    /* for a later pass of the loop; the line is still in the input */
	WAIT_TURN,    /* for the state to be durable; the line is still in the input */
	WAIT_CHANGE,  /* for what was submitted */
	WAIT_COPY,    /* for the next piece of a copy */
	WAIT_FETCH,   /* for a graph that is not in memory */
	WAIT_LISTING, /* for the state to be durable, to go on with the listing */
};

/* What follows the records of a listing. */
enum session_finish { FINISH_OK, FINISH_PLAN, FINISH_WATCH, FINISH_METRICS };

struct session {
	struct link link; /* in server->sessions, or server->dead */
	struct server *server;
	struct bufferevent *bev;
	struct evbuffer *input;  /* of bev */
	struct evbuffer *output; /* of bev */
	int fd;                  /* of bev */
	uid_t uid;
	unsigned rights;         /* MAY_READ, MAY_CHANGE; see session_rights */
	int64_t rights_until_ms; /* monotonic */
	bool rights_fresh;       /* looked at in this turn of the session */
	enum session_wait wait;
	bool reading;    /* EV_READ is enabled */
	bool eof;        /* the client will send no more */
	bool discarding; /* in a line that is too long */
	bool quit;       /* closes once everything has been written */
	bool listing_on; /* a listing is under way, and finish says how its reply ends */
	bool listing_begun;
	bool mute;       /* the client takes nothing any more: replies are dropped */
	bool dead;
	enum session_finish finish;
	struct listing listing;
	struct session_plan { /* of FINISH_PLAN */
		uint64_t revision;
		uint32_t tasks, min_available, max_live;
	} plan;
	struct session_preview {
		struct link link; /* in server->previews.waiting, or none */
		uint32_t tasks;   /* counted in server->previews, */
		bool reader;      /* as those of one who may only read */
	} preview;
	struct store_copy *copy; /* of the state, which is being sent; NULL: none */
	uint64_t copied;         /* bytes of it that were sent */
	struct link turn;       /* in server->turns.deferred, or none */
	struct watch watch;
	struct engine_request request;
	char *strings;          /* owned; what the request points to */
	bool quiet;             /* of the UPDATE that was submitted */
	unsigned parts;         /* to be listed of what is fetched */
};

/* Takes the connection over. NULL where memory is out; the connection is closed then. */
struct session *session_new(struct server *server, int fd, uid_t uid);
/* Takes it out of everything; it is freed from the loop. */
void session_close(struct session *session);
/* Frees it, outside of any callback of it. */
void session_free(struct session *session);
/* Goes on with what there is to do. */
void session_go(struct session *session);
/* Tells a client why it is closed, as far as its socket takes it, and closes. Not from within a pass. */
void session_shut_down(struct session *session, const struct error *why);
/* The same, but a client whose change is in progress gets no message. */
void session_dismiss(struct session *session, const struct error *why);
/* The daemon ends: closes it, and tells the client where that nothing was begun is known. */
void session_stop(struct session *session);
/* What the client may do, a set of MAY_CHANGE and MAY_READ: looked up again if that is due (access.h), which is found
 * out once in a turn of the session. */
unsigned session_rights(struct session *session);
/* If the client watches and may not read any more, it gets ERR denied and its connection is closed. Not from
 * within a pass. */
void session_check_watch(struct session *session);
/* From now on, the connection is closed when the client takes nothing of its reply for send-timeout. */
void session_set_deadline(struct session *session, bool on);

/* The socket takes nothing any more. What the client has sent whole is still carried out. */
void session_mute(struct session *session);

/* Whether the client is gone for good, not only done with sending. */
bool session_hung_up(const struct session *session);

/* Who is at the other end. The name may have to be looked up, which may take long: only where it is shown. */
struct origin session_origin(const struct session *session);

/* For requests. A reply is appended to server->out, which is written when the pass is over. */
void session_error(struct session *session, const struct error *error);
/* Writes it before that, as far as it may be written by now. */
void session_flush(struct session *session);
/* Keeps output that the socket does not take by now. It takes nothing from the reserve of memory: clients that do
 * not read could use it up. -1: there is no memory. */
int session_keep(struct session *session, const char *data, size_t len);
/* Has the change in session->request carried out; its reply is made when it is. */
void session_submit(struct session *session);
/* Lists parts of a graph that it takes over. ERR_TOO_MANY where there are too many such. */
int session_list_own(struct session *session, unsigned parts, struct graph *graph, const char *group,
	enum session_finish finish, struct error *error);
/* Lists parts of a graph, PART_GRAPH and PART_TASKS, which is read from the store first if need be.
 * ERR_TOO_MANY where too many are being listed that way. */
int session_list_graph(struct session *session, unsigned parts, const struct graph *graph,
	enum session_finish finish, struct error *error);
/* Has the listing in session->listing made, and then the end of the reply. */
void session_list(struct session *session, enum session_finish finish);

/* Whether a reply has begun and has not ended: no event comes before its last line. */
static inline bool session_replies(const struct session *session)
{
	return session->listing_on || session->copy != NULL;
}

/* Bytes of replies that wait for the client. */
static inline size_t session_waiting(const struct session *session)
{
	return evbuffer_get_length(session->output);
}

#endif
