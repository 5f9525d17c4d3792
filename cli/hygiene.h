/* What a process does before it touches a secret. */
#pragma once

#include "base/util.h"

/* Sanitized builds are not for secrets, but they have to be able to look at themselves. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CLI_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CLI_SANITIZED 1
#endif
#endif
#ifndef CLI_SANITIZED
#define CLI_SANITIZED 0
#endif

/* Not dumpable (no core, no ptrace or /proc/PID/mem by the same user), no core file, umask 077,
 * SIGPIPE ignored. 0 or negative errno. */
int hygiene_protect(void);

/* Closes every descriptor from `first` on. */
int hygiene_close_from(int first);

/* The environment a daemon gets: proxies, PATH, HOME, locale, time zone and XDG_*; nothing that
 * could hold a credential but what proxy URLs do. NULL-terminated; free() the list, its strings are
 * those of `environment`. */
char **hygiene_environment(char *const *environment);
