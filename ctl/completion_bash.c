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
static const char offering[] =
	"_imctl_ask()\n"
	"{\n"
	"	\"$program\" --timeout=1s --quiet ${socket:+--socket=\"$socket\"} \"$@\" 2>/dev/null\n"
	"}\n"
	"\n"
	"# Takes of the lines of its input those that the word may become; of these, what bash is to put in the\n"
	"# place of the part of it that it takes for the word, quoted. Within a quote nothing is offered that\n"
	"# needs quoting, for there it would be other text. Names of files are quoted by bash.\n"
	"_imctl_offer()\n"
	"{\n"
	"	local line quoted\n"
	"	while IFS= read -r line; do\n"
	"		[[ -n $line && $lead$line == \"$word\"* ]] || continue\n"
	"		line=$lead$line\n"
	"		line=${line:skip}\n"
	"		printf -v quoted %q \"$line\"\n"
	"		[[ $completes == files ]] && quoted=$line\n"
	"		[[ -n $quote && $quoted != \"$line\" ]] || COMPREPLY+=(\"$quoted\")\n"
	"	done\n"
	"}\n"
	"\n"
	"_imctl_offer_words()\n"
	"{\n"
	"	_imctl_offer < <(printf '%s\\n' \"$@\")\n"
	"}\n"
	"\n"
	"_imctl_commands()\n"
	"{\n"
	"	_imctl_offer_words $commands\n"
	"}\n"
	"\n"
	"# The options that are not given yet; none may be given twice.\n"
	"_imctl_options()\n"
	"{\n"
	"	local option\n"
	"	for option in $options; do\n"
	"		[[ $given == *\" $option \"* ]] || _imctl_offer_words \"$option\"\n"
	"	done\n"
	"}\n"
	"\n"
	"# bash sees for itself what is a directory, but not behind the letter of an option.\n"
	"_imctl_files()\n"
	"{\n"
	"	compopt -o filenames 2>/dev/null\n"
	"	_imctl_offer < <(compgen -f -- \"${word:${#lead}}\")\n"
	"	if [[ $lead == -[!-]* && ${#COMPREPLY[@]} == 1 && -d ${COMPREPLY[0]#\"$lead\"} ]]; then\n"
	"		compopt -o nospace 2>/dev/null\n"
	"		COMPREPLY[0]+=/\n"
	"	fi\n"
	"}\n"
	"\n"
	"_imctl_complete()\n"
	"{\n"
	"	case $completes in\n"
	"	files) _imctl_files ;;\n"
	"	groups) _imctl_offer < <(_imctl_ask groups ls) ;;\n"
	"	ids) _imctl_offer < <(_imctl_ask --group=\"${group:-*}\" \"${name%% *}\" ls) ;;\n"
	"	shells) _imctl_offer_words ";

/* The words are not those of COMP_WORDS, which have their quotes and are parted at each "=" and ":", but are
 * made of the line. */
static const char tail[] =
	" ;;\n"
	"	esac\n"
	"}\n"
	"\n"
	"# Takes the line up to the cursor apart, as bash will when it runs it, and takes in all words but the last\n"
	"# one, the $word in question; $1 is that which bash takes for it, often the end of it. Nothing that was\n"
	"# typed is evaluated.\n"
	"_imctl_split()\n"
	"{\n"
	"	local line=${COMP_LINE:0:COMP_POINT} char i start=0\n"
	"	for ((i = 0; i < ${#line}; i++)); do\n"
	"		((i == ${#line} - ${#1})) && skip=${#word}\n"
	"		char=${line:i:1}\n"
	"		case $quote$char in\n"
	"		\\'\\' | \\\"\\\") quote='' ;;\n"
	"		\\\"\\\\)\n"
	"			char=${line:(++i):1}\n"
	"			[[ $char == [\\$\\`\\\"\\\\] ]] || word+=\\\\\n"
	"			word+=$char ;;\n"
	"		\\\\) word+=${line:(++i):1} ;;\n"
	"		\\' | \\\") quote=$char ;;\n"
	"		[[:space:]])\n"
	"			_imctl_end_word \"${line:start:i-start}\"\n"
	"			start=$((i + 1)) ;;\n"
	"		*) word+=$char ;;\n"
	"		esac\n"
	"	done\n"
	"	[[ $1 ]] || skip=${#word}\n"
	"}\n"
	"\n"
	"# The word as it was typed is $1, which is nothing between two blanks. The first one is imctl.\n"
	"_imctl_end_word()\n"
	"{\n"
	"	[[ $1 == \\~ || $1 == \\~/* ]] && word=$HOME${word:1}\n"
	"	if [[ $1 && $program ]]; then\n"
	"		_imctl_take \"$word\"\n"
	"	elif [[ $1 ]]; then\n"
	"		program=$word\n"
	"	fi\n"
	"	word=''\n"
	"}\n"
	"\n"
	"_imctl()\n"
	"{\n"
	"	local commands options completes word='' name='' group='' socket=${IMD_SOCKET-} pending='' ended=''\n"
	"	local program='' given=' ' key lead quote='' skip=0\n"
	"	local -a before=()\n"
	"\n"
	"	COMPREPLY=()\n"
	"	_imctl_split \"$2\"\n"
	"	_imctl_answer \"$word\"\n"
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
	static const struct completion_script script = {head, row_end, offering, tail, add_words_row,
		add_command_row};

	completion_add_script(buf, &script);
}
