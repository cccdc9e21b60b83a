#include "completion.h"

#include <assert.h>
#include <string.h>

#include "ctl.h"
#include "json.h"
#include "text.h"

static const struct {
	const char *name;
	void (*add)(struct buf *buf);
} shells[] = {
	{"bash", completion_bash},
	{"zsh", completion_zsh},
	{"fish", completion_fish},
};

enum { SHELL_COUNT = sizeof shells / sizeof shells[0], WORD_SIZE = 64 };

/* What the rows call their values and arguments, and what there is to complete of such. */
static const struct {
	const char *text;
	enum completion completion;
} kinds[] = {
	{"PATH", COMPLETE_FILES},
	{"FILE", COMPLETE_FILES},
	{"ID", COMPLETE_IDS},
	{"[COMMAND]", COMPLETE_COMMANDS},
	{"SHELL", COMPLETE_SHELLS},
};

static enum completion completion_of(const char *text, size_t len)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if (strlen(kinds[i].text) == len && memcmp(kinds[i].text, text, len) == 0)
			return kinds[i].completion;
	}
	return COMPLETE_NOTHING;
}

enum completion completion_of_option(unsigned option)
{
	struct ctl_option_row row = ctl_option_row(option);

	if (option == OPT_GROUP)
		return COMPLETE_GROUPS;
	return row.value != NULL ? completion_of(row.value, strlen(row.value)) : COMPLETE_NOTHING;
}

enum completion completion_of_command(const struct command *command)
{
	struct buf args = BUF_INIT;
	enum completion completion;

	command_add_args(&args, command);
	completion = args.len > 0 ? completion_of(args.data, args.len) : COMPLETE_NOTHING;
	buf_fini(&args);
	return completion;
}

const char *completion_name(enum completion completion)
{
	static const char *const names[] = {"", "files", "groups", "ids", "commands", "shells"};

	return names[completion];
}

/* ---- words ---------------------------------------------------------------------------------- */

/* The first word of a command's name; returns what stands behind it, "" where nothing does. */
static const char *split_name(const struct command *command, char *ret_word)
{
	size_t len = strcspn(command->name, " ");

	assert(len < WORD_SIZE);
	memcpy(ret_word, command->name, len);
	ret_word[len] = '\0';
	return command->name[len] == ' ' ? command->name + len + 1 : "";
}

/* Whether no command before this one begins with the word. */
static bool is_first(size_t index, const char *word)
{
	for (size_t i = 0; i < index; i++) {
		if (command_begins_with(command_at(i), word))
			return false;
	}
	return true;
}

/* A family is explained by the words behind it: "ls, get, kill". */
static void add_family(struct buf *buf, const char *family, completion_add *add)
{
	struct buf help = BUF_INIT;

	for (size_t i = 0; command_at(i) != NULL; i++) {
		if (command_begins_with(command_at(i), family))
			buf_addf(&help, "%s%s", help.len > 0 ? ", " : "",
				command_at(i)->name + strlen(family) + 1);
	}
	buf_add_char(&help, '\0');
	add(buf, family, help.data);
	buf_fini(&help);
}

void completion_each_word(struct buf *buf, const char *family, completion_add *add)
{
	char word[WORD_SIZE];

	for (size_t i = 0; command_at(i) != NULL; i++) {
		const char *second = split_name(command_at(i), word);

		if (family != NULL) {
			if (command_begins_with(command_at(i), family))
				add(buf, second, command_help(command_at(i)));
		} else if (second[0] == '\0') {
			add(buf, word, command_help(command_at(i)));
		} else if (is_first(i, word)) {
			add_family(buf, word, add);
		}
	}
}

void completion_each_family(struct buf *buf, void (*add)(struct buf *buf, const char *family))
{
	char word[WORD_SIZE];

	for (size_t i = 0; command_at(i) != NULL; i++) {
		if (split_name(command_at(i), word)[0] != '\0' && is_first(i, word))
			add(buf, word);
	}
}

/* ---- options -------------------------------------------------------------------------------- */

static bool takes_value(unsigned option)
{
	bool hidden = option < VERB_OPTION_COUNT && (OPT(option) & CTL_HIDDEN_OPTIONS) != 0;

	return !hidden && ctl_option_row(option).value != NULL;
}

void completion_add_value_options(struct buf *buf, const char *between)
{
	const char *before = "";

	for (unsigned option = 0; option < CTL_OPTION_COUNT; option++) {
		struct ctl_option_row row = ctl_option_row(option);

		if (!takes_value(option))
			continue;
		buf_addf(buf, "%s--%s", before, row.key);
		before = between;
	}
}

void completion_add_value_letters(struct buf *buf)
{
	for (unsigned option = 0; option < CTL_OPTION_COUNT; option++) {
		if (takes_value(option) && ctl_option_row(option).letter != 0)
			buf_add_char(buf, ctl_option_row(option).letter);
	}
}

/* ---- texts ---------------------------------------------------------------------------------- */

void completion_add_shells(struct buf *buf)
{
	for (size_t i = 0; i < SHELL_COUNT; i++)
		buf_addf(buf, "%s%s", i > 0 ? " " : "", shells[i].name);
}

void completion_add_quoted(struct buf *buf, const char *text)
{
	buf_add_char(buf, '\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			buf_add_str(buf, "'\\'");
		buf_add_char(buf, *text);
	}
	buf_add_char(buf, '\'');
}

/* ---- what bash and zsh both understand ------------------------------------------------------ */

static const char common_value[] =
	"# The kind of the value of an option.\n"
	"_imctl_value()\n"
	"{\n"
	"	case $1 in\n";

static const char common_parting[] =
	"	*) completes='' ;;\n"
	"	esac\n"
	"}\n"
	"\n"
	"# Whether the word is an option that may have its value in it: then $lead is what stands before that,\n"
	"# such as --group= or -qg.\n"
	"_imctl_part()\n"
	"{\n"
	"	local flags=${1%%[";

static const char common_taking[] =
	"]*}\n"
	"	key='' lead=''\n"
	"	case $1 in\n"
	"	--*=*) key=${1%%=*} lead=${1%%=*}= ;;\n"
	"	--* | -[0-9.]*) ;;\n"
	"	-*)\n"
	"		[[ $flags == \"$1\" ]] && return 1\n"
	"		key=-${1:${#flags}:1} lead=${1:0:${#flags}+1} ;;\n"
	"	esac\n"
	"	[[ -n $key ]]\n"
	"}\n"
	"\n"
	"_imctl_note()\n"
	"{\n"
	"	case $1 in\n"
	"	-g | --group) group=$2 ;;\n"
	"	-s | --socket) socket=$2 ;;\n"
	"	esac\n"
	"}\n"
	"\n"
	"# Takes in a word before the one in question: an option, the value of one, or a word of the command.\n"
	"_imctl_take()\n"
	"{\n"
	"	if [[ -n $pending ]]; then\n"
	"		_imctl_note \"$pending\" \"$1\"\n"
	"		pending=''\n"
	"	elif [[ -n $ended || $1 != -?* || $1 == -[0-9.]* ]]; then\n"
	"		before+=(\"$1\")\n"
	"	elif [[ $1 == -- ]]; then\n"
	"		ended=yes\n"
	"	elif ! _imctl_part \"$1\"; then\n"
	"		given+=\"$1 \"\n"
	"		case $1 in\n"
	"		";

static const char common_answer[] =
	") pending=$1 ;;\n"
	"		esac\n"
	"	elif [[ $1 == \"$lead\" && $1 != --* ]]; then\n"
	"		pending=$key\n"
	"	else\n"
	"		given+=\"$key \"\n"
	"		_imctl_note \"$key\" \"${1:${#lead}}\"\n"
	"	fi\n"
	"}\n"
	"\n"
	"# Follows the words of the command as far as the table knows them; $before is what is left.\n"
	"_imctl_follow()\n"
	"{\n"
	"	_imctl_row ''\n"
	"	while ((${#commands} && ${#before[@]})); do\n"
	"		name=${name:+$name }${before[*]:0:1}\n"
	"		before=(\"${before[@]:1}\")\n"
	"		_imctl_row \"$name\"\n"
	"	done\n"
	"	if [[ $completes == commands ]]; then\n"
	"		_imctl_row \"${before[*]}\"\n"
	"		completes=''\n"
	"		before=()\n"
	"	fi\n"
	"}\n"
	"\n"
	"# Offers what the word in question may become.\n"
	"_imctl_answer()\n"
	"{\n"
	"	lead=''\n"
	"	if [[ -n $pending ]]; then\n"
	"		_imctl_value \"$pending\"\n"
	"		_imctl_complete\n"
	"		return\n"
	"	fi\n"
	"	if [[ -z $ended ]] && _imctl_part \"$1\"; then\n"
	"		_imctl_value \"$key\"\n"
	"		_imctl_complete\n"
	"		return\n"
	"	fi\n"
	"	_imctl_follow\n"
	"	if [[ -z $ended && $1 == -* ]]; then\n"
	"		_imctl_options\n"
	"	elif ((${#commands})); then\n"
	"		_imctl_commands\n"
	"	elif ((${#before[@]} == 0)); then\n"
	"		_imctl_complete\n"
	"	fi\n"
	"}\n"
	"\n";

static void add_value_row(struct buf *buf, unsigned option)
{
	struct ctl_option_row row = ctl_option_row(option);

	if (completion_of_option(option) == COMPLETE_NOTHING)
		return;
	buf_add_char(buf, '\t');
	if (row.letter != 0)
		buf_addf(buf, "-%c | ", row.letter);
	buf_addf(buf, "--%s) completes=%s ;;\n", row.key, completion_name(completion_of_option(option)));
}

static void add_common(struct buf *buf)
{
	buf_add_str(buf, common_value);
	for (unsigned option = 0; option < CTL_OPTION_COUNT; option++)
		add_value_row(buf, option);
	buf_add_str(buf, common_parting);
	completion_add_value_letters(buf);
	buf_add_str(buf, common_taking);
	completion_add_value_options(buf, " | ");
	buf_add_str(buf, common_answer);
}

void completion_add_script(struct buf *buf, const struct completion_script *script)
{
	buf_add_str(buf, script->head);
	script->words_row(buf, NULL);
	completion_each_family(buf, script->words_row);
	for (size_t i = 0; command_at(i) != NULL; i++)
		script->command_row(buf, command_at(i));
	buf_add_str(buf, script->row_end);
	add_common(buf);
	buf_add_str(buf, script->own);
	completion_add_shells(buf);
	buf_add_str(buf, script->tail);
}

/* ---- the command ---------------------------------------------------------------------------- */

static void say_unknown_shell(const char *name)
{
	struct buf known = BUF_INIT;

	completion_add_shells(&known);
	say("there is a completion for each of: %.*s; not for '%s'", (int)known.len, known.data, name);
	buf_fini(&known);
}

int command_completion(struct ctl *ctl)
{
	struct buf script = BUF_INIT;

	for (size_t i = 0; i < SHELL_COUNT; i++) {
		if (strcmp(ctl->args[0], shells[i].name) == 0)
			shells[i].add(&script);
	}
	if (script.len == 0) {
		say_unknown_shell(ctl->args[0]);
		return STATUS_USAGE;
	}
	json_print_text(ctl->json, "script", &script);
	buf_fini(&script);
	return STATUS_OK;
}
