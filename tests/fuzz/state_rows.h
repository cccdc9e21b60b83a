/* Mutations of a state file, as lines of text:
 *
 *   set TABLE ROW COLUMN VALUE     a value: null, a number, blob:HEX, or a text up to the end of the line
 *   from TABLE ROW COLUMN OTHER    the value that another row has there
 *   swap TABLE ROW COLUMN OTHER    both have that of the other
 *   byte TABLE ROW COLUMN AT VALUE one byte of a text or blob
 *   drop TABLE ROW                 the row goes
 *   copy TABLE ROW COLUMN VALUE    the row is there once more, with this value
 *   flip AT VALUE                  one byte of the file, after all of the above
 *
 * Rows count from 0 in the order of the key; a number beyond the last one begins again at 0. A line that makes no sense
 * is ignored, as is one that SQLite refuses. NOT NULL, CHECK and STRICT do not hold meanwhile, as if a program that
 * knows nothing of them had written the file. */
#ifndef IMD_TESTS_FUZZ_STATE_ROWS_H
#define IMD_TESTS_FUZZ_STATE_ROWS_H

#include <stddef.h>
#include <stdint.h>

/* Reads the file that is to be mutated, and its tables and columns. */
void rows_set_base(const char *path);

/* The names of tables and columns from 0, NULL after the last. */
const char *rows_word(size_t index);

/* Makes a line about a table, a row and a column that are there. */
void rows_make_line(uint64_t *random, char *ret_line, size_t size);

/* Writes a mutation of the base to the path. */
void rows_write(const char *path, const char *lines, size_t len);

#endif
