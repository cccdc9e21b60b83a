/* The table of requests, and the words of states, actions, events and errors. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "proto/limits.h"
#include "proto/names.h"
#include "proto/verbs.h"
#include "unit.h"

/* The loop variable is the verb: its name in every mixture of cases finds it. */
START_TEST(test_find_every_case)
{
	const char *name = verb_row((enum verb)_i)->name;
	size_t len = strlen(name);

	for (unsigned mixture = 0; mixture < 1u << len; mixture++) {
		char text[16] = "";

		for (size_t i = 0; i < len; i++)
			text[i] = mixture >> i & 1 ? (char)tolower(name[i]) : name[i];
		if (verb_find(text) != _i)
			ck_abort_msg("%s is not found", text);
	}
}
END_TEST

/* What strcasecmp() makes of a name is the measure. */
static int find_slowly(const char *name)
{
	for (int verb = 0; verb < VERB_COUNT; verb++) {
		if (strcasecmp(name, verb_row((enum verb)verb)->name) == 0)
			return verb;
	}
	return -1;
}

/* Every other byte in every place, every beginning, and one byte more. An assertion of libcheck costs
 * a system call, too much for so many. */
START_TEST(test_find_neighbours)
{
	const char *name = verb_row((enum verb)_i)->name;
	size_t len = strlen(name);

	for (size_t place = 0; place <= len; place++) {
		for (int byte = 0; byte < 256; byte++) {
			char text[16] = "";

			strcpy(text, name);
			text[place] = (char)byte;
			if (verb_find(text) != find_slowly(text))
				ck_abort_msg("%s with byte %d at %zu", name, byte, place);
		}
	}
}
END_TEST

START_TEST(test_find_none)
{
	ck_assert_int_eq(verb_find(""), -1);
	ck_assert_int_eq(verb_find(" "), -1);
	ck_assert_int_eq(verb_find("PING "), -1);
	ck_assert_int_eq(verb_find("a-word-that-is-longer-than-any-verb"), -1);
}
END_TEST

START_TEST(test_options)
{
	for (int option = 0; option < VERB_OPTION_COUNT; option++) {
		const struct option_row *row = verb_option_row((enum verb_option)option);

		ck_assert_int_eq(verb_option_find(row->key), option);
		ck_assert_uint_gt(strlen(row->value), 0);
		ck_assert_uint_gt(strlen(row->help), 0);
	}
	ck_assert_int_eq(verb_option_find(""), -1);
	ck_assert_int_eq(verb_option_find("GROUP"), -1);
	ck_assert_int_eq(verb_option_find("max-surg"), -1);
}
END_TEST

START_TEST(test_rows)
{
	const struct verb_row *row = verb_row((enum verb)_i);

	ck_assert_uint_le(row->min_args, row->max_args);
	ck_assert_int_eq(row->args[0] != '\0', row->max_args > 0);
	ck_assert_uint_gt(strlen(row->help), 0);
	ck_assert_int_ne(row->help[strlen(row->help) - 1], '.');
	/* What changes something takes its turn in the engine anyway. */
	ck_assert(!(row->flags & VERB_CHANGES && row->flags & VERB_READS));
	if (row->flags & VERB_ANY_GROUP)
		ck_assert_uint_ne(row->options & OPT(OPT_GROUP), 0);
	for (const char *c = row->name; *c != '\0'; c++)
		ck_assert(isupper(*c));
}
END_TEST

START_TEST(test_usage)
{
	char text[512];

	verb_usage(VERB_ping, text, sizeof text);
	ck_assert_str_eq(text, "PING");
	verb_usage(VERB_help, text, sizeof text);
	ck_assert_str_eq(text, "HELP [verb]");
	verb_usage(VERB_mark, text, sizeof text);
	ck_assert_str_eq(text, "MARK node [group=NAME] [mark=yes|no]");
	verb_usage(VERB_watch, text, sizeof text);
	ck_assert_str_eq(text,
		"WATCH NODES|GRAPHS|TASKS|ALL [graph] [group=NAME] [initial=yes|no] [since=SEQ@INCARNATION]");
	verb_usage(VERB_plan, text, sizeof text);
	ck_assert_str_eq(text, "PLAN size version [group=NAME] [max-surge=N|P%] "
			       "[max-unavailable=N|P%] [max-parallel=N] [min-ready=DURATION] "
			       "[if-revision=N] [quiet=yes|no]");
}
END_TEST

/* Cut at every size, it is the beginning of the whole one, and fits. */
START_TEST(test_usage_is_cut)
{
	char whole[512];

	verb_usage((enum verb)_i, whole, sizeof whole);
	ck_assert_uint_lt(strlen(whole), sizeof whole - 1);
	for (size_t size = 1; size <= strlen(whole) + 1; size++) {
		char *cut = malloc(size);

		ck_assert_ptr_nonnull(cut);
		verb_usage((enum verb)_i, cut, size);
		ck_assert_uint_eq(strlen(cut), size - 1);
		ck_assert_int_eq(strncmp(cut, whole, size - 1), 0);
		free(cut);
	}
}
END_TEST

START_TEST(test_names)
{
	for (int i = 0; i < NODE_STATE_COUNT; i++)
		ck_assert_int_eq(node_state_parse(node_state_name((enum node_state)i)), i);
	for (int i = 0; i < GRAPH_STATE_COUNT; i++)
		ck_assert_int_eq(graph_state_parse(graph_state_name((enum graph_state)i)), i);
	for (int i = 0; i < TASK_STATE_COUNT; i++)
		ck_assert_int_eq(task_state_parse(task_state_name((enum task_state)i)), i);
	for (int i = 0; i < TASK_ACTION_COUNT; i++)
		ck_assert_int_eq(task_action_parse(task_action_name((enum task_action)i)), i);
	for (int i = 0; i < EVENT_TYPE_COUNT; i++)
		ck_assert_int_eq(event_type_parse(event_type_name((enum event_type)i)), i);
	for (int i = 0; i < ERR_CODE_COUNT; i++)
		ck_assert_int_eq(err_code_parse(err_code_name((enum err_code)i)), i);
	ck_assert_str_eq(task_description_name(DESCRIPTION_NONE), "");
	ck_assert_str_eq(task_description_name(DESCRIPTION_KILL_SOME), "KillSome");
	ck_assert_str_eq(reason_name(REASON_SETTLE), "settle");
}
END_TEST

START_TEST(test_names_none)
{
	ck_assert_int_eq(node_state_parse("Running"), -1);
	ck_assert_int_eq(graph_state_parse(""), -1);
	ck_assert_int_eq(task_state_parse("shut_down"), -1);
	ck_assert_int_eq(task_action_parse("start-node"), -1);
	ck_assert_int_eq(event_type_parse("node_state"), -1);
	ck_assert_int_eq(err_code_parse("bad_request"), -1);
}
END_TEST

static Suite *verbs_suite(void)
{
	Suite *suite = suite_create("verbs");
	TCase *verbs = tcase_create("verbs");
	TCase *names = tcase_create("names");

	tcase_add_loop_test(verbs, test_find_every_case, 0, VERB_COUNT);
	tcase_add_loop_test(verbs, test_find_neighbours, 0, VERB_COUNT);
	tcase_add_test(verbs, test_find_none);
	tcase_add_test(verbs, test_options);
	tcase_add_loop_test(verbs, test_rows, 0, VERB_COUNT);
	tcase_add_test(verbs, test_usage);
	tcase_add_loop_test(verbs, test_usage_is_cut, 0, VERB_COUNT);
	suite_add_tcase(suite, verbs);
	tcase_add_test(names, test_names);
	tcase_add_test(names, test_names_none);
	suite_add_tcase(suite, names);
	return suite;
}

int main(void)
{
	return unit_run(verbs_suite(), CK_FORK_GETENV);
}
