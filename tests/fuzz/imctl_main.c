/* imctl's main function, under another name. */
#include "imctl_server.h"

#define main imctl_main

#include "ctl/main.c"
