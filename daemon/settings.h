/* The settings of imd in one table: the options of its command line and the keys of its files, what
 * each may be, and how it is written. --help, --print-config and the manual go by it. */
#ifndef IMD_SETTINGS_H
#define IMD_SETTINGS_H

#include "config.h"
#include "proto/buf.h"

enum { SETTING_TITLE_SIZE = 64 };

enum {
	SETTING_OPTION = 1 << 0,  /* of the command line alone, in no file */
	SETTING_MOCK = 1 << 1,    /* in the section [driver mock], without the "mock-" of its name */
	SETTING_GROUP = 1 << 2,   /* in [imd], and for one group in [group NAME] */
	SETTING_RESTART = 1 << 3, /* cannot be changed while imd runs */
	SETTING_LISTEN = 1 << 4,  /* of no use where the service manager hands the socket over */
};

struct setting_kind {
	/* Reads a text into the place. title names the setting in messages. */
	int (*set)(const struct setting *setting, struct config *config, void *place,
		const char *title, const char *text, struct error *error);
	/* Appends the text that set would read back; false where there is nothing to be read. */
	bool (*show)(const struct setting *setting, const struct config *config, const void *place,
		struct buf *text);
	size_t size; /* of what is in the place and belongs to this setting alone; 0: more than that */
};

struct setting {
	const char *name;  /* of the option, without the -- */
	char letter;       /* '\0': none */
	const char *value; /* what it takes; NULL: takes none */
	const char *help;
	const struct setting_kind *kind;
	size_t offset;     /* of the place in struct config */
	uint64_t min, max; /* of numbers; max of percentages */
	unsigned flags;
};

extern const struct setting settings[];
extern const int setting_count;

/* The key of a file that a setting has, and whether it stands in sections of this sort. */
const char *setting_key(const struct setting *setting);
bool setting_in(const struct setting *setting, enum config_section section);
/* Finds the setting of a key; -1 where the section has none such. */
int setting_find_key(enum config_section section, const char *key);

/* The place of a setting: in the config, or in the policy of a group (NULL: none). */
void *setting_place(const struct setting *setting, struct config *config,
	struct config_group *group);
/* The text of a setting as it is, appended; false where it has none. */
bool setting_show(const struct setting *setting, const struct config *config,
	const struct config_group *group, struct buf *text);

#endif
