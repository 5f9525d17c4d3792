/* State from a directory of files (--load), as README.md describes it. */
#pragma once

#include "base/err.h"
#include "tests/emulator/store.h"

int load_directory(struct store *s, const char *path, struct err *e);
