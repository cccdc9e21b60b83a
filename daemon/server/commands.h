/* Requests: from a line to the function of its verb. */
#ifndef IMD_SERVER_COMMANDS_H
#define IMD_SERVER_COMMANDS_H

#include "internal.h"
#include "proto/verbs.h"

enum { ARGS_MAX = 2 };

/* A request whose verb, number of arguments and set of options are right. The strings live until
 * the next line is split. */
struct request {
	enum verb verb;
	const struct verb_row *row;
	unsigned arg_count;
	struct word args[ARGS_MAX];
	const char *options[VERB_OPTION_COUNT]; /* their values, NULL: not given */
};

/* Handles one line, without its LF. Returns false where it must be handled again when the session's
 * wait is over. */
bool command_handle(struct session *session, const char *line, size_t len);

/* One function a verb. Returns 0, having appended the reply or begun what will make it; or -1 with
 * *error to be answered. */
#define VERB(name, suffix, min, max, flags, options, args, help)                                   \
	int cmd_##suffix(struct session *session, const struct request *request,                      \
		struct error *error);
VERBS(VERB)
#undef VERB

/* Parts of requests that several verbs have. */
/* The group of the option, or `default`: a valid name. */
int request_group_name(const struct request *request, const char **ret_name, struct error *error);
/* That group; NULL stands for every one, where the verb allows it. */
int request_group(const struct session *session, const struct request *request,
	struct group **ret_group, struct error *error);
/* The graph, or the node, that an argument names, in the group of the option if it is given. */
int request_graph(const struct session *session, const struct request *request, unsigned arg,
	struct graph **ret_graph, struct error *error);
int request_node(const struct session *session, const struct request *request, unsigned arg,
	struct node **ret_node, struct error *error);
/* An option that is yes or no; `otherwise` where it is not given. */
int request_bool(const struct request *request, enum verb_option option, bool otherwise,
	bool *ret_value, struct error *error);
/* What UPDATE and PLAN declare. */
int request_update(const struct session *session, const struct request *request,
	struct core_event *ret_event, struct error *error);
/* Appends "OK\n". */
void reply_ok(struct session *session);

#endif
