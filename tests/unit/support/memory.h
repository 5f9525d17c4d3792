/* Looking for secrets in the memory of the test's own process. */
#pragma once

#include <stddef.h>

#include "support/sanitizer.h"

/* The sanitizers keep terabytes of shadow, which takes too long to look through, and freed memory
 * in a quarantine. Tests that search are disabled there. */
#define TEST_MEMORY_SEARCH (!TEST_SANITIZER)

/* Secrets are kept masked so that the search does not find the search. */
#define TEST_MASK 0x5c

/* Puts the plain text of a masked one into out, NUL-terminated. Wipe it afterwards. */
void test_unmask(const unsigned char *masked, size_t len, char *out);
/* n random letters, masked. */
void test_masked_random(unsigned char *masked, size_t len);
/* How often the text is found in what this process can write to. */
size_t test_memory_count(const unsigned char *masked, size_t len);
