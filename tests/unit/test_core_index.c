/* The id index against a naive model, with ids that are spread, crowded and at the table's end. */

#include "core/id_index.h"
#include "unit.h"

enum { IDS = 3000, STEPS = 60000 };

/* The model: all ids that there may be, and which of them are in. */
static struct model {
	struct id ids[IDS];
	bool in[IDS];
	uint32_t refs;
	struct id_index index;
} model;

static const struct id *model_id(const void *context, uint32_t ref)
{
	const struct model *m = context;

	must(ref < m->refs);
	must(m->in[ref]);
	return &m->ids[ref];
}

static void id_random(struct id *id, size_t from)
{
	for (size_t i = from; i < sizeof id->bytes; i++)
		id->bytes[i] = (uint8_t)random_next();
}

/* Ids as they are in life. */
static void id_spread(struct id *id)
{
	id_random(id, 0);
}

/* Ids that fall on a few homes, the last positions of the table among them, so that clusters
 * are long and go on from its end to its beginning. */
static void id_crowded(struct id *id)
{
	static const uint8_t heads[][3] = {
		{0xff, 0xff, 0xff}, {0xff, 0xff, 0xfe}, {0xff, 0xff, 0x00}, {0x00, 0x00, 0x00},
		{0x00, 0x00, 0x01}, {0x7f, 0xff, 0xff}, {0x80, 0x00, 0x00}, {0xff, 0xf0, 0x00},
	};

	id_random(id, 0);
	if (random_below(8) > 0)
		memcpy(id->bytes, heads[random_below(8)], 1 + random_below(3));
}

/* Ids that differ in their last byte only, or nearly so. */
static void id_alike(struct id *id)
{
	memset(id->bytes, random_below(2) ? 0xff : 0, sizeof id->bytes);
	id_random(id, 16 - 1 - random_below(3));
}

static bool model_knows(const struct id *id)
{
	for (uint32_t i = 0; i < model.refs; i++)
		if (id_equal(&model.ids[i], id))
			return true;
	return false;
}

static void model_init(uint64_t salt, uint32_t refs, void (*make)(struct id *))
{
	random_state = unit_seed + salt;
	memset(&model, 0, sizeof model);
	while (model.refs < refs) {
		struct id id;

		make(&id);
		if (!model_knows(&id))
			model.ids[model.refs++] = id;
	}
	id_index_init(&model.index, model_id, &model);
}

static struct id_prefix prefix_of(const struct id *id, unsigned digits)
{
	struct id_prefix prefix = {.id = *id, .digits = digits};

	for (unsigned i = digits; i < 32; i++)
		prefix.id.bytes[i / 2] &= i % 2 ? 0xf0 : 0x0f;
	return prefix;
}

static bool same_digits(const struct id *a, const struct id *b, unsigned digits)
{
	if (memcmp(a->bytes, b->bytes, digits / 2) != 0)
		return false;
	return digits % 2 == 0 || a->bytes[digits / 2] >> 4 == b->bytes[digits / 2] >> 4;
}

/* Looks a prefix up by looking at every id. */
static unsigned model_find_prefix(const struct id_prefix *prefix, uint32_t *ret_ref)
{
	unsigned found = 0;

	*ret_ref = ID_INDEX_NONE;
	for (uint32_t i = 0; i < model.refs; i++) {
		if (!model.in[i] || !same_digits(&model.ids[i], &prefix->id, prefix->digits))
			continue;
		*ret_ref = i;
		found++;
	}
	return found;
}

static void check_prefix(const struct id *id, unsigned digits)
{
	struct id_prefix prefix = prefix_of(id, digits);
	uint32_t expected_ref, ref;
	unsigned expected = model_find_prefix(&prefix, &expected_ref);
	unsigned found = id_index_find_prefix(&model.index, &prefix, &ref);

	must(found == (expected < 2 ? expected : 2));
	if (expected == 1)
		must(ref == expected_ref);
}

static void check_all(void)
{
	uint32_t in = 0, taken = 0;

	for (uint32_t i = 0; i < model.refs; i++) {
		uint32_t expected = model.in[i] ? i : ID_INDEX_NONE;

		in += model.in[i];
		must(id_index_find(&model.index, &model.ids[i]) == expected);
	}
	must(model.index.count == in);
	for (uint64_t i = 0; model.index.bits && i < UINT64_C(1) << model.index.bits; i++)
		taken += model.index.table[i].ref != ID_INDEX_NONE;
	must(taken == in);
}

static void check_size(void)
{
	uint64_t size = model.index.bits ? UINT64_C(1) << model.index.bits : 0;

	must(3 * (uint64_t)model.index.count <= 2 * size);
	if (size > 16)
		must(size <= 6 * (uint64_t)model.index.count);
}

static void model_toggle(uint32_t ref)
{
	if (model.in[ref]) {
		/* The thing is still there while the index forgets it. */
		id_index_remove(&model.index, &model.ids[ref]);
		model.in[ref] = false;
	} else {
		/* The index is not to read what is only about to be in it. */
		id_index_add(&model.index, &model.ids[ref], ref);
		model.in[ref] = true;
	}
}

/* Fills and empties in waves, so that the table grows and shrinks over and over. */
static void model_run(uint32_t steps)
{
	for (uint32_t step = 0; step < steps; step++) {
		uint32_t ref = random_below(model.refs);
		bool filling = step / (model.refs * 2) % 2 == 0;

		if (model.in[ref] != filling || random_below(8) == 0)
			model_toggle(ref);
		check_size();
		ref = random_below(model.refs);
		must(id_index_find(&model.index, &model.ids[ref]) == (model.in[ref] ? ref : ID_INDEX_NONE));
		if (step % 16 == 0)
			check_prefix(&model.ids[ref], 4 + random_below(29));
		if (step % 1999 == 0)
			check_all();
	}
	check_all();
}

static void (*const makers[])(struct id *) = {id_spread, id_crowded, id_alike};
static const uint32_t sizes[] = {1, 11, 100, 500, IDS};

START_TEST(random_against_model)
{
	void (*make)(struct id *) = makers[_i % 3];
	uint32_t refs = sizes[_i / 3];

	model_init((uint64_t)_i, refs, make);
	/* Crowded ids make every step as long as the crowd. */
	model_run(make == id_spread || refs <= 100 ? STEPS : STEPS / 8);
	id_index_fini(&model.index);
}
END_TEST

START_TEST(empty)
{
	struct id id = {{1}};
	struct id_prefix prefix = prefix_of(&id, 4);
	uint32_t ref = 5;

	model_init(0, 0, id_spread);
	must(id_index_find(&model.index, &id) == ID_INDEX_NONE);
	must(id_index_find_prefix(&model.index, &prefix, &ref) == 0);
	must(ref == ID_INDEX_NONE);
	id_index_fini(&model.index);
}
END_TEST

static void model_set(const char *heads[], uint32_t count)
{
	memset(&model, 0, sizeof model);
	id_index_init(&model.index, model_id, &model);
	for (uint32_t i = 0; i < count; i++) {
		model.refs = i + 1;
		for (size_t digit = 0; heads[i][digit]; digit++) {
			char text[2] = {heads[i][digit], 0};
			unsigned value = (unsigned)strtoul(text, NULL, 16);

			model.ids[i].bytes[digit / 2] |= (uint8_t)(digit % 2 ? value : value << 4);
		}
		model_toggle(i);
	}
}

/* A cluster that begins on the last position of a table of 16 and goes on at its beginning. */
START_TEST(wrap_around)
{
	const char *heads[] = {"ffff0", "ffff1", "ffff2", "ffff3", "00001", "00002", "10001"};
	uint32_t ref;

	model_set(heads, 7);
	must(model.index.bits == 4);
	must(model.index.table[15].ref == 0);
	must(model.index.table[0].ref == 1);
	must(model.index.table[5].ref == 6);
	for (uint32_t i = 0; i < 7; i++) {
		struct id_prefix prefix = prefix_of(&model.ids[i], 5);

		must(id_index_find_prefix(&model.index, &prefix, &ref) == 1);
		must(ref == i);
		check_prefix(&model.ids[i], 4);
	}
	/* Each removal closes the gap across the end. */
	for (uint32_t i = 0; i < 7; i++) {
		model_toggle(i);
		check_all();
	}
	id_index_fini(&model.index);
}
END_TEST

/* Closing a gap passes over the entry whose home lies behind it, and fetches the one after that. */
START_TEST(gap_before_other_homes)
{
	const char *heads[] = {"00001", "00002", "20001", "00003", "20002"};

	model_set(heads, 5);
	model_toggle(1);
	check_all();
	must(model.index.table[0].ref == 0);
	must(model.index.table[1].ref == 3);
	must(model.index.table[2].ref == 2);
	must(model.index.table[3].ref == 4);
	must(model.index.table[4].ref == ID_INDEX_NONE);
	id_index_fini(&model.index);
}
END_TEST

/* In a large table four digits name many positions: whatever lies there is counted, once. */
enum { MANY = 400000 };
static struct id many[MANY];

static const struct id *many_id(const void *context, uint32_t ref)
{
	return &((const struct id *)context)[ref];
}

START_TEST(prefix_spans_positions)
{
	static uint8_t counts[1 << 16];
	static uint32_t refs[1 << 16];
	struct id_index index;

	random_state = unit_seed;
	id_index_init(&index, many_id, many);
	for (uint32_t i = 0; i < MANY; i++) {
		uint32_t head;

		id_random(&many[i], 0);
		/* A quarter of the heads is left bare, and another has a single id each. */
		head = (uint32_t)many[i].bytes[0] << 8 | many[i].bytes[1];
		if (head % 4 == 0 || (head % 4 == 1 && counts[head]))
			continue;
		counts[head] = counts[head] < 2 ? counts[head] + 1 : 2;
		refs[head] = i;
		id_index_add(&index, &many[i], i);
	}
	must(index.bits > 16);
	for (uint32_t head = 0; head < 1 << 16; head++) {
		struct id_prefix prefix = {
			.id = {{(uint8_t)(head >> 8), (uint8_t)head}}, .digits = 4};
		uint32_t ref;

		must(id_index_find_prefix(&index, &prefix, &ref) == counts[head]);
		if (counts[head] == 1)
			must(ref == refs[head]);
	}
	id_index_fini(&index);
}
END_TEST

static Suite *index_suite(void)
{
	Suite *suite = suite_create("id_index");
	TCase *tests = tcase_create("id_index");

	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, empty);
	tcase_add_test(tests, wrap_around);
	tcase_add_test(tests, gap_before_other_homes);
	tcase_add_test(tests, prefix_spans_positions);
	tcase_add_loop_test(tests, random_against_model, 0, 15);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	unit_take_seed();
	return unit_run(index_suite(), CK_FORK_GETENV);
}
