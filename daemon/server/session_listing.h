/* The listing that a session makes, some of it at a time: session.c's own. */
#ifndef IMD_SERVER_SESSION_LISTING_H
#define IMD_SERVER_SESSION_LISTING_H

#include "session.h"

/* Makes as much as there is room for, and ends the reply when all is made. */
void session_listing_go(struct session *session);
/* Ends it without another word. There need not be one. */
void session_listing_drop(struct session *session);

#endif
