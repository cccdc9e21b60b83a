#include "commands.h"

#include <stdio.h>
#include <string.h>

#include "records.h"

enum { USAGE_SIZE = 200, WORD_SHOWN = 40 };

static int (*const handlers[VERB_COUNT])(struct session *, const struct request *,
	struct error *) = {
#define VERB(name, suffix, min, max, flags, options, args, help) [VERB_##suffix] = cmd_##suffix,
	VERBS(VERB)
#undef VERB
};

/* ---- from words to a request ---------------------------------------------------------------- */

/* Says what is wrong with a request, and how it is used. */
static int usage_error(const struct request *request, struct error *error, const char *what)
{
	char usage[USAGE_SIZE];

	verb_usage(request->verb, usage, sizeof usage);
	return error_set(error, ERR_BAD_ARGUMENT, "%s; usage: %s", what, usage);
}

static int count_error(const struct request *request, unsigned count, struct error *error)
{
	const struct verb_row *row = request->row;
	char what[80];

	if (row->max_args == 0)
		snprintf(what, sizeof what, "%s takes no arguments, not %u", row->name, count);
	else if (row->min_args == row->max_args)
		snprintf(what, sizeof what, "%s takes %u argument%s, not %u", row->name,
			row->min_args, row->min_args == 1 ? "" : "s", count);
	else
		snprintf(what, sizeof what, "%s takes %u to %u arguments, not %u", row->name,
			row->min_args, row->max_args, count);
	return usage_error(request, error, what);
}

static int option_add(struct request *request, const struct word *word, struct error *error)
{
	int option = verb_option_find(word->key);
	char what[WORD_SHOWN + 40];

	if (option < 0 || (request->row->options & OPT(option)) == 0) {
		snprintf(what, sizeof what, "%s has no option %.*s", request->row->name, WORD_SHOWN,
			word->key);
		return usage_error(request, error, what);
	}
	if (request->options[option] != NULL)
		return error_set(error, ERR_BAD_ARGUMENT, "the option %s is given twice", word->key);
	request->options[option] = word->text;
	return 0;
}

/* Options may stand between arguments as well as behind them. */
static int request_fill(struct request *request, const struct words *words, struct error *error)
{
	unsigned count = 0;

	for (size_t i = 1; i < words->count; i++) {
		const struct word *word = &words->list[i];

		if (word->key != NULL) {
			if (option_add(request, word, error) < 0)
				return -1;
			continue;
		}
		if (count < ARGS_MAX)
			request->args[count] = *word;
		count++;
	}
	if (count < request->row->min_args || count > request->row->max_args)
		return count_error(request, count, error);
	request->arg_count = count;
	return 0;
}

static int request_read(struct request *request, const struct words *words, struct error *error)
{
	const struct word *name = &words->list[0];
	int verb = name->key == NULL ? verb_find(name->text) : -1;

	if (verb < 0)
		return error_set(error, ERR_UNKNOWN_COMMAND, "no command %.*s; HELP lists them",
			WORD_SHOWN, name->key == NULL ? name->text : name->key);
	memset(request, 0, sizeof *request);
	request->verb = (enum verb)verb;
	request->row = verb_row(request->verb);
	return request_fill(request, words, error);
}

/* Whether it is about the state, and that cannot be read just now. */
static bool command_lost(const struct session *session, const struct request *request)
{
	return (request->row->flags & (VERB_READS | VERB_RESTRICTED)) != 0 &&
		engine_lost(session->server->engine) != NULL;
}

/* Requests for everybody need no rights to be looked up. */
static bool verb_is_open(const struct verb_row *verb)
{
	return (verb->flags & (VERB_RESTRICTED | VERB_READS)) == 0;
}

static bool command_denied(struct session *session, const struct verb_row *verb, struct error *error)
{
	struct origin origin;

	if (verb_is_open(verb) || access_allows(session_rights(session), verb))
		return false;
	origin = session_origin(session);
	audit_denied(session, verb, &origin);
	access_deny(&session->server->access, verb, origin.user, error);
	return true;
}

static void command_run(struct session *session, const struct request *request)
{
	struct error *error = &session->server->error;

	if (command_lost(session, request))
		session_error(session, engine_lost(session->server->engine));
	else if (handlers[request->verb](session, request, error) < 0)
		session_error(session, error);
}

bool command_handle(struct session *session, const char *line, size_t len)
{
	struct server *server = session->server;
	struct request request;
	struct error *error = &server->error;

	if (words_split(&server->words, line, len, LIMIT_WORDS, error) < 0) {
		server->requests++;
		session_error(session, error);
		return true;
	}
	if (server->words.count == 0)
		return true;
	if (request_read(&request, &server->words, error) < 0) {
		server->requests++;
		session_error(session, error);
		return true;
	}
	if (command_denied(session, request.row, error)) {
		server->requests++;
		session_error(session, error);
		return true;
	}
	/* Waiting for the engine is a turn for the others, too. */
	if (server->pass_spent >= PASS_MAX || ((request.row->flags & VERB_READS) &&
			!engine_clean(server->engine) && !command_lost(session, &request))) {
		session->wait = WAIT_TURN;
		engine_wait(server->engine, &session->request);
		return false;
	}
	server->requests++;
	server->pass_spent += PASS_REQUEST_COST;
	command_run(session, &request);
	if (session->wait != WAIT_PASS)
		return true;
	server->requests--; /* it is handled again */
	return false;
}

/* ---- what several verbs have ---------------------------------------------------------------- */

int request_group_name(const struct request *request, const char **ret_name, struct error *error)
{
	const char *name = request->options[OPT_GROUP];

	*ret_name = name != NULL ? name : "default";
	if (name == NULL)
		return 0;
	if (strcmp(name, "*") == 0 && (request->row->flags & VERB_ANY_GROUP) == 0)
		return error_set(error, ERR_BAD_ARGUMENT, "%s is for one group, not for group=*",
			request->row->name);
	if ((request->row->flags & VERB_ANY_GROUP) && strcmp(name, "*") == 0)
		return 0;
	return arg_group(name, error);
}

int request_group(const struct session *session, const struct request *request,
	struct group **ret_group, struct error *error)
{
	const char *name;

	*ret_group = NULL;
	if (request_group_name(request, &name, error) < 0)
		return -1;
	if (strcmp(name, "*") == 0)
		return 0;
	*ret_group = core_group_find(engine_core(session->server->engine), name);
	if (*ret_group == NULL)
		return error_set(error, ERR_NOT_FOUND, "no group is named %s", name);
	return 0;
}

/* A name that cannot be one is said to be so whatever the id. */
static int group_option_check(const struct request *request, struct error *error)
{
	const char *name;

	return request_group_name(request, &name, error);
}

/* Whether a thing of this group is in the one that the option names. An id alone will do, too. */
static int group_check(const struct session *session, const struct request *request,
	uint32_t group, const char *what, struct error *error)
{
	struct group *wanted;

	if (request->options[OPT_GROUP] == NULL)
		return 0;
	if (request_group(session, request, &wanted, error) < 0)
		return -1;
	if (wanted != NULL && wanted->index != group)
		return error_set(error, ERR_NOT_FOUND, "this %s is not in the group %s", what,
			wanted->name);
	return 0;
}

int request_graph(const struct session *session, const struct request *request, unsigned arg,
	struct graph **ret_graph, struct error *error)
{
	const struct word *word = &request->args[arg];
	struct id_prefix prefix;

	if (group_option_check(request, error) < 0 ||
		id_prefix_parse(word->text, word->len, &prefix, error) < 0 ||
		core_graph_lookup(engine_core(session->server->engine), &prefix, ret_graph, error) < 0)
		return -1;
	return group_check(session, request, (*ret_graph)->group, "graph", error);
}

int request_node(const struct session *session, const struct request *request, unsigned arg,
	struct node **ret_node, struct error *error)
{
	const struct word *word = &request->args[arg];
	struct id_prefix prefix;

	if (group_option_check(request, error) < 0 ||
		id_prefix_parse(word->text, word->len, &prefix, error) < 0 ||
		core_node_lookup(engine_core(session->server->engine), &prefix, ret_node, error) < 0)
		return -1;
	return group_check(session, request, (*ret_node)->group, "node", error);
}

int request_bool(const struct request *request, enum verb_option option, bool otherwise,
	bool *ret_value, struct error *error)
{
	const char *text = request->options[option];

	*ret_value = otherwise;
	if (text == NULL)
		return 0;
	return arg_bool(text, verb_option_row(option)->key, ret_value, error);
}

void reply_ok(struct session *session)
{
	buf_add(&session->server->out, "OK\n", 3);
}

/* ---- verbs of the connection ---------------------------------------------------------------- */

int cmd_ping(struct session *session, const struct request *request, struct error *error)
{
	(void)request;
	(void)error;
	reply_ok(session);
	return 0;
}

int cmd_help(struct session *session, const struct request *request, struct error *error)
{
	int verb = -1;

	if (request->arg_count > 0) {
		verb = verb_find(request->args[0].text);
		if (verb < 0)
			return error_set(error, ERR_NOT_FOUND, "no command %.*s; HELP lists them",
				WORD_SHOWN, request->args[0].text);
	}
	for (int i = 0; i < VERB_COUNT; i++) {
		if (verb < 0 || i == verb)
			records_command(&session->server->out, (enum verb)i);
	}
	reply_ok(session);
	return 0;
}

int cmd_unwatch(struct session *session, const struct request *request, struct error *error)
{
	(void)request;
	(void)error;
	watch_end(session);
	reply_ok(session);
	return 0;
}

int cmd_quit(struct session *session, const struct request *request, struct error *error)
{
	(void)request;
	(void)error;
	watch_end(session);
	reply_ok(session);
	session->quit = true;
	return 0;
}
