#include "position.h"

#include "record.h"

bool position_has_incarnation(const struct position *position)
{
	static const struct id unknown;

	return !id_equal(&position->incarnation, &unknown);
}

void position_add_keys(struct buf *buf, const struct position *position)
{
	record_u64(buf, "seq", position->seq);
	if (position_has_incarnation(position))
		record_id(buf, "incarnation", &position->incarnation);
}

void position_add(struct buf *buf, const struct position *position)
{
	char incarnation[ID_TEXT_LEN];

	buf_add_u64(buf, position->seq);
	if (!position_has_incarnation(position))
		return;
	id_format(&position->incarnation, incarnation);
	buf_add_char(buf, '@');
	buf_add(buf, incarnation, sizeof incarnation);
}
