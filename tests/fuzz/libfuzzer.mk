# Builds a fuzz target with libFuzzer and sanitizers, for `make fuzz`: clang's own compiler flags need objects of their
# own, so these are made below tests/fuzz/objects.
#
# Given by Makefile.am: srcdir, sysconfdir, target, sources, cppflags, libs.

FUZZ_CC = clang
FUZZ_CFLAGS = -g -O1 -std=c11 -pthread -UNDEBUG \
	-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all

directory = tests/fuzz/objects
objects = $(patsubst %.c,$(directory)/%.o,$(filter %.c,$(sources)))

tests/fuzz/libfuzzer_$(target): $(objects)
	$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $^ $(libs)

$(directory)/%.o: $(srcdir)/%.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) $(cppflags) -DSYSCONFDIR='"$(sysconfdir)"' -MMD -MP -c -o $@ $<

-include $(objects:.o=.d)
