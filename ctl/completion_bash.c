/* The completion for bash: a table, made from the rows, and functions that look into it. It needs
 * nothing of the package bash-completion. */

#include "completion.h"

static const char head[] =
	"# Completion of imctl for bash, as `imctl completion bash` prints it.\n"
	"\n"
	"# What there is behind these words: the next ones, options, and the kind of arguments.\n"
	"_imctl_row()\n"
	"{\n"
	"	commands='' options='' completes=''\n"
	"	case $1 in\n";

static const char row_end[] =
	"	esac\n"
	"}\n"
	"\n";

/* Candidates are compared here, and not by compgen -W, which would expand what imd says. */
static const char asking[] =
	"_imctl_ask()\n"
	"{\n"
	"	\"${COMP_WORDS[0]/#\\~/$HOME}\" --timeout=1s --quiet ${socket:+--socket=\"$socket\"} \"$@\" 2>/dev/null\n"
	"}\n"
	"\n"
	"# Takes of the lines of its input those that begin with the word.\n"
	"_imctl_offer()\n"
	"{\n"
	"	local line\n"
	"	while read -r line; do\n"
	"		[[ -n $line && $line == \"$word\"* ]] && COMPREPLY+=(\"$prefix$line\")\n"
	"	done\n"
	"}\n"
	"\n"
	"_imctl_offer_words()\n"
	"{\n"
	"	_imctl_offer < <(printf '%s\\n' \"$@\")\n"
	"}\n"
	"\n"
	"_imctl_complete()\n"
	"{\n"
	"	case $completes in\n"
	"	files)\n"
	"		compopt -o filenames 2>/dev/null\n"
	"		_imctl_offer < <(compgen -f -- \"$word\") ;;\n"
	"	groups) _imctl_offer < <(_imctl_ask groups ls) ;;\n"
	"	ids) _imctl_offer < <(_imctl_ask --group=\"${group:-*}\" \"${name%% *}\" ls) ;;\n"
	"	shells) _imctl_offer_words ";

static const char walking[] =
	" ;;\n"
	"	esac\n"
	"}\n"
	"\n"
	"# The command line up to the word in question: $said. A value that is written to its option (--key=value)\n"
	"# comes in three words, for bash parts words at a \"=\".\n"
	"_imctl_join()\n"
	"{\n"
	"	local i glue=''\n"
	"	for ((i = 1; i <= COMP_CWORD; i++)); do\n"
	"		if [[ $glue ]]; then\n"
	"			said[last]+=${COMP_WORDS[i]} glue=''\n"
	"		elif [[ ${COMP_WORDS[i]} == = && $last -ge 0 && ${said[last]} == --* ]]; then\n"
	"			said[last]+='=' glue=yes\n"
	"		else\n"
	"			said[++last]=${COMP_WORDS[i]}\n"
	"		fi\n"
	"	done\n"
	"}\n"
	"\n"
	"# Of the words before it: which are no options, and what the last one has still to be given.\n"
	"_imctl_walk()\n"
	"{\n"
	"	local i\n"
	"	for ((i = 0; i < last; i++)); do\n"
	"		if [[ $pending ]]; then\n"
	"			_imctl_note \"$pending\" \"${said[i]//[\\'\\\"]/}\"\n"
	"			pending=''\n"
	"			continue\n"
	"		fi\n"
	"		case ${said[i]} in\n"
	"		--*=*) _imctl_note \"${said[i]%%=*}\" \"${said[i]#*=}\" ;;\n"
	"		";

static const char tail[] =
	") pending=${said[i]} ;;\n"
	"		--*) ;;\n"
	"		-?*) _imctl_letters \"${said[i]}\" ;;\n"
	"		*) before+=(\"${said[i]}\") ;;\n"
	"		esac\n"
	"	done\n"
	"}\n"
	"\n"
	"# The options that are not given yet; none may be given twice.\n"
	"_imctl_options()\n"
	"{\n"
	"	local option\n"
	"	for option in $options; do\n"
	"		[[ \" ${said[*]:0:last} \" == *\" $option\"[\\ =]* ]] || _imctl_offer_words \"$option\"\n"
	"	done\n"
	"}\n"
	"\n"
	"_imctl()\n"
	"{\n"
	"	local commands options completes word name='' group='' socket=${IMD_SOCKET-} prefix='' pending='' last=-1\n"
	"	local -a said=() before=()\n"
	"\n"
	"	COMPREPLY=()\n"
	"	_imctl_join\n"
	"	_imctl_walk\n"
	"	word=${said[last]}\n"
	"	if [[ $pending ]]; then\n"
	"		_imctl_value \"$pending\"\n"
	"		_imctl_complete\n"
	"		return\n"
	"	fi\n"
	"	if [[ $word == --*=* ]]; then\n"
	"		_imctl_value \"${word%%=*}\"\n"
	"		[[ $COMP_WORDBREAKS == *=* ]] || prefix=${word%%=*}=\n"
	"		word=${word#*=}\n"
	"		_imctl_complete\n"
	"		return\n"
	"	fi\n"
	"	_imctl_row ''\n"
	"	while [[ $commands && ${#before[@]} -gt 0 ]]; do\n"
	"		name=${name:+$name }${before[0]}\n"
	"		before=(\"${before[@]:1}\")\n"
	"		_imctl_row \"$name\"\n"
	"	done\n"
	"	if [[ $completes == commands ]]; then\n"
	"		_imctl_row \"${before[*]}\"\n"
	"		completes=''\n"
	"		before=()\n"
	"	fi\n"
	"	if [[ $word == -* ]]; then\n"
	"		_imctl_options\n"
	"	elif [[ $commands ]]; then\n"
	"		_imctl_offer_words $commands\n"
	"	elif ((${#before[@]} == 0)); then\n"
	"		_imctl_complete\n"
	"	fi\n"
	"}\n"
	"\n"
	"complete -F _imctl imctl\n";

static void add_options(struct buf *buf, unsigned options)
{
	const char *before = "";

	buf_add_str(buf, " options='");
	for (unsigned option = 0; option < CTL_OPTION_COUNT; option++) {
		if ((options & OPT(option)) == 0)
			continue;
		buf_addf(buf, "%s--%s", before, ctl_option_row(option).key);
		before = " ";
	}
	buf_add_char(buf, '\'');
}

static void add_word(struct buf *buf, const char *word, const char *help)
{
	(void)help;
	buf_addf(buf, "%s%s", buf->data[buf->len - 1] == '\'' ? "" : " ", word);
}

/* The row of the words that may follow: at the beginning, or behind a family. */
static void add_words_row(struct buf *buf, const char *family)
{
	buf_addf(buf, "	'%s')", family != NULL ? family : "");
	buf_add_str(buf, " commands='");
	completion_each_word(buf, family, add_word);
	buf_add_char(buf, '\'');
	add_options(buf, CTL_GLOBAL_OPTIONS);
	buf_add_str(buf, " ;;\n");
}

static void add_command_row(struct buf *buf, const struct command *command)
{
	enum completion completion = completion_of_command(command);

	buf_addf(buf, "	'%s')", command->name);
	add_options(buf, command_options(command) | CTL_GLOBAL_OPTIONS);
	if (completion != COMPLETE_NOTHING)
		buf_addf(buf, " completes=%s", completion_name(completion));
	buf_add_str(buf, " ;;\n");
}

void completion_bash(struct buf *buf)
{
	buf_add_str(buf, head);
	add_words_row(buf, NULL);
	completion_each_family(buf, add_words_row);
	for (size_t i = 0; command_at(i) != NULL; i++)
		add_command_row(buf, command_at(i));
	buf_add_str(buf, row_end);
	completion_add_common(buf);
	buf_add_str(buf, asking);
	completion_add_shells(buf);
	buf_add_str(buf, walking);
	completion_add_value_options(buf, " | ");
	buf_add_str(buf, tail);
}
