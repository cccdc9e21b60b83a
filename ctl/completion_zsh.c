/* The completion for zsh: as that for bash, but with the help of every word. */

#include "completion.h"

static const char head[] =
	"#compdef imctl\n"
	"# Completion of imctl for zsh, as `imctl completion zsh` prints it.\n"
	"\n"
	"# What there is behind these words: the next ones, options, and the kind of arguments.\n"
	"_imctl_row() {\n"
	"	commands=() options=() completes=''\n"
	"	case $1 in\n";

static const char row_end[] =
	"	esac\n"
	"}\n"
	"\n";

static const char asking[] =
	"# $plain is the word without quotes, as zsh will hand it on.\n"
	"_imctl_plain() {\n"
	"	plain=${(Q)1}\n"
	"	[[ $1 != \\~ && $1 != \\~/* ]] || plain=$HOME${plain:1}\n"
	"}\n"
	"\n"
	"_imctl_ask() {\n"
	"	local plain\n"
	"	_imctl_plain \"$words[1]\"\n"
	"	\"$plain\" --timeout=1s --quiet ${socket:+--socket=$socket} \"$@\" 2>/dev/null\n"
	"}\n"
	"\n"
	"_imctl_complete() {\n"
	"	[[ -z $lead ]] || compset -p ${#lead}\n"
	"	case $completes in\n"
	"	files) _files ;;\n"
	"	groups) compadd -- ${(f)\"$(_imctl_ask groups ls)\"} ;;\n"
	"	ids) compadd -- ${(f)\"$(_imctl_ask \"--group=${group:-*}\" ${name%% *} ls)\"} ;;\n"
	"	shells) compadd -- ";

static const char tail[] =
	" ;;\n"
	"	*) return 1 ;;\n"
	"	esac\n"
	"}\n"
	"\n"
	"_imctl_commands() {\n"
	"	_describe command commands\n"
	"}\n"
	"\n"
	"# The options that are not given yet; none may be given twice.\n"
	"_imctl_options() {\n"
	"	local option\n"
	"	local -a left=()\n"
	"	for option in $options; do\n"
	"		[[ $given == *\" ${option%%:*} \"* ]] || left+=(\"$option\")\n"
	"	done\n"
	"	_describe -o option left\n"
	"}\n"
	"\n"
	"_imctl() {\n"
	"	local completes word plain name='' group='' socket=${IMD_SOCKET-} pending='' ended='' given=' '\n"
	"	local key lead\n"
	"	local -a commands options before=()\n"
	"\n"
	"	for word in \"${(@)words[2,CURRENT-1]}\"; do\n"
	"		_imctl_plain \"$word\"\n"
	"		_imctl_take \"$plain\"\n"
	"	done\n"
	"	_imctl_answer \"$PREFIX\"\n"
	"}\n"
	"\n"
	"# The file is the function's body where zsh finds it in fpath, and may as well be sourced.\n"
	"if [[ ${funcstack[1]} == _imctl ]]; then\n"
	"	_imctl \"$@\"\n"
	"else\n"
	"	compdef _imctl imctl\n"
	"fi\n";

/* A word and its help, as _describe has them. */
static void add_described(struct buf *buf, const char *word, const char *help)
{
	struct buf text = BUF_INIT;

	buf_addf(&text, "%s:%s", word, help);
	buf_add_char(&text, '\0');
	buf_add_str(buf, "\n			");
	completion_add_quoted(buf, text.data);
	buf_fini(&text);
}

static void add_options(struct buf *buf, unsigned options)
{
	buf_add_str(buf, "		options=(");
	for (unsigned option = 0; option < CTL_OPTION_COUNT; option++) {
		struct ctl_option_row row = ctl_option_row(option);
		struct buf word = BUF_INIT;

		if ((options & OPT(option)) == 0)
			continue;
		buf_addf(&word, "--%s", row.key);
		buf_add_char(&word, '\0');
		add_described(buf, word.data, row.help);
		buf_fini(&word);
	}
	buf_add_str(buf, "\n		)");
}

static void add_words_row(struct buf *buf, const char *family)
{
	buf_addf(buf, "	'%s')\n		commands=(", family != NULL ? family : "");
	completion_each_word(buf, family, add_described);
	buf_add_str(buf, "\n		)\n");
	add_options(buf, CTL_GLOBAL_OPTIONS);
	buf_add_str(buf, " ;;\n");
}

static void add_command_row(struct buf *buf, const struct command *command)
{
	enum completion completion = completion_of_command(command);

	buf_addf(buf, "	'%s')\n", command->name);
	add_options(buf, command_options(command) | CTL_GLOBAL_OPTIONS);
	if (completion != COMPLETE_NOTHING)
		buf_addf(buf, "\n		completes=%s", completion_name(completion));
	buf_add_str(buf, " ;;\n");
}

void completion_zsh(struct buf *buf)
{
	static const struct completion_script script = {head, row_end, asking, tail, add_words_row,
		add_command_row};

	completion_add_script(buf, &script);
}
