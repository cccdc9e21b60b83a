/* The completion for fish: a line for each word and option, with the condition under which it fits. */

#include "completion.h"

#include <string.h>

static const char head[] =
	"# Completion of imctl for fish, as `imctl completion fish` prints it.\n"
	"\n"
	"# The word as fish will hand it on: it knows ~ at the beginning of one, not within --option=~.\n"
	"function __imctl_plain\n"
	"	if string match -q -r '^~(/|$)' -- $argv\n"
	"		echo -- $HOME(string sub -s 2 -- $argv)\n"
	"	else\n"
	"		echo -- $argv\n"
	"	end\n"
	"end\n"
	"\n"
	"# The words before the one in question that are no options; with an argument, the value of that option\n"
	"# instead.\n"
	"function __imctl_words\n"
	"	set -l option ''\n"
	"	for word in (commandline -opc)[2..-1]\n"
	"		if test -n \"$option\"\n"
	"			contains -- $option $argv; and __imctl_plain $word\n"
	"			set option ''\n"
	"			continue\n"
	"		end\n"
	"		switch $word\n"
	"			case '--*=*'\n"
	"				contains -- (string split -m1 = -- $word)[1] $argv\n"
	"				and string split -m1 = -- $word | tail -n +2\n"
	"			case ";

static const char head_letters[] =
	"\n"
	"				set option $word\n"
	"			case '--*'\n"
	"			case '-*'\n"
	"				set -l letters (string match -r '^-.*?([";

static const char head_end[] =
	"])(.*)$' -- $word)\n"
	"				if test -n \"$letters[3]\"\n"
	"					contains -- -$letters[2] $argv; and echo -- $letters[3]\n"
	"				else if test -n \"$letters[2]\"\n"
	"					set option -$letters[2]\n"
	"				end\n"
	"			case '*'\n"
	"				set -q argv[1]; or echo -- $word\n"
	"		end\n"
	"	end\n"
	"end\n"
	"\n"
	"# Whether these are the words so far; and whether they begin so.\n"
	"function __imctl_at\n"
	"	test \"$(__imctl_words | string join ' ')\" = \"$argv\"\n"
	"end\n"
	"\n"
	"function __imctl_in\n"
	"	string match -q -- \"$argv *\" \"$(__imctl_words | string join ' ') \"\n"
	"end\n"
	"\n"
	"function __imctl_ask\n"
	"	set -l socket (__imctl_words -s --socket)\n"
	"	set -q socket[1]; and set socket --socket=$socket[1]\n"
	"	set -l program (__imctl_plain (commandline -opc)[1])\n"
	"	$program --timeout=1s --quiet $socket $argv 2>/dev/null\n"
	"end\n"
	"\n"
	"function __imctl_ask_ids\n"
	"	set -l group (__imctl_words -g --group) '*'\n"
	"	__imctl_ask --group=$group[1] $argv ls\n"
	"end\n"
	"\n"
	"complete -c imctl -f\n";

/* -s g -l group -x -d 'the group' */
static void add_option(struct buf *buf, unsigned option)
{
	struct ctl_option_row row = ctl_option_row(option);

	if (row.letter != 0)
		buf_addf(buf, " -s %c", row.letter);
	buf_addf(buf, " -l %s", row.key);
	if (completion_of_option(option) == COMPLETE_FILES)
		buf_add_str(buf, " -r -F");
	else if (completion_of_option(option) == COMPLETE_GROUPS)
		buf_add_str(buf, " -x -a '(__imctl_ask groups ls)'");
	else if (row.value != NULL)
		buf_add_str(buf, " -x");
	buf_add_str(buf, " -d ");
	completion_add_quoted(buf, row.help);
	buf_add_char(buf, '\n');
}

/* A word that fits behind those of the condition that was begun. */
static void add_described(struct buf *buf, const char *word, const char *help)
{
	buf_addf(buf, "' -a %s -d ", word);
	completion_add_quoted(buf, help);
	buf_add_char(buf, '\n');
}

static void add_first_word(struct buf *buf, const char *word, const char *help)
{
	buf_add_str(buf, "complete -c imctl -n '__imctl_at");
	add_described(buf, word, help);
}

static void add_helped_word(struct buf *buf, const char *word, const char *help)
{
	buf_add_str(buf, "complete -c imctl -n '__imctl_at help");
	add_described(buf, word, help);
}

/* Behind a family, and behind `help` and that. */
static void add_second_words(struct buf *buf, const struct command *command)
{
	static const char *const leads[] = {"", "help "};
	const char *second = strchr(command->name, ' ');

	if (second == NULL)
		return;
	for (size_t i = 0; i < sizeof leads / sizeof leads[0]; i++) {
		buf_addf(buf, "complete -c imctl -n '__imctl_at %s%.*s", leads[i],
			(int)(second - command->name), command->name);
		add_described(buf, second + 1, command_help(command));
	}
}

static void add_arguments(struct buf *buf, const struct command *command)
{
	enum completion completion = completion_of_command(command);

	if (completion == COMPLETE_COMMANDS) {
		completion_each_word(buf, NULL, add_helped_word);
		return;
	}
	if (completion == COMPLETE_NOTHING)
		return;
	buf_addf(buf, "complete -c imctl -n '__imctl_at %s'", command->name);
	if (completion == COMPLETE_FILES) {
		buf_add_str(buf, " -F\n");
	} else if (completion == COMPLETE_IDS) {
		buf_addf(buf, " -a '(__imctl_ask_ids %.*s)'\n", (int)strcspn(command->name, " "),
			command->name);
	} else {
		buf_add_str(buf, " -a '");
		completion_add_shells(buf);
		buf_add_str(buf, "'\n");
	}
}

static void add_own_options(struct buf *buf, const struct command *command)
{
	for (unsigned option = 0; option < CTL_OPTION_COUNT; option++) {
		if ((command_options(command) & OPT(option)) == 0)
			continue;
		buf_addf(buf, "complete -c imctl -n '__imctl_in %s'", command->name);
		add_option(buf, option);
	}
}

void completion_fish(struct buf *buf)
{
	buf_add_str(buf, head);
	completion_add_value_options(buf, " ");
	buf_add_str(buf, head_letters);
	completion_add_value_letters(buf);
	buf_add_str(buf, head_end);
	for (unsigned option = 0; option < CTL_OPTION_COUNT; option++) {
		if ((CTL_GLOBAL_OPTIONS & OPT(option)) == 0)
			continue;
		buf_add_str(buf, "complete -c imctl");
		add_option(buf, option);
	}
	completion_each_word(buf, NULL, add_first_word);
	for (size_t i = 0; command_at(i) != NULL; i++) {
		add_second_words(buf, command_at(i));
		add_arguments(buf, command_at(i));
		add_own_options(buf, command_at(i));
	}
}
