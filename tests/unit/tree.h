/* Removes the directory of a test with all that is in it. */
#ifndef IMD_TESTS_TREE_H
#define IMD_TESTS_TREE_H

#include <ftw.h>
#include <stdio.h>

static inline int tree_remove_entry(const char *path, const struct stat *status, int kind, struct FTW *at)
{
	(void)status;
	(void)kind;
	(void)at;
	return remove(path);
}

static inline void tree_remove(const char *path)
{
	nftw(path, tree_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
