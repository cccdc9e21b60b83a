#include "stamp.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

enum {
	SECONDS_LEN = 19, /* of "2026-11-22T08:35:12" */
	DAY_SECONDS = 86400,
	US = 1000000,
};

/* The last second that was formatted or read: times that follow each other tend to share it. */
struct stamp_cache {
	bool valid;
	int64_t second;
	char text[SECONDS_LEN];
};
static _Thread_local struct stamp_cache cache;

static void put_digits(char *text, unsigned count, unsigned value)
{
	while (count-- > 0) {
		text[count] = (char)('0' + value % 10);
		value /= 10;
	}
}

/* The Gregorian calendar repeats every 400 years, an era of 146,097 days. Years are counted from
 * March here, so that the leap day is the last day of a year and months follow a fixed pattern. */
static void date_of_day(int64_t day, int64_t *ret_year, unsigned *ret_month, unsigned *ret_mday)
{
	int64_t shifted = day + 719468; /* days since 1 March of the year 0 */
	int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	unsigned era_day = (unsigned)(shifted - era * 146097);
	unsigned era_year = (era_day - era_day / 1460 + era_day / 36524 - era_day / 146096) / 365;
	unsigned year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
	unsigned march_month = (5 * year_day + 2) / 153;

	*ret_mday = year_day - (153 * march_month + 2) / 5 + 1;
	*ret_month = march_month < 10 ? march_month + 3 : march_month - 9;
	*ret_year = era * 400 + era_year + (*ret_month <= 2);
}

static int64_t day_of_date(int64_t year, unsigned month, unsigned mday)
{
	int64_t march_year = year - (month <= 2);
	int64_t era = (march_year >= 0 ? march_year : march_year - 399) / 400;
	int64_t era_year = march_year - era * 400;
	int64_t year_day = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + mday - 1;

	return era * 146097 + era_year * 365 + era_year / 4 - era_year / 100 + year_day - 719468;
}

static void format_second(int64_t second, char *ret_text)
{
	int64_t day = second / DAY_SECONDS;
	int64_t in_day = second % DAY_SECONDS;
	int64_t year;
	unsigned month, mday;

	if (in_day < 0) {
		day--;
		in_day += DAY_SECONDS;
	}
	date_of_day(day, &year, &month, &mday);
	assert(year >= 0 && year <= 9999);
	memcpy(ret_text, "0000-00-00T00:00:00", SECONDS_LEN);
	put_digits(ret_text, 4, (unsigned)year);
	put_digits(ret_text + 5, 2, month);
	put_digits(ret_text + 8, 2, mday);
	put_digits(ret_text + 11, 2, (unsigned)(in_day / 3600));
	put_digits(ret_text + 14, 2, (unsigned)(in_day / 60 % 60));
	put_digits(ret_text + 17, 2, (unsigned)(in_day % 60));
}

void stamp_format(int64_t time_us, char *ret_text)
{
	int64_t second = time_us / US;
	int64_t us = time_us % US;

	if (us < 0) {
		second--;
		us += US;
	}
	if (!cache.valid || cache.second != second) {
		format_second(second, cache.text);
		cache.second = second;
		cache.valid = true;
	}
	memcpy(ret_text, cache.text, SECONDS_LEN);
	ret_text[SECONDS_LEN] = '.';
	put_digits(ret_text + SECONDS_LEN + 1, 6, (unsigned)us);
	ret_text[STAMP_TEXT_LEN - 1] = 'Z';
}

/* Reads `count` digits into *ret_value, which must lie between min and max. */
static bool get_digits(const char *text, unsigned count, unsigned min, unsigned max,
	unsigned *ret_value)
{
	unsigned value = 0;

	for (unsigned i = 0; i < count; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (unsigned)(text[i] - '0');
	}
	*ret_value = value;
	return value >= min && value <= max;
}

static unsigned month_days(unsigned year, unsigned month)
{
	static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

static int second_parse(const char *text, int64_t *ret_second)
{
	unsigned year, month, mday, hour, minute, second;

	if (text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':')
		return -1;
	if (!get_digits(text, 4, 0, 9999, &year) || !get_digits(text + 5, 2, 1, 12, &month) ||
		!get_digits(text + 8, 2, 1, month_days(year, month), &mday) ||
		!get_digits(text + 11, 2, 0, 23, &hour) ||
		!get_digits(text + 14, 2, 0, 59, &minute) ||
		!get_digits(text + 17, 2, 0, 59, &second))
		return -1;
	*ret_second = day_of_date(year, month, mday) * DAY_SECONDS + hour * 3600 + minute * 60 + second;
	return 0;
}

int stamp_parse(const char *text, size_t len, int64_t *ret_us)
{
	unsigned us;

	if (len != STAMP_TEXT_LEN || text[SECONDS_LEN] != '.' || text[STAMP_TEXT_LEN - 1] != 'Z' ||
		!get_digits(text + SECONDS_LEN + 1, 6, 0, 999999, &us))
		return -1;
	if (!cache.valid || memcmp(text, cache.text, SECONDS_LEN) != 0) {
		int64_t second;

		if (second_parse(text, &second) < 0)
			return -1;
		memcpy(cache.text, text, SECONDS_LEN);
		cache.second = second;
		cache.valid = true;
	}
	*ret_us = cache.second * US + us;
	return 0;
}
