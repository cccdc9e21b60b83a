#include "command.h"

#include <assert.h>
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "ctl.h"
#include "text.h"

/* A command that makes one request takes that request's options. */
static const struct command commands[] = {
	{"update", VERB_update, OPT(CTL_DRY_RUN) | OPT(CTL_DETACH), NULL, NULL, command_update},
	{"plan", VERB_plan, 0, NULL, "shows the plan of an update, and changes nothing", command_plan},
	{"spec", VERB_spec, 0, NULL, NULL, command_spec},
	{"specs ls", VERB_specs, 0, NULL, NULL, command_specs_ls},
	{"nodes ls", VERB_nodes, 0, NULL, NULL, command_nodes_ls},
	{"nodes get", VERB_node, 0, "ID", NULL, command_nodes_get},
	{"nodes kill", VERB_kill, 0, "ID", NULL, command_nodes_kill},
	{"nodes mark", VERB_mark, OPT(CTL_NO), "ID", NULL, command_nodes_mark},
	{"nodes stream", VERB_COUNT, 0, "", "the live nodes, then every change of a node",
		command_nodes_stream},
	{"graphs ls", VERB_graphs, 0, NULL, NULL, command_graphs_ls},
	{"graphs get", VERB_graph, 0, "ID", NULL, command_graphs_get},
	{"graphs cancel", VERB_cancel, 0, "ID", NULL, command_graphs_cancel},
	{"graphs stream", VERB_COUNT, 0, "", "the task graphs, then every change of a graph",
		command_graphs_stream},
	{"graphs stream-tasks", VERB_COUNT, 0, "ID",
		"the tasks of a graph, then every change of one, until the graph ends",
		command_graphs_stream_tasks},
	{"graphs dot", VERB_graph, 0, "ID", "one graph as a picture, for dot(1) of Graphviz",
		command_graphs_dot},
	{"groups ls", VERB_groups, 0, NULL, NULL, command_groups_ls},
	{"backup", VERB_COUNT, OPT(CTL_FORCE), "FILE", "saves a copy of the state in FILE; - is standard output",
		command_backup},
	{"stats", VERB_stats, 0, NULL, NULL, command_stats},
	{"metrics", VERB_metrics, 0, NULL, "figures for a monitoring system, as OpenMetrics has them",
		command_metrics},
	{"ping", VERB_ping, 0, NULL, "asks whether imd answers", command_ping},
	{"raw", VERB_COUNT, 0, "LINE…", "sends each LINE as a request, prints what comes back",
		command_raw},
	{"completion", VERB_COUNT, 0, "SHELL", "prints a script that has bash, zsh or fish complete words",
		command_completion},
	{"help", VERB_COUNT, 0, "[COMMAND]", "explains imctl or a command", command_help_command},
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

const struct command *command_at(size_t index)
{
	return index < COMMAND_COUNT ? &commands[index] : NULL;
}

/* How many of the words the command's name is: 1 or 2, or 0 where they are not its name. */
static size_t name_matches(const struct command *command, char **words, size_t count)
{
	size_t first = strcspn(command->name, " ");

	if (strlen(words[0]) != first || memcmp(words[0], command->name, first) != 0)
		return 0;
	if (command->name[first] == '\0')
		return 1;
	return count > 1 && strcmp(words[1], command->name + first + 1) == 0 ? 2 : 0;
}

bool command_begins_with(const struct command *command, const char *word)
{
	size_t len = strlen(word);

	return strncmp(command->name, word, len) == 0 && command->name[len] == ' ';
}

/* Appends "ls, get, kill" for "nodes"; nothing where no command begins so. */
static void add_second_words(struct buf *buf, const char *first_word)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (!command_begins_with(&commands[i], first_word))
			continue;
		buf_addf(buf, "%s%s", buf->len > 0 ? ", " : "",
			commands[i].name + strlen(first_word) + 1);
	}
}

static void say_unknown(char **words, size_t count)
{
	struct buf choices = BUF_INIT;

	add_second_words(&choices, words[0]);
	if (choices.len == 0)
		say("unknown command '%s'; see imctl help", words[0]);
	else if (count < 2)
		say("'%s' needs one of: %.*s", words[0], (int)choices.len, choices.data);
	else
		say("unknown command '%s %s'; there is: %.*s", words[0], words[1], (int)choices.len,
			choices.data);
	buf_fini(&choices);
}

const struct command *command_find(char **words, size_t count, size_t *ret_name_words)
{
	if (count == 0) {
		say("no command is given; see imctl help");
		return NULL;
	}
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		*ret_name_words = name_matches(&commands[i], words, count);
		if (*ret_name_words > 0)
			return &commands[i];
	}
	say_unknown(words, count);
	return NULL;
}

unsigned command_options(const struct command *command)
{
	unsigned options = command->own_options;

	if (command->verb < VERB_COUNT)
		options |= verb_row(command->verb)->options;
	return options & ~(CTL_GLOBAL_OPTIONS | CTL_HIDDEN_OPTIONS);
}

const char *command_help(const struct command *command)
{
	return command->help != NULL ? command->help : verb_row(command->verb)->help;
}

void command_add_args(struct buf *buf, const struct command *command)
{
	const char *args = command->args != NULL ? command->args : verb_row(command->verb)->args;

	for (; *args != '\0'; args++)
		buf_add_char(buf, (char)((unsigned char)*args < 0x80 ? toupper(*args) : *args));
}

void command_add_name(struct buf *buf, const struct command *command)
{
	size_t before;

	buf_addf(buf, "%s ", command->name);
	before = buf->len;
	command_add_args(buf, command);
	if (buf->len == before)
		buf->len--;
}

void command_add_usage(struct buf *buf, const struct command *command)
{
	unsigned options = command_options(command);

	command_add_name(buf, command);
	for (unsigned option = 0; option < CTL_OPTION_COUNT; option++) {
		struct ctl_option_row row = ctl_option_row(option);

		if ((options & OPT(option)) == 0)
			continue;
		buf_addf(buf, " [--%s%s%s]", row.key, row.value != NULL ? " " : "",
			row.value != NULL ? row.value : "");
	}
}

struct arg_range {
	size_t min;
	size_t max;
};

static struct arg_range command_arg_range(const struct command *command)
{
	if (command->run == command_raw)
		return (struct arg_range){1, SIZE_MAX};
	if (command->run == command_help_command)
		return (struct arg_range){0, 2};
	if (command->args == NULL || command->verb < VERB_COUNT)
		return (struct arg_range){verb_row(command->verb)->min_args,
			verb_row(command->verb)->max_args};
	return command->args[0] != '\0' ? (struct arg_range){1, 1} : (struct arg_range){0, 0};
}

static int check_args(const struct ctl *ctl)
{
	struct arg_range range = command_arg_range(ctl->command);
	struct buf args = BUF_INIT;

	if (ctl->arg_count >= range.min && ctl->arg_count <= range.max)
		return 0;
	command_add_args(&args, ctl->command);
	if (ctl->arg_count < range.min)
		say("%s needs %.*s", ctl->command->name, (int)args.len, args.data);
	else if (range.max == 0)
		say("%s takes no argument, and '%s' is one", ctl->command->name, ctl->args[0]);
	else
		say("%s takes %.*s, and '%s' is too much", ctl->command->name, (int)args.len, args.data,
			ctl->args[range.max]);
	buf_fini(&args);
	return -1;
}

int command_check(const struct ctl *ctl)
{
	unsigned taken = command_options(ctl->command) | CTL_GLOBAL_OPTIONS;

	for (unsigned option = 0; option < CTL_OPTION_COUNT; option++) {
		if (ctl->values[option] == NULL || (taken & OPT(option)) != 0)
			continue;
		say("%s takes no option --%s", ctl->command->name, ctl_option_row(option).key);
		return -1;
	}
	return check_args(ctl);
}
