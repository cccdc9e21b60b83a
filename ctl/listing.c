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
	listing->table.legend = ctl->legend;
	buf_add_char(&listing->opening, '[');
}

void listing_fini(struct listing *listing)
{
	table_fini(&listing->table);
	spool_cut(&listing->spool);
	buf_fini(&listing->opening);
}

static void open_json(struct listing *listing)
{
	buf_add(&listing->spool.text, listing->opening.data, listing->opening.len);
	listing->opened = true;
}

static void add_json(struct listing *listing, const struct line *record)
{
	if (listing->opened)
		buf_add_char(&listing->spool.text, ',');
	else
		open_json(listing);
	json_add_keys(&listing->spool.text, record);
}

static void add_first(struct listing *listing, const struct line *record)
{
	const struct column *column = &listing->table.columns[0];
	const char *value = line_get(record, column->key);

	if (value == NULL || !column_is_valid(column, value)) {
		listing->invalid++;
		return;
	}
	text_add_safe(&listing->spool.text, value);
	buf_add_char(&listing->spool.text, '\n');
}

int listing_add(void *arg, const struct line *record)
{
	struct listing *listing = arg;

	if (!listing->ctl->json && !listing->first)
		return table_add(&listing->table, record);
	if (listing->ctl->json)
		add_json(listing, record);
	else
		add_first(listing, record);
	return spool_settle(&listing->spool);
}

int listing_end(struct listing *listing, const char *closing)
{
	int status;

	if (!listing->ctl->json && !listing->first) {
		table_end(&listing->table);
		return STATUS_OK;
	}
	if (listing->ctl->json) {
		if (!listing->opened)
			open_json(listing);
		buf_add_str(&listing->spool.text, closing);
	}
	status = spool_end(&listing->spool);
	spool_fini(&listing->spool);
	if (status != STATUS_OK || listing->invalid == 0)
		return status;
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
		json_print_keys(record);
		return;
	}
	table_init(&table, pair_columns, 2);
	table.legend = ctl->legend;
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
	table_end(&table);
	table_fini(&table);
}
