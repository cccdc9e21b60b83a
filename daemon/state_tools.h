/* What imd does with a state file other than serve it. Each prints what it did, or to standard error what is wrong; the
 * result is an exit status. No daemon may use the state. Root becomes the owner of the state first, for good. */
#ifndef IMD_STATE_TOOLS_H
#define IMD_STATE_TOOLS_H

/* Looks through a copy of a state file: its pages, its rows, and all that must hold of the model. Writes nothing to the
 * state. */
int state_check(const char *path);
/* Restores the state at `path` from a copy, which is checked first. The state that was there is moved aside; there
 * need not be one. Root reads the copy itself, and becomes the owner of the directory if there is no state. */
int state_restore(const char *path, const char *copy_path);
/* Cuts a damaged log at the end of what is whole, if that is a state. Copies of the files are kept. */
int state_truncate_log(const char *path);

#endif
