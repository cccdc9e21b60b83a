/* Whether two databases have the same schema. */
#ifndef IMD_STORE_SCHEMA_COMPARE_H
#define IMD_STORE_SCHEMA_COMPARE_H

#include "sqlite.h"

/* Compares tables, indices, views and triggers with those of a reference, apart from white space. -1 with ERR_STORAGE
 * names the first difference. */
int schema_compare(struct db *db, struct db *reference, struct error *error);

#endif
