/* Scripts that have shells complete the words of imctl, made from the rows of commands and options. */
#ifndef IMD_CTL_COMPLETION_H
#define IMD_CTL_COMPLETION_H

#include "command.h"
#include "options.h"

/* What can be said of the value of an option, or of the arguments of a command. */
enum completion {
	COMPLETE_NOTHING,
	COMPLETE_FILES,
	COMPLETE_GROUPS,   /* of the imd that runs */
	COMPLETE_IDS,      /* of its nodes or graphs: the first column of what `nodes ls` prints */
	COMPLETE_COMMANDS,
	COMPLETE_SHELLS,
};

enum completion completion_of_option(unsigned option);
enum completion completion_of_command(const struct command *command);
/* The word for it in a script: "groups"; "" of nothing. */
const char *completion_name(enum completion completion);

/* Calls add for each word that a command may begin with; with a family, such as "nodes", for each word
 * behind that. */
typedef void completion_add(struct buf *buf, const char *word, const char *help);
void completion_each_word(struct buf *buf, const char *family, completion_add *add);
/* Calls add for each family. */
void completion_each_family(struct buf *buf, void (*add)(struct buf *buf, const char *family));

/* Appends all options that take a value, "--socket" and so on, with this between them. */
void completion_add_value_options(struct buf *buf, const char *between);
/* Appends the letters of such options: "sg". */
void completion_add_value_letters(struct buf *buf);
/* Appends the shells that there are scripts for, parted by blanks. */
void completion_add_shells(struct buf *buf);
/* Appends text in single quotes, as all these shells understand them. */
void completion_add_quoted(struct buf *buf, const char *text);

/* What a script for bash or zsh has of its own; the texts of a table and of what comes behind it. */
struct completion_script {
	const char *head;    /* up to the rows of the table: the words that may follow, and the commands; */
	const char *row_end; /* behind them */
	const char *own;     /* functions, behind those that both have */
	const char *tail;    /* behind the names of the shells */
	void (*words_row)(struct buf *buf, const char *family);
	void (*command_row)(struct buf *buf, const struct command *command);
};

/* Appends such a script, with the functions that both have in common. _imctl_take takes in the words before
 * the one in question, one by one, and _imctl_answer is called with that one. They call what each script has
 * of its own: _imctl_row, which looks into the table, and _imctl_complete, _imctl_options and
 * _imctl_commands, which offer. */
void completion_add_script(struct buf *buf, const struct completion_script *script);

/* Each appends the script for a shell. */
void completion_bash(struct buf *buf);
void completion_zsh(struct buf *buf);
void completion_fish(struct buf *buf);

#endif
