/* From the tables of the state file into a core. */
#ifndef IMD_STORE_LOAD_H
#define IMD_STORE_LOAD_H

#include "rows.h"
#include "sqlite.h"
#include "store.h"

/* Loads all that is stored into a core fresh from core_init, up to but without core_load_end, and the
 * numbers of the nodes into serials, which are empty. ERR_STORAGE says what cannot be so: in which
 * table, and where. */
int load_tables(struct db *db, struct core *core, struct node_serials *serials,
	struct store_history *ret_history, struct error *error);

/* Reads one ended graph with its tasks; it is the caller's, and in no group. ERR_GONE where it is not
 * stored. */
int load_graph(struct db *db, uint64_t serial, struct graph **ret_graph, struct error *error);

/* Refuses plans and tasks of graphs that are not there: nothing reads them, and nothing deletes them. */
int load_check_orphans(struct db *db, struct error *error);

/* A part of load_tables. */
int load_graphs(struct db *db, struct core *core, struct error *error);

#endif
