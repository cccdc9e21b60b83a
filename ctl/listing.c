#include "listing.h"

#include <inttypes.h>
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
	buf_fini(&listing->text);
}

static void add_json(struct listing *listing, const struct line *record)
{
	json_t *json = json_of_keys(record);

	if (listing->text.len > 0)
		buf_add_char(&listing->text, ',');
	json_add(&listing->text, json);
	json_decref(json);
}

static void add_first(struct listing *listing, const struct line *record)
{
	const struct column *column = &listing->table.columns[0];
	const char *value = line_get(record, column->key);

	if (value == NULL || !column_is_valid(column, value)) {
		listing->invalid++;
		return;
	}
	text_add_safe(&listing->text, value);
	buf_add_char(&listing->text, '\n');
}

void listing_add(void *arg, const struct line *record)
{
	struct listing *listing = arg;

	if (listing->ctl->json)
		add_json(listing, record);
	else if (listing->first)
		add_first(listing, record);
	else
		table_add(&listing->table, record);
}

int listing_print(const struct listing *listing)
{
	const char *text = listing->text.len > 0 ? listing->text.data : "";

	if (!listing->ctl->json && !listing->first) {
		table_print(&listing->table, listing->ctl->legend);
		return STATUS_OK;
	}
	fputs(listing->ctl->json ? "[" : "", stdout);
	fwrite(text, 1, listing->text.len, stdout);
	fputs(listing->ctl->json ? "]\n" : "", stdout);
	if (listing->invalid == 0)
		return STATUS_OK;
	say("imd at %s sent %" PRIu64 " records without a valid %s; they are left out", listing->ctl->socket,
		listing->invalid, listing->table.columns[0].key);
	return STATUS_FAILED;
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
