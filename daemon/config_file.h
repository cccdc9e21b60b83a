/* The files of the configuration: an error names the file, the line, the section and the key. */
#ifndef IMD_CONFIG_FILE_H
#define IMD_CONFIG_FILE_H

#include "config.h"

enum { CONFIG_LINE_MAX = 197 }; /* bytes of a line that the reader of the files takes whole */

/* Reads a file into the config, on top of what is there. A missing one is none, unless it must be there. Only
 * regular files are read, and the null device: others could keep the reader waiting. And only trusted ones
 * (sys/trust.h), as the files say who may change what. */
int config_file_read(struct config *config, const char *path, bool must_be, struct error *error);
/* Reads the files of a trusted directory whose names end in .conf, by the order of their names. */
int config_directory_read(struct config *config, const char *path, struct error *error);

#endif
