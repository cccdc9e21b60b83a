#include "listing.h"

#include <stdio.h>

#include "json.h"
#include "text.h"

void listing_init(struct listing *listing, const struct ctl *ctl, const struct column *columns,
	size_t column_count)
{
	*listing = (struct listing){.ctl = ctl};
	table_init(&listing->table, columns, column_count);
	listing->table.any_group = ctl_any_group(ctl);
}

void listing_fini(struct listing *listing)
{
	table_fini(&listing->table);
	buf_fini(&listing->json);
}

void listing_add(void *arg, const struct line *record)
{
	struct listing *listing = arg;
	json_t *json;

	if (!listing->ctl->json) {
		table_add(&listing->table, record);
		return;
	}
	if (listing->json.len > 0)
		buf_add_char(&listing->json, ',');
	json = json_of_keys(record);
	json_add(&listing->json, json);
	json_decref(json);
}

void listing_print(const struct listing *listing)
{
	if (listing->ctl->json) {
		fputs("[", stdout);
		fwrite(listing->json.len > 0 ? listing->json.data : "", 1, listing->json.len, stdout);
		fputs("]\n", stdout);
	} else if (listing->ctl->quiet) {
		table_print_first(&listing->table);
	} else {
		table_print(&listing->table, listing->ctl->legend);
	}
}

static const struct column pair_columns[] = {
	{"KEY", NULL, COLUMN_TEXT, false},
	{"VALUE", NULL, COLUMN_TEXT, false},
};

void record_print(const struct ctl *ctl, const struct line *record)
{
	struct table table;

	if (ctl->json) {
		json_print(json_of_keys(record));
		return;
	}
	table_init(&table, pair_columns, 2);
	for (size_t i = 0; i < record->words->count; i++) {
		const struct word *word = &record->words->list[i];
		char time_text[LOCAL_TIME_SIZE];
		const char *value = word->text;

		if (word->key == NULL)
			continue;
		if (local_time_of_stamp(value, time_text) == 0)
			value = time_text;
		table_add_texts(&table, (const char *const[]){word->key, value});
	}
	table_print(&table, ctl->legend);
	table_fini(&table);
}
