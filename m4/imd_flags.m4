# Probes for compiler and linker flags.

# IMD_APPEND_CPPFLAG(VARIABLE, FLAG)
# IMD_APPEND_CFLAG(VARIABLE, FLAG)
# IMD_APPEND_LDFLAG(VARIABLE, FLAG)
# Append FLAG to VARIABLE where the compiler (the linker) takes it without a warning. The user's
# own CFLAGS are in force meanwhile, for some flags go only with some others.
AC_DEFUN([IMD_APPEND_CPPFLAG], [_IMD_APPEND([$1], [$2], [CPPFLAGS], [AC_COMPILE_IFELSE])])
AC_DEFUN([IMD_APPEND_CFLAG], [_IMD_APPEND([$1], [$2], [CFLAGS], [AC_COMPILE_IFELSE])])
AC_DEFUN([IMD_APPEND_LDFLAG], [_IMD_APPEND([$1], [$2], [LDFLAGS], [AC_LINK_IFELSE])])

# The program includes a header of libc, because libc warns of _FORTIFY_SOURCE where it can do
# nothing.
AC_DEFUN([_IMD_APPEND], [
  AS_VAR_PUSHDEF([imd_cache], [imd_cv_flag_$3_$2])
  AC_CACHE_CHECK([whether $CC takes $2], [imd_cache], [
    imd_save_cflags=$CFLAGS
    imd_save_$3=$$3
    AS_VAR_SET([$3], ["$$3 $2"])
    CFLAGS="$CFLAGS -Werror"
    $4([AC_LANG_PROGRAM([#include <stdio.h>], [puts("");])],
      [AS_VAR_SET([imd_cache], [yes])], [AS_VAR_SET([imd_cache], [no])])
    $3=$imd_save_$3
    CFLAGS=$imd_save_cflags
  ])
  AS_VAR_IF([imd_cache], [yes], [AS_VAR_APPEND([$1], [" $2"])])
  AS_VAR_POPDEF([imd_cache])
])

# IMD_APPEND_CFLAGS(VARIABLE, FLAGS), IMD_APPEND_LDFLAGS(VARIABLE, FLAGS)
# The same for a list of literal flags.
AC_DEFUN([IMD_APPEND_CFLAGS], [m4_foreach_w([imd_flag], [$2],
  [IMD_APPEND_CFLAG([$1], m4_defn([imd_flag]))])])
AC_DEFUN([IMD_APPEND_LDFLAGS], [m4_foreach_w([imd_flag], [$2],
  [IMD_APPEND_LDFLAG([$1], m4_defn([imd_flag]))])])

# IMD_ARG_DIR(NAME, PACKAGE, BELOW-PREFIX, HELP)
# --with-NAME=DIR, into the variable NAME: where it is not given, the directory that PACKAGE's
# pkg-config file tells if the prefix is /usr, and one below the prefix otherwise.
AC_DEFUN([IMD_ARG_DIR], [
  AC_ARG_WITH([$1], [AS_HELP_STRING([--with-$1=DIR], [$4])],
    [AS_CASE([$with_$1],
      [yes|no], [AC_MSG_ERROR([--with-$1 needs a directory])],
      [$1=$with_$1])],
    [$1=
    AS_IF([test "x$prefix" = x/usr],
      [$1=`$PKG_CONFIG --variable=$1 $2 2>/dev/null`])
    AS_IF([test -z "$$1"], [$1='${prefix}/$3'])])
  AC_SUBST([$1])
])
