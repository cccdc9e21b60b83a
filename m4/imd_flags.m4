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

# IMD_APPEND_FORTIFY(VARIABLE)
# The highest _FORTIFY_SOURCE that compiler and libc support, unless the user's flags set one: two
# values on one command line are a warning. -U because some compilers define it themselves.
AC_DEFUN([IMD_APPEND_FORTIFY], [AS_CASE([" $CPPFLAGS $CFLAGS "], [*_FORTIFY_SOURCE*], [], [
  IMD_APPEND_CPPFLAG([$1], [-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3])
  AS_CASE([$$1], [*_FORTIFY_SOURCE*], [],
    [IMD_APPEND_CPPFLAG([$1], [-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2])])
])])

# IMD_APPEND_ZERO_INIT(VARIABLE)
# Automatic variables begin as zero. clang up to 15 wants a second flag for that; gcc would read that one
# as the option -e of the linker, so it is tried only if the first one alone does not work.
AC_DEFUN([IMD_APPEND_ZERO_INIT], [
  IMD_APPEND_CFLAG([$1], [-ftrivial-auto-var-init=zero])
  AS_CASE([$$1], [*auto-var-init*], [],
    [IMD_APPEND_CFLAG([$1], [-ftrivial-auto-var-init=zero dnl
-enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang])])
])

# IMD_CHECK_CET(VARIABLE)
# What the linker makes of -fcf-protection: "IBT, SHSTK", or "none (why)". A program has the property
# only if every object in it does, those of libc that begin and end it included. Reads imd_cflags,
# imd_ldflags.
AC_DEFUN([IMD_CHECK_CET], [
  AC_CHECK_TOOL([READELF], [readelf], [no])
  AC_MSG_CHECKING([what the linker makes of CET])
  AS_CASE([$imd_cflags],
    [*-fcf-protection*], [_IMD_LINK_CET([$1])],
    [$1='none (built without -fcf-protection)'])
  AS_IF([test "x$READELF" = xno], [$1='unknown (readelf is missing)'])
  AC_MSG_RESULT([$$1])
])

AC_DEFUN([_IMD_LINK_CET], [
  imd_save_cflags=$CFLAGS imd_save_ldflags=$LDFLAGS
  CFLAGS="$CFLAGS $imd_cflags" LDFLAGS="$LDFLAGS $imd_ldflags"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [
    $1=`LC_ALL=C $READELF -n conftest$EXEEXT 2>/dev/null | $SED -n 's/.*x86 feature: *//p'`
    AS_IF([test "x$$1" = x], [
      imd_lacking=`LC_ALL=C $CC $CFLAGS $LDFLAGS -Wl,-z,cet-report=warning -o conftest$EXEEXT dnl
conftest.$ac_ext 2>&1 | $SED -n 's|^.*/\([[^/ ]]*\): warning: missing.*|\1|p' | tr '\n' ' ' | $SED 's/ $//'`
      $1="none (not in: ${imd_lacking:-unknown})"
    ])
  ], [$1='none (a program cannot be linked)'])
  CFLAGS=$imd_save_cflags LDFLAGS=$imd_save_ldflags
])

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
