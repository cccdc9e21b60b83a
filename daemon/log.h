/* The log: one line for each event of note, as `<priority>event key=value…` on stderr. Where stderr is the
 * journal's, it gets an entry with a field IMD_KEY= for each of them, and the MESSAGE_ID= by which its
 * catalog explains the event.
 *
 * Nothing here ever waits for who reads that. What is not taken at once is lost, and counted: the next event
 * that is taken comes behind one that says how many were lost, log-lost. */
#ifndef IMD_LOG_H
#define IMD_LOG_H

#include <stdbool.h>
#include <stdint.h>

/* The priorities of syslog, which the journal reads from the `<N>` that begins a line. */
enum log_level {
	LEVEL_ERR = 3,
	LEVEL_WARNING = 4,
	LEVEL_NOTICE = 5,
	LEVEL_INFO = 6,
	LEVEL_DEBUG = 7,
};

/* A key and its value: a text (NULL: left out), or a number where text is not what is meant. */
struct log_field {
	const char *key;
	const char *text;
	uint64_t number;
	enum { LOG_END, LOG_TEXT, LOG_NUMBER } type;
};
#define LOG_STR(key_, text_) ((struct log_field){(key_), (text_), 0, LOG_TEXT})
#define LOG_U64(key_, number_) ((struct log_field){(key_), NULL, (number_), LOG_NUMBER})

/* Looks what stderr is; it is not taken for the journal's before. Whether it is. */
bool log_open(void);
/* Lines above the level are left out; LEVEL_INFO before the first call. */
void log_set_level(enum log_level level);
/* err, warning, notice, info or debug; -1 where the word is none of them. */
int log_level_parse(const char *word);

/* log_event(LEVEL_INFO, "listening", LOG_STR("socket", path), LOG_U64("max-clients", n));
 * The event is a short phrase; at least one field follows. Values are quoted as in the protocol, so that
 * a line stays a line whatever a client sent. */
#define log_event(level, event, ...) \
	log_write((level), (event), (const struct log_field[]){__VA_ARGS__, {0}})
void log_write(enum log_level level, const char *event, const struct log_field *fields);

#endif
