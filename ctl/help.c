/* Usage and help, made from the rows of commands and options. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "command.h"
#include "ctl.h"
#include "json.h"
#include "text.h"

static const char program_usage[] = "imctl [OPTION…] COMMAND";

/* How wide a text is on the screen: characters, as far as usages have them. */
static int width_of(const char *text, size_t len)
{
	int width = 0;

	for (size_t i = 0; i < len; i++)
		width += ((unsigned char)text[i] & 0xc0) != 0x80;
	return width;
}

static void print_row(const struct buf *left, int width, const char *right)
{
	int pad = width - width_of(left->data, left->len);

	printf("  %.*s%*s  %s\n", (int)left->len, left->data, pad > 0 ? pad : 0, "", right);
}

static void option_add_usage(struct buf *buf, unsigned option)
{
	struct ctl_option_row row = ctl_option_row(option);

	if (row.letter != 0)
		buf_addf(buf, "-%c, ", row.letter);
	buf_addf(buf, "--%s", row.key);
	if (row.value != NULL)
		buf_addf(buf, " %s", row.value);
}

static void print_options(unsigned options)
{
	for (unsigned option = 0; option < CTL_OPTION_COUNT; option++) {
		struct buf left = BUF_INIT;

		if ((options & OPT(option)) == 0)
			continue;
		option_add_usage(&left, option);
		print_row(&left, 24, ctl_option_row(option).help);
		buf_fini(&left);
	}
}

static void print_overview(void)
{
	printf("usage: %s\n\nCommands:\n", program_usage);
	for (size_t i = 0; command_at(i) != NULL; i++) {
		struct buf left = BUF_INIT;

		command_add_name(&left, command_at(i));
		print_row(&left, 24, command_help(command_at(i)));
		buf_fini(&left);
	}
	printf("\nOptions:\n");
	print_options(CTL_GLOBAL_OPTIONS);
	printf("\nOptions of a command: imctl help COMMAND. An ID may be cut to its first characters,"
		" 4 or more.\n");
}

static void print_command(const struct command *command)
{
	struct buf usage = BUF_INIT;

	command_add_usage(&usage, command);
	printf("usage: imctl [OPTION…] %.*s\n\n%s: %s.\n", (int)usage.len, usage.data, command->name,
		command_help(command));
	if (command_options(command) != 0)
		printf("\nOptions of this command:\n");
	print_options(command_options(command));
	printf("\nOptions of every command:\n");
	print_options(CTL_GLOBAL_OPTIONS);
	buf_fini(&usage);
}

static bool is_first_word(const char *word)
{
	for (size_t i = 0; command_at(i) != NULL; i++) {
		if (command_begins_with(command_at(i), word))
			return true;
	}
	return false;
}

/* The commands that begin with this word, each with its options. */
static void print_family(const char *word)
{
	unsigned options = 0;

	printf("usage: imctl [OPTION…] %s COMMAND\n\nCommands:\n", word);
	for (size_t i = 0; command_at(i) != NULL; i++) {
		const struct command *command = command_at(i);
		struct buf left = BUF_INIT;

		if (!command_begins_with(command, word))
			continue;
		command_add_usage(&left, command);
		print_row(&left, 24, command_help(command));
		options |= command_options(command);
		buf_fini(&left);
	}
	if (options != 0)
		printf("\nOptions of these commands:\n");
	print_options(options);
	printf("\nOptions of every command:\n");
	print_options(CTL_GLOBAL_OPTIONS);
}

static json_t *json_of_options(unsigned options)
{
	json_t *array = json_array();

	for (unsigned option = 0; option < CTL_OPTION_COUNT; option++) {
		struct ctl_option_row row = ctl_option_row(option);

		if ((options & OPT(option)) == 0)
			continue;
		json_array_append_new(array, json_pack("{s:s, s:s*, s:s}", "name", row.key, "value",
			row.value, "help", row.help));
	}
	return array;
}

static json_t *json_of_command(const struct command *command)
{
	struct buf usage = BUF_INIT;
	json_t *object;

	command_add_usage(&usage, command);
	object = json_pack("{s:s, s:s%, s:s, s:o}", "name", command->name, "usage", usage.data,
		usage.len, "help", command_help(command), "options",
		json_of_options(command_options(command)));
	buf_fini(&usage);
	return object;
}

/* Of all the commands, or of those that begin with a word. */
static json_t *json_of_overview(const char *word)
{
	json_t *commands = json_array();

	for (size_t i = 0; command_at(i) != NULL; i++) {
		if (word == NULL || command_begins_with(command_at(i), word))
			json_array_append_new(commands, json_of_command(command_at(i)));
	}
	return json_pack("{s:s, s:o, s:o}", "usage", program_usage, "commands", commands, "options",
		json_of_options(CTL_GLOBAL_OPTIONS));
}

int help_print(struct ctl *ctl)
{
	const struct command *command = NULL;
	const char *family = NULL;
	size_t name_words = 0;

	if (ctl->arg_count == 1 && is_first_word(ctl->args[0])) {
		family = ctl->args[0];
	} else if (ctl->arg_count > 0) {
		command = command_find(ctl->args, ctl->arg_count, &name_words);
		if (command == NULL)
			return STATUS_USAGE;
		if (name_words < ctl->arg_count) {
			say("no command begins with '%s' and goes on with '%s'", command->name,
				ctl->args[name_words]);
			return STATUS_USAGE;
		}
	}
	if (ctl->json)
		json_print(command != NULL ? json_of_command(command) : json_of_overview(family));
	else if (command != NULL)
		print_command(command);
	else if (family != NULL)
		print_family(family);
	else
		print_overview();
	return STATUS_OK;
}

int command_help_command(struct ctl *ctl)
{
	return help_print(ctl);
}

int version_print(struct ctl *ctl)
{
	if (ctl->json)
		json_print(json_pack("{s:s}", "version", PACKAGE_VERSION));
	else
		printf("imctl %s\n", PACKAGE_VERSION);
	return STATUS_OK;
}
