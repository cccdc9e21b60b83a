/* The copy of the state that a session sends, a piece at a time. */
#ifndef IMD_SERVER_SESSION_COPY_H
#define IMD_SERVER_SESSION_COPY_H

#include "session.h"

/* Begins a copy, and its reply. ERR_CONFLICT as engine_copy_begin has it. */
int session_copy_begin(struct session *session, struct error *error);
/* Has the next piece read, if all before has been written. */
void session_copy_go(struct session *session);
/* The engine has read a piece, or failed. */
void session_copied(struct session *session, const struct error *failed);
/* Ends the copy without another word, in whatever state it is. There need not be one. */
void session_copy_drop(struct session *session);

#endif
